"""A consumer a hundred times slower than the publisher: memory stays flat, nothing unread is trimmed."""

from __future__ import annotations

import asyncio
import gc
import os
import time
from contextlib import aclosing
from pathlib import Path

import pytest

from brain import Delivering, Event, EventStream
from brain.stream.retention import Retention, trim

COUNT = 1_000_000
SAMPLES = 20


def memory() -> float:
    """Resident megabytes of this process: /proc/self/statm, second field, in pages."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


@pytest.mark.timeout(300)
async def test_memory_is_flat_and_nothing_unread_goes(tmp_path: Path) -> None:
    seen: list[int] = []

    async def handler(event: Event) -> None:
        seen.append(event.payload["n"])
        await asyncio.sleep(0.001)

    async with EventStream.open(f"sqlite:///{tmp_path}/brain.db") as stream:
        stream.consumer("slow", "*", handler, Delivering(batch=100))
        task = asyncio.create_task(stream.run_consumers())
        sizes = []
        started = time.monotonic()
        for number in range(COUNT):
            receipt = stream.publish(Event(type="test.counted", source="test_service", payload={"n": number}))
            if number % 500 == 0:
                await asyncio.sleep(0)
            if number % (COUNT // SAMPLES) == COUNT // SAMPLES - 1:
                sizes.append(memory())
        await receipt
        published = time.monotonic() - started
        sizes.append(memory())
        handled = len(seen)
        done = await stream.call(trim, stream.backend, Retention(max_count=1000), time.time())
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        print(f"{COUNT} in {published:.0f} s, {handled} handled meanwhile; memory {min(sizes):.0f}-{max(sizes):.0f} MB")
        assert handled < COUNT / 50
        assert max(sizes) - sizes[0] < 50
        assert done.blocked_by is not None
        assert done.blocked_by.name == "slow"
        async with aclosing(stream.subscribe("*", group="slow")) as rest:
            following = (await anext(rest)).payload["n"]
        assert following == len(seen)
        assert seen == list(range(len(seen)))
        assert len(await stream.read(limit=5, newest_first=True)) == 5
        (info,) = await stream.groups()
        assert info.lag + info.pending == COUNT - len(seen)
