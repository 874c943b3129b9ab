"""A projection: what a consumer makes of the stream, written in one transaction with its position in the stream.

A kill at any moment therefore leaves each event's effect exactly once. Processes that run the same projection take
turns: the position is locked while a batch is applied, and who comes second goes on from the new one.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import NamedTuple

import msgspec
import sqlalchemy as sa

from brain.charter import Event, Pattern
from brain.errors import EnvelopeError
from brain.kit.database import OUTAGE, create_tables
from brain.logs import Log
from brain.plugins import PluginContext
from brain.stream import EventStream
from brain.stream.backends import Entry, NoGroup, position_key
from brain.stream.dead_letters import DeadLetter

log = Log("brain.projection")

_ID_CHARACTERS = 200

METADATA = sa.MetaData()
POSITIONS = sa.Table(
    "consumer_positions",
    METADATA,
    sa.Column("name", sa.String(100), primary_key=True),
    sa.Column("position", sa.String(50), nullable=False),
    sa.Column("applied", sa.BigInteger, nullable=False),
)
SEEN = sa.Table(
    "consumer_seen",
    METADATA,
    sa.Column("name", sa.String(100), primary_key=True),
    sa.Column("event_id", sa.String(_ID_CHARACTERS), primary_key=True),
    sa.Column("number", sa.BigInteger, nullable=False),
    sa.Index("consumer_seen_number", "name", "number"),
)
REMEMBERED = 200_000
"""Event ids kept to tell a duplicate: what a producer may send again after Redis lost its memory is far less."""
ATTEMPTS = 5
"""How often an event whose `apply` raises is tried alone before it becomes a dead letter."""
_ADVANCE_AFTER = 0.5  # seconds between two reports of the position to the stream

_BEGIN = "INSERT INTO consumer_positions (name, position, applied) VALUES (:name, '', 0) ON CONFLICT DO NOTHING"
_CLAIM = {
    "sqlite": "INSERT OR IGNORE INTO consumer_seen SELECT :name, value, :number FROM json_each(:ids) "
    "RETURNING event_id",
    "postgresql": "INSERT INTO consumer_seen SELECT :name, value, :number "
    "FROM jsonb_array_elements_text(CAST(:ids AS jsonb)) ON CONFLICT DO NOTHING RETURNING event_id",
}


class Item(NamedTuple):
    """One stored event: its position, its exact bytes, and the event, or None when the bytes are no valid one."""

    position: str
    data: bytes
    event: Event | None


Apply = Callable[[sa.Connection, Sequence[Item]], None]


class Projection:
    """Applies the events that match the pattern, in stream order and each once; `run` does it until cancelled.

    `apply` is called in a thread, inside the transaction; what it raises rolls the batch back. An outage of the
    database is waited for. Bytes that are no event are only applied under the pattern `*`. `committed` is called,
    in the event loop, after each batch.
    """

    def __init__(
        self,
        context: PluginContext,
        group: str,
        apply: Apply,
        *,
        pattern: str | Sequence[str] = "*",
        batch: int = 1000,
        committed: Callable[[], None] | None = None,
    ) -> None:
        self.group = group
        self.pattern = Pattern(pattern)
        self.applied = self.duplicates = self.dead = self.outages = 0
        self._stream: EventStream = context.stream
        self._database = context.database
        self._apply = apply
        self._batch = self._limit = batch
        self._committed = committed or (lambda: None)
        self._failures: Counter[str] = Counter()
        self._advanced: tuple[str, float] = ("", 0.0)

    async def run(self) -> None:
        """Consume until cancelled."""
        delay = 0.0
        while True:
            try:
                position = await asyncio.to_thread(self._begin)
                await self._stream.call(self._stream.backend.create_group, self.group, str(self.pattern), position)
                with self._stream.changes.listen() as changed:
                    while True:
                        changed.clear()
                        reached = await self._next(position)
                        delay = 0.0
                        if reached is not None:
                            position = reached
                        else:
                            await self._report(position, now=True)
                            await self._stream.wait_for_change(changed)
            except NoGroup:
                log.warning("group lost, making it anew", group=self.group)
            except OUTAGE as error:
                self.outages += 1
                delay = min(5.0, max(0.05, delay * 2))
                log.warning("waiting for stream or database", group=self.group, error=str(error))
                await asyncio.sleep(delay * random.uniform(0.5, 1.0))

    async def _next(self, position: str) -> str | None:
        """Apply what comes after the position; the position reached, or None when there was nothing."""
        entries = await self._stream.call(self._stream.backend.read, position, self._limit, self.group)
        if not entries:
            return await self._check_replaced(position)
        try:
            reached = await asyncio.to_thread(self._apply_batch, position, entries)
        except OUTAGE:
            raise
        except Exception as error:  # noqa: BLE001  (an event that cannot be applied must not hold up the others)
            return await self._failed(position, entries, error)
        self._limit = min(self._batch, self._limit * 2)
        self._committed()
        await self._report(reached)
        return reached

    def _begin(self) -> str:
        """The projection's position; it begins at the start of what the stream keeps."""
        create_tables(self._database, METADATA)
        with self._database.begin() as db:
            db.execute(sa.text(_BEGIN), {"name": self.group})
            return self._lock(db)

    def _lock(self, db: sa.Connection) -> str:
        query = sa.select(POSITIONS.c.position).where(POSITIONS.c.name == self.group).with_for_update()
        return str(db.execute(query).scalar_one())

    def _apply_batch(self, position: str, entries: Sequence[Entry]) -> str:
        items = [item for item in map(_item, entries) if self._wanted(item)]
        with self._database.begin() as db:
            stored = self._lock(db)
            if stored != position:
                return stored
            fresh = self._fresh(db, items)
            if fresh:
                self._apply(db, fresh)
            self._move(db, entries[-1].position, len(fresh))
        self.applied += len(fresh)
        self.duplicates += len(items) - len(fresh)
        return entries[-1].position

    def _wanted(self, item: Item) -> bool:
        return self.pattern.matches_all if item.event is None else self.pattern.matches(item.event.type)

    def _fresh(self, db: sa.Connection, items: Sequence[Item]) -> list[Item]:
        """Those never applied before, each once."""
        ids = [_key(item.event) for item in items if item.event is not None]
        number = db.execute(sa.select(POSITIONS.c.applied).where(POSITIONS.c.name == self.group)).scalar_one()
        claim = sa.text(_CLAIM[db.dialect.name])
        values = {"name": self.group, "number": number, "ids": msgspec.json.encode(list(dict.fromkeys(ids))).decode()}
        fresh_ids = set(db.execute(claim, values).scalars())
        found = []
        for item in items:
            if item.event is None:
                found.append(item)
            elif (key := _key(item.event)) in fresh_ids:
                fresh_ids.discard(key)
                found.append(item)
        db.execute(sa.delete(SEEN).where(SEEN.c.name == self.group, SEEN.c.number < number - REMEMBERED))
        return found

    def _move(self, db: sa.Connection, position: str, applied: int) -> None:
        db.execute(
            POSITIONS.update()
            .where(POSITIONS.c.name == self.group)
            .values(position=position, applied=POSITIONS.c.applied + applied)
        )

    async def _failed(self, position: str, entries: Sequence[Entry], error: Exception) -> str:
        """Narrow a failing batch down to one event, try that again, at last bury it; the position reached."""
        if len(entries) > 1:
            self._limit = max(1, len(entries) // 2)
            return position
        entry = entries[0]
        self._failures[entry.position] += 1
        attempts = self._failures[entry.position]
        words = f"{type(error).__name__}: {error}"
        log.error("event not applied", group=self.group, position=entry.position, attempts=attempts, error=words)
        if attempts < ATTEMPTS:
            await asyncio.sleep(0.05 * 2**attempts * random.uniform(0.5, 1.0))
            return position
        del self._failures[entry.position]
        await self._stream.call(self._dead_letter, entry, words)
        self.dead += 1
        return await asyncio.to_thread(self._pass_over, position, entry.position)

    def _dead_letter(self, entry: Entry, words: str) -> None:
        backend, consumer = self._stream.backend, "projection"
        letter = DeadLetter(
            group=self.group,
            position=entry.position,
            data=entry.data,
            error=words,
            attempts=ATTEMPTS,
            buried_at=time.time(),
        )
        backend.join(self.group, consumer)
        backend.dead_letter(letter, consumer)
        backend.expel(self.group, consumer)

    def _pass_over(self, position: str, reached: str) -> str:
        with self._database.begin() as db:
            stored = self._lock(db)
            if stored != position:
                return stored
            self._move(db, reached, 0)
            return reached

    async def _check_replaced(self, position: str) -> str | None:
        """Begin anew on a stream that ends before our position: it was replaced or emptied."""
        tail = await self._stream.call(self._stream.backend.tail)
        if position_key(tail) >= position_key(position):
            return None
        log.warning("the stream was replaced; beginning at its start", group=self.group, position=position, tail=tail)
        return await asyncio.to_thread(self._pass_over, position, "")

    async def _report(self, position: str, now: bool = False) -> None:
        """Tell the stream how far the group has come, for its lag and its retention."""
        reported, at = self._advanced
        if position != reported and (now or time.monotonic() - at > _ADVANCE_AFTER):
            await self._stream.call(self._stream.backend.advance, self.group, position)
            self._advanced = (position, time.monotonic())


def _key(event: Event) -> str:
    """The event's id; a digest in the place of one that is longer than an index takes."""
    return event.id if len(event.id) <= _ID_CHARACTERS else f"sha256 {sha256(event.id.encode()).hexdigest()}"


def _item(entry: Entry) -> Item:
    try:
        return Item(*entry, Event.decode(entry.data))
    except EnvelopeError as error:
        log.warning("stored bytes are not an event", position=entry.position, error=str(error))
        return Item(*entry, None)
