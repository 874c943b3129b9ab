"""A consumer a hundred times slower than the publisher: memory stays flat, nothing unread is trimmed."""

from __future__ import annotations

import asyncio
import gc
import os
import time
from contextlib import aclosing
from pathlib import Path

import pytest

from brain import DeliveryOptions, Event, EventStream
from brain.stream.retention import Retention, trim
from support.sizes import sizes

SAMPLES = 20


def memory() -> float:
    """Resident megabytes of this process: /proc/self/statm, second field, in pages. `gc.freeze` comes before."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("count", "megabytes"), sizes((100_000, 25), (1_000_000, 50)))
async def test_memory_is_flat_and_nothing_unread_goes(count: int, megabytes: int, tmp_path: Path) -> None:
    seen: list[int] = []
    gc.freeze()  # what earlier tests left, such as the syntax trees of all modules, is collected in none of the samples

    async def handler(event: Event) -> None:
        seen.append(event.payload["n"])
        await asyncio.sleep(0.001)

    async with EventStream.open(f"sqlite:///{tmp_path}/brain.db") as stream:
        stream.consumer("slow", "*", handler, DeliveryOptions(batch=100))
        task = asyncio.create_task(stream.run_consumers())
        used = []
        started = time.monotonic()
        for number in range(count):
            receipt = stream.publish(Event(type="test.counted", source="test_service", payload={"n": number}))
            if number % 500 == 0:
                await asyncio.sleep(0)
            if number % (count // SAMPLES) == count // SAMPLES - 1:
                used.append(memory())
        await receipt
        published = time.monotonic() - started
        used.append(memory())
        handled = len(seen)
        done = await stream.call(trim, stream.backend, Retention(max_count=1000), time.time())
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        print(f"{count} in {published:.0f} s, {handled} handled meanwhile; memory {min(used):.0f}-{max(used):.0f} MB")
        assert handled < count / 50
        assert max(used) - used[0] < megabytes
        assert done.blocked_by is not None
        assert done.blocked_by.name == "slow"
        async with aclosing(stream.subscribe("*", group="slow")) as rest:
            following = (await anext(rest)).payload["n"]
        assert following == len(seen)
        assert seen == list(range(len(seen)))
        assert len(await stream.read(limit=5, newest_first=True)) == 5
        (info,) = await stream.groups()
        assert info.lag + info.pending == count - len(seen)
