"""Events of changes in the consumers' database: rows of the outbox, written in the transaction of the change."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Engine

from brain.charter import Event
from brain.errors import Unavailable
from brain.kit.outbox import claims
from brain.kit.outbox.table import Message, OutboxRow, put
from brain.stream import EventStream

EVENTS_CHANNEL = "stream"
"""The channel of a consumer whose rows are events for the stream, unless it has another."""

_STORED_WITHIN = 30.0  # seconds
_COMMAND_LEASE = 60.0  # seconds


def put_event(db: Connection, consumer: str, key: str, event: Event, now: float, channel: str = EVENTS_CHANNEL) -> None:
    """Announce a change in its own transaction. Events of one `key` are published in the order of their putting."""
    body = {"event": event.encode().decode()}
    put(db, Message(consumer=consumer, channel=channel, key=key, dedup=event.id, body=body), now)


async def publish_row(stream: EventStream, row: OutboxRow) -> Mapping[str, Any]:
    """Publish the row's event and wait until it is stored; a second time it is the same event. Raises Unavailable."""
    receipt = stream.publish(Event.decode(row.body["event"]))
    try:
        async with asyncio.timeout(_STORED_WITHIN):
            return {"position": await receipt}
    except TimeoutError as error:
        raise Unavailable("the event is journalled, and not yet stored in the stream") from error


async def publish_waiting(database: Engine, consumer: str, stream: EventStream, channel: str = EVENTS_CHANNEL) -> None:
    """Publish what waits, for a command that has changed something and ends: it does not wait until it is stored."""
    while True:
        token = uuid.uuid4().hex
        with database.begin() as db:
            row = claims.claim(db, consumer, channel, token, time.time(), _COMMAND_LEASE)
        if row is None:
            return
        receipt = stream.publish(Event.decode(row.body["event"]))
        if receipt.refused is not None:
            raise receipt.refused
        with database.begin() as db:
            claims.mark_sent(db, row, token, {"event_id": receipt.event_id}, time.time())
