"""What tests of code that uses BRAiN need: a stream that records, and ready events of every declared type.

The pytest plugin `brain.testing.plugin` is found by pytest itself; it offers the fixture `recording_stream`.
"""

from __future__ import annotations

from brain.testing.factories import make_event, one_of_each
from brain.testing.recording import RecordingStream

__all__ = ["RecordingStream", "make_event", "one_of_each"]
