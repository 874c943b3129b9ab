"""A stream under steady traffic while something happens to its server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from brain import Event, EventStream
from support.waiting import until

_PAUSE = 0.002


async def through(
    url: str, journal: Path, happening: Callable[[], object], more: int = 100
) -> tuple[list[str], list[str]]:
    """Publish and consume before, during and after; the ids accepted, and those a group received (first time each)."""
    accepted: list[str] = []
    received: dict[str, None] = {}
    async with EventStream.open(url, journal=journal, lease=2.0) as stream:
        stream.consumer("g", "*", lambda event: received.setdefault(event.id))
        consuming = asyncio.create_task(stream.run_consumers())

        async def publish(count: int) -> None:
            for _ in range(count):
                event = Event(type="policy.rule_created", source="policy_service", payload={"number": len(accepted)})
                assert stream.publish(event).refused is None
                accepted.append(event.id)
                await asyncio.sleep(_PAUSE)

        await publish(more)
        running = asyncio.create_task(asyncio.to_thread(happening))
        while not running.done():
            await publish(1)
        running.result()
        await publish(more)
        await until(lambda: len(received) == len(accepted), 60)
        consuming.cancel()
        await asyncio.gather(consuming, return_exceptions=True)
    return accepted, list(received)
