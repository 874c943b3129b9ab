"""Events of changes in the consumers' database: rows written in the transaction of the change.

A consumer calls `put_event` in the transaction, and runs an `EventShipping`, which takes the rows to the stream: each
event once, whatever is killed (brain.stream.outbox_shipment says how).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import sqlalchemy as sa

from brain.charter import Event
from brain.kit.database import OUTAGE, create_tables, reading
from brain.kit.database_identity import identify, known_identity
from brain.kit.database_threads import for_tasks
from brain.kit.outbox.news import news_of, note_written
from brain.kit.outbox.table import event_row, events, metadata
from brain.kit.sql import insert_missing
from brain.locks import InterruptibleLock
from brain.logs import Log
from brain.stream.outbox_rows import OutboxRow, encoded
from brain.stream.outbox_shipment import OutboxShipment, give_way
from brain.stream.retry import Backoff

if TYPE_CHECKING:
    from brain.stream import EventStream

log: Log = Log("brain.outbox")


LOOK = 10.0
"""Seconds between two looks when nothing was written here: for rows of processes that ended before shipping them."""


def put_event(db: sa.Connection, consumer: str, event: Event, now: float) -> None:
    """Announce a change in its own transaction. Raises EnvelopeError for an event that no stream takes."""
    put_encoded(db, consumer, [encoded(event)], now)


def put_encoded(db: sa.Connection, consumer: str, rows: Sequence[bytes], now: float) -> None:
    """The same for encoded events, in order; a row may hold several, one a line."""
    db.execute(sa.insert(events), [event_row(consumer, data, now) for data in rows])
    note_written(db, events_topic(consumer))


def events_topic(consumer: str) -> str:
    """What `news_of` calls new events of the consumer."""
    return f"events {consumer}"


class DatabaseRows:
    """The rows of one consumer, as a shipment takes them. Blocks; raises what `OUTAGE` names."""

    def __init__(self, database: sa.Engine, consumer: str) -> None:
        self._database = database
        self._consumer = consumer

    def producer(self) -> str:
        """The name under which the rows are appended: all processes have the same."""
        identity = known_identity(self._database) or identify(self._database).identity
        return f"outbox {identity} {self._consumer}"

    def oldest(self, limit: int) -> Sequence[OutboxRow]:
        """The first rows."""
        query = sa.select(events).where(events.c.consumer == self._consumer).order_by(events.c.id).limit(limit)
        with reading(self._database).begin() as db:
            return [OutboxRow(_key(row.id, row.token), row.data) for row in db.execute(query)]

    def delete(self, keys: Sequence[str]) -> None:
        """Delete those of these rows that are there."""
        mine = sa.tuple_(events.c.id, events.c.token).in_([_parts(key) for key in keys])
        with self._database.begin() as db:
            db.execute(sa.delete(events).where(mine))

    def put_back(self, rows: Mapping[str, bytes]) -> None:
        """Make the rows again, by key."""
        now = time.time()
        with self._database.begin() as db:
            insert_missing(
                db,
                events,
                [
                    {"id": id, "token": token, "consumer": self._consumer, "created_at": now, "data": data}
                    for (id, token), data in ((_parts(key), data) for key, data in rows.items())
                ],
            )


class EventShipping:
    """The task that takes a consumer's events to the stream. `run` goes on until it is cancelled."""

    def __init__(self, database: sa.Engine, consumer: str, stream: EventStream) -> None:
        self.outages: int = 0
        self.database = database
        self.consumer = consumer
        self._stream = stream
        self._shipment = OutboxShipment(DatabaseRows(database, consumer), stream.backend)
        self._shipping = InterruptibleLock()  # a thread may outlive the task that was cancelled

    async def run(self) -> None:
        """Ship what is there, and what comes: each transaction of this process that puts events wakes it."""
        backoff = Backoff(0.05, 5.0)
        with news_of(self.database, events_topic(self.consumer)).listen() as news:
            while True:
                news.clear()
                try:
                    await for_tasks(self.database, self.ship)
                except OUTAGE as error:
                    self.outages += 1
                    log.warning("events of changes wait", consumer=self.consumer, error=str(error))
                    await asyncio.sleep(backoff.next_delay())
                    continue
                backoff.reset()
                try:
                    async with asyncio.timeout(LOOK):
                        await news.wait()
                except TimeoutError:
                    await for_tasks(self.database, self._look_back)

    def ship(self) -> None:
        """Take all rows to the stream. Blocks. Raises what `OUTAGE` names."""
        create_tables(self.database, metadata)
        with self._shipping:
            before = self._shipment.shipped
            while (keys := self._shipment.ship()) != []:
                if keys is None:
                    give_way()
            if self._shipment.shipped != before:
                self._stream.changes.notify()

    def _look_back(self) -> None:
        with self._shipping:
            try:
                self._shipment.look_back()
            except OUTAGE as error:
                self.outages += 1
                log.warning("events of changes cannot be compared with the stream", error=str(error))


async def ship_waiting(database: sa.Engine, consumer: str, stream: EventStream) -> None:
    """Take what waits to the stream, for a command that has changed something and ends.

    While stream or database are away, the rows wait for the server.
    """
    try:
        await for_tasks(database, EventShipping(database, consumer, stream).ship)
    except OUTAGE as error:
        log.warning("the events of this change wait for the server", consumer=consumer, error=str(error))


def waiting_events(db: sa.Connection, consumer: str) -> tuple[int, float | None]:
    """How many rows wait, and when the oldest was put, in Unix seconds."""
    query = sa.select(sa.func.count(), sa.func.min(events.c.created_at)).where(events.c.consumer == consumer)
    count, oldest = db.execute(query).one()
    return count, oldest


def _key(id: int, token: str) -> str:
    return f"{id}-{token}"


def _parts(key: str) -> tuple[int, str]:
    id, _, token = key.partition("-")
    return int(id), token
