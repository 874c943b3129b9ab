"""The peers of the stream: FastStream on the same Redis, and the eventsourcing package on an SQLite file.

Each is used as its documentation shows: FastStream publishes to and consumes a Redis Stream with a group; eventsourcing
saves the events of aggregates through its SQLite recorder, a thousand in one call.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from pathlib import Path
from typing import Any


async def faststream(url: str, payload: dict[str, Any], publish: int, consume: int) -> dict[str, float]:
    """Events a second published (awaited one by one), and consumed by a no-op handler of a group."""
    from faststream.redis import RedisBroker, StreamSub

    broker = RedisBroker(url, logger=None)
    seen = 0
    finished = asyncio.Event()

    @broker.subscriber(stream=StreamSub("peer", group="g", consumer="c", last_id=">", max_records=1_000))
    async def handle(_: dict[str, Any]) -> None:
        nonlocal seen
        seen += 1
        if seen == consume:
            finished.set()

    await broker.connect()
    started = time.perf_counter()
    for _ in range(publish):
        await broker.publish(payload, stream="quiet")
    published = publish / (time.perf_counter() - started)
    await broker.start()
    started = time.perf_counter()
    waiting = asyncio.create_task(finished.wait())
    for _ in range(consume):
        await broker.publish(payload, stream="peer")
    all_published = time.perf_counter()
    async with asyncio.timeout(120):
        await waiting
    consumed = consume / (time.perf_counter() - started)
    await broker.stop()
    return {"publish": published, "through": consumed, "publish_alone_s": all_published - started}


def eventsourcing(folder: Path, data: bytes, count: int) -> float:
    """Events a second through the package's SQLite recorder, a thousand in one call."""
    from eventsourcing.persistence import StoredEvent
    from eventsourcing.sqlite import SQLiteApplicationRecorder, SQLiteDatastore

    recorder = SQLiteApplicationRecorder(SQLiteDatastore(str(folder / "peer.db")))
    recorder.create_table()
    batches = [
        [
            StoredEvent(originator_id=origin, originator_version=number + 1, topic="t", state=data)
            for number in range(1_000)
        ]
        for origin in (uuid.uuid4() for _ in range(count // 1_000))
    ]
    started = time.perf_counter()
    for batch in batches:
        recorder.insert_events(batch)
    return count / (time.perf_counter() - started)
