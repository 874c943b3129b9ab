"""The pytest plugin: loaded by pytest through the package's entry point."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from brain.testing.recording import RecordingStream


@pytest.fixture
def recording_stream() -> Iterator[RecordingStream]:
    """A RecordingStream; the test fails at its end when any module of ours could not publish an event meanwhile."""
    # Imported here: pytest loads this file in every project that has the package, whether it uses it or not.
    from brain.stream.publisher import failures
    from brain.testing.recording import RecordingStream

    before = failures.copy()
    stream = RecordingStream()
    yield stream
    lost = failures - before
    assert not lost, f"events that could not be published: {dict(lost)}; {stream.refused}"
