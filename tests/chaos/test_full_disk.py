"""A disk without room: nothing is raised, nothing vanishes without being counted, and it goes on once there is room."""

from __future__ import annotations

import logging
import os
import resource
from pathlib import Path
from typing import NoReturn

import pytest

from brain import Event, EventStream
from support.redis_server import RedisServer


def make(number: int) -> Event:
    return Event(type="test.counted", source="test_service", payload={"n": number, "text": "x" * 2000})


async def test_what_finds_no_room_is_refused_counted_and_named(tmp_path: Path, redis_server: RedisServer) -> None:
    redis_server.freeze()  # nothing is shipped meanwhile, so that the journal has to take it all
    async with EventStream.open(redis_server.url, journal=tmp_path / "journal") as stream:
        accepted = []
        stream.publish(make(-1))
        before = len(os.listdir("/proc/self/fd"))
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
        try:
            receipts = [(number, stream.publish(make(number))) for number in range(12_000)]
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        accepted = [number for number, receipt in receipts if receipt.refused is None]
        refused = [receipt for _, receipt in receipts if receipt.refused is not None]
        assert accepted
        assert refused
        assert "free disk space" in str(refused[0].refused)
        assert len(os.listdir("/proc/self/fd")) < before + 10  # each refused event has its own error, none a file
        assert stream.refused["JournalFull"] == stream.stats()["refused"] == len(refused)
        with pytest.raises(Exception, match="free disk space"):
            await refused[0]
        after = stream.publish(make(99_999))
        assert after.refused is None
        redis_server.thaw()
        await after
        stored = [event.payload["n"] async for event in stream.replay()]
    assert stored == [-1, *accepted, 99_999]


async def test_a_log_that_cannot_be_written_stops_nobody(tmp_path: Path) -> None:
    class NoRoom(logging.Handler):
        def emit(self, _: logging.LogRecord) -> NoReturn:
            raise OSError(28, "No space left on device")

    logging.getLogger("brain").addHandler(handler := NoRoom())
    try:
        async with EventStream.open(f"sqlite:///{tmp_path}/brain.db") as stream:
            before = stream.stats()["unlogged"]
            refused = stream.publish(Event(type="a.b", source="x_service", payload={"o": object()}))
            assert refused.refused is not None
            assert stream.stats()["unlogged"] == before + 1
            assert await stream.publish(make(1))
    finally:
        logging.getLogger("brain").removeHandler(handler)
