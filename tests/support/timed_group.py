"""A group in a process of its own that says how long each event took from publishing to handling."""

from __future__ import annotations

import asyncio
import time
from multiprocessing.connection import Connection

from brain import Event, EventStream
from support.waiting import until


def time_events(url: str, count: int, pipe: Connection) -> None:
    """Send "ready" once the group is there, then the seconds of so many events of `test.*`."""
    asyncio.run(_time_events(url, count, pipe))


async def _time_events(url: str, count: int, pipe: Connection) -> None:
    taken: list[float] = []

    async def handler(event: Event) -> None:
        taken.append(time.time() - event.timestamp)

    async with EventStream.open(url) as stream:
        stream.consumer("elsewhere", "test.*", handler)
        task = asyncio.create_task(stream.run_consumers())

        async def there() -> bool:
            return "elsewhere" in {group.name for group in await stream.groups()}

        await until(there)
        pipe.send("ready")
        await until(lambda: len(taken) >= count)
        task.cancel()
        await asyncio.wait({task})
    pipe.send(taken)
