"""A process that publishes until it is killed, and says which ids `publish` has returned for."""

from __future__ import annotations

import asyncio
import os

from brain import Event, EventStream


def run(url: str, journal: str, name: str, acknowledged: str, seed: int) -> None:
    """Append the id of each event to the file `acknowledged` once its `publish()` has returned."""
    asyncio.run(_publish(url, journal, name, acknowledged, seed))


async def _publish(url: str, journal: str, name: str, acknowledged: str, seed: int) -> None:
    stream = await EventStream.open(url, journal=journal)
    out = os.open(acknowledged, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    number = 0
    while True:
        for _ in range(1 + (seed + number) % 50):
            event = Event(type="test.counted", source="test_service", payload={"producer": name, "n": number})
            if stream.publish(event).refused is None:
                os.write(out, f"{event.id}\n".encode())
            number += 1
        await asyncio.sleep(0)
