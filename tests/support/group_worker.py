"""A process that consumes a group until it is killed; each effect is one transaction with the inbox."""

from __future__ import annotations

import asyncio
import os
import sqlite3

from brain import DeliveryOptions, Event, EventStream
from brain.stream.inbox import Inbox


def run(url: str, journal: str, effects: str, lease: float) -> None:
    """Consume the group `effects`: a row in the table of that name for each event."""
    asyncio.run(_consume(url, journal, effects, lease))


async def _consume(url: str, journal: str, effects: str, lease: float) -> None:
    connection = open_effects(effects)
    inbox = Inbox(connection, consumer="effects")

    async def handle(event: Event) -> None:
        if event.payload.get("poison"):
            os._exit(1)
        connection.execute("BEGIN IMMEDIATE")
        with inbox.once(event) as fresh:
            if fresh:
                connection.execute("INSERT INTO effects VALUES (?, ?)", (event.id, event.payload["n"]))
        connection.execute("COMMIT")

    stream = await EventStream.open(url, journal=journal, lease=lease)
    stream.consumer("effects", "test.*", handle, DeliveryOptions(batch=100, retry_delay=0.01))
    await stream.run_consumers()


def open_effects(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, timeout=20, check_same_thread=False)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("CREATE TABLE IF NOT EXISTS effects (event_id TEXT, n INTEGER)")
    return connection
