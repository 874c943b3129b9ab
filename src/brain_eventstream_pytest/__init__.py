"""The pytest plug-in of the package `brain`: the fixture `recording_stream`.

It is a module of its own because pytest loads it in every project of an environment where the package is installed: one
with a folder `brain/` of its own must not be stopped by it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from brain.testing.recording import RecordingStream


@pytest.fixture
def recording_stream() -> Iterator[RecordingStream]:
    """A RecordingStream; the test fails at its end when it has faults, or a module could not publish an event."""
    # Imported here: pytest loads this file in every project that has the package, whether it uses it or not.
    from brain.stream.publisher import failures
    from brain.testing.recording import RecordingStream

    before = failures.copy()
    with RecordingStream() as stream:
        yield stream
    lost = failures - before
    assert not lost, f"events that could not be published: {dict(lost)}"
    if stream.faults:
        raise stream.faults[0]
