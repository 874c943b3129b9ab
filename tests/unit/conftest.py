"""The streams that the specification's own tests run on: the recording double, and the real ones."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from brain import EventStream
from brain.stream.publisher import failures
from brain.testing import RecordingStream
from support.bus import Bus


@pytest.fixture(params=["recording", "sqlite", "redis"])
async def bus(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bus]:
    """A stream of the kind named by the parameter; at the end no module may have failed to publish."""
    before = failures.copy()
    if request.param == "recording":
        yield Bus(RecordingStream())
    else:
        url = (
            f"sqlite:///{tmp_path / 'brain.db'}" if request.param == "sqlite" else request.getfixturevalue("redis_url")
        )
        async with EventStream.open(url, journal=tmp_path / "journal") as stream:
            yield Bus(stream)
            assert stream.stats()["refused"] == 0
    assert failures - before == {}
