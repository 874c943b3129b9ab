"""Redis killed, emptied or frozen under load: nothing lost, publishing unaffected, order kept, no restart needed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from brain import Event, EventStream
from support.redis_server import RedisServer
from support.sizes import sizes
from support.waiting import until

RATE = 2_000  # events a second


class Load:
    """A steady publisher and a group, each with a record of what it saw."""

    def __init__(self, stream: EventStream) -> None:
        self.stream = stream
        self.ids: list[str] = []
        self.taken: list[float] = []
        self.seen: list[str] = []
        self._publishing = True

    async def publish(self) -> None:
        started = time.monotonic()
        while self._publishing:
            while len(self.ids) < (time.monotonic() - started) * RATE:
                event = Event(type="test.counted", source="test_service", payload={"n": len(self.ids)})
                before = time.perf_counter()
                receipt = self.stream.publish(event)
                self.taken.append(time.perf_counter() - before)
                assert receipt.refused is None
                self.ids.append(event.id)
            await asyncio.sleep(0.002)

    async def handle(self, event: Event) -> None:
        self.seen.append(event.id)

    async def through(self, trouble: Callable[[], Awaitable[None]]) -> None:
        """Load before, during and after the trouble; then wait until the group has seen everything."""
        self.stream.consumer("watchers", "*", self.handle)
        consuming = asyncio.create_task(self.stream.run_consumers())
        publishing = asyncio.create_task(self.publish())
        await asyncio.sleep(1)
        await trouble()
        await asyncio.sleep(1)
        self._publishing = False
        await publishing
        await until(lambda: len(self.seen) >= len(self.ids) and set(self.ids) <= set(self.seen), 60)
        consuming.cancel()
        await asyncio.gather(consuming, return_exceptions=True)

    def p999(self) -> float:
        """Seconds."""
        return sorted(self.taken)[len(self.taken) * 999 // 1000]

    def first_seen(self) -> list[str]:
        """The ids in the order of their first delivery."""
        return list(dict.fromkeys(self.seen))


@pytest.mark.alone
@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("trouble", "seconds", "reply_timeout"),
    [
        ("killed", 1.0, 5.0),
        ("emptied", 1.0, 5.0),
        *sizes(("frozen", 2.0, 0.5), ("frozen", 20.0, 5.0)),  # several times the timeout, which is 5 s by default
    ],
)
async def test_nothing_is_lost_and_publishing_goes_on(
    trouble: str, seconds: float, reply_timeout: float, tmp_path: Path, redis_server: RedisServer
) -> None:
    async def happen() -> None:
        if trouble == "frozen":
            redis_server.freeze()
            await asyncio.sleep(seconds)
            redis_server.thaw()
        else:
            redis_server.kill()
            await asyncio.sleep(seconds)
            await asyncio.to_thread(redis_server.restart, empty=trouble == "emptied")

    url = f"{redis_server.url}?socket_timeout={reply_timeout}"
    async with EventStream.open(url, journal=tmp_path / "journal", lease=1.0) as stream:
        load = Load(stream)
        await load.through(happen)
        print(f"{trouble}: {len(load.ids)} events, {len(load.seen)} deliveries, p99.9 {load.p999() * 1e6:.0f} us")
    assert set(load.ids) == set(load.seen)
    assert load.first_seen() == load.ids
    assert load.p999() < 0.001
