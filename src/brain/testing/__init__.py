"""For tests of code that uses BRAiN: a stream that records, ready events of each type, a check of a plug-in.

pytest finds the plug-in `brain_eventstream_pytest` by itself; it offers the fixture `recording_stream`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from brain.exports import lazy

if TYPE_CHECKING:
    from brain.testing.declaration import check_plugin
    from brain.testing.factories import make_event, one_of_each
    from brain.testing.recording import RecordingStream
else:
    __getattr__ = lazy(
        __name__,
        {
            "brain.testing.declaration": ["check_plugin"],
            "brain.testing.factories": ["make_event", "one_of_each"],
            "brain.testing.recording": ["RecordingStream"],
        },
    )

__all__ = ["RecordingStream", "check_plugin", "make_event", "one_of_each"]
