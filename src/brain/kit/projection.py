"""A projection: what a consumer makes of the stream, written in one transaction with its position in the stream.

A kill at any moment therefore leaves each event's effect exactly once. Processes that run the same projection take
turns: the position is locked while a batch is applied, and who comes second goes on from the new one.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from hashlib import sha256

import msgspec
import sqlalchemy as sa

from brain.charter import Event, Pattern
from brain.kit.database import OUTAGE, create_tables
from brain.kit.database_identity import GroupOwner, claim_group, identify
from brain.kit.database_threads import for_tasks
from brain.logs import Log
from brain.plugins import PluginContext
from brain.stream import EventStream
from brain.stream.backends import Entry, NoGroup, position_key
from brain.stream.dead_letters import DeadLetter
from brain.stream.decoded import DecodedEvent
from brain.stream.matching import type_filter
from brain.stream.retry import Backoff, retry_delay

__all__ = ["Item", "Projection"]

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
"""Event ids kept to find duplicates: what a producer may send again after Redis lost its memory is far less."""
ATTEMPTS = 5
"""How often an event whose `apply` raises is tried alone before it becomes a dead letter."""
_STORE_AFTER = 5.0  # seconds for which the position is not written while nothing wanted comes
_ADVANCE_AFTER = 0.5  # seconds between two reports of the position to the stream

_BEGIN = "INSERT INTO consumer_positions (name, position, applied) VALUES (:name, '', 0) ON CONFLICT DO NOTHING"
_CLAIM = {
    "sqlite": "INSERT OR IGNORE INTO consumer_seen SELECT :name, value, :number FROM json_each(:ids) "
    "RETURNING event_id",
    "postgresql": "INSERT INTO consumer_seen SELECT :name, value, :number "
    "FROM jsonb_array_elements_text(CAST(:ids AS jsonb)) ON CONFLICT DO NOTHING RETURNING event_id",
}


Item = DecodedEvent
"""What `apply` is given. Its event is shared with the other projections of the process: never change it."""

Apply = Callable[[sa.Connection, Sequence[Item]], None]


class Projection:
    """Applies the events that match the pattern, in stream order and each once; `run` does it until cancelled.

    `run` raises OwnedElsewhere when another database keeps the group.

    `apply` is called in a thread, inside the transaction; what it raises rolls the batch back. An outage of the
    database is waited for. Bytes that are no event are only applied under the pattern `*`. `committed` is called,
    in the event loop, after each batch that changed something. `former` is the name that the group once had: it goes
    on from the position of that one.
    """

    def __init__(
        self,
        context: PluginContext,
        group: str,
        apply: Apply,
        *,
        pattern: str | Sequence[str] = "*",
        committed: Callable[[], None] | None = None,
        former: str = "",
    ) -> None:
        self.group = group
        self.pattern = Pattern(pattern)
        self.applied = self.duplicates = self.dead = self.outages = 0
        self._wanted = type_filter(self.pattern)
        self._former = former
        self._stored = ""  # the position in the database; what lies between it and the one reached is not wanted
        self._stored_at = 0.0
        self._caught_up = False  # whether the end of the stream was reached, and stored, since the start
        self._stream: EventStream = context.stream
        self._database = context.database
        self._apply = apply
        self.batch = 1000
        """Events in one transaction at most."""
        self._limit = self.batch
        self._committed = committed or (lambda: None)
        self._failures: Counter[str] = Counter()
        self._advanced: tuple[str, float] = ("", 0.0)
        self._owner = GroupOwner("", "")

    async def run(self) -> None:
        """Consume until cancelled."""
        backoff = Backoff(0.05, 5.0)
        while True:
            try:
                position = await for_tasks(self._database, self._begin)
                await self._stream.call(self._make_group, position)
                with self._stream.changes.listen() as changed:
                    while True:
                        changed.clear()
                        reached = await self._next(position)
                        backoff.reset()
                        if reached is not None:
                            position = reached
                        else:
                            position = await self._rest_at(position)
                            await self._stream.wait_for_change(changed)
            except NoGroup:
                log.warning("the group is gone; making it again", group=self.group)
            except OUTAGE as error:
                self.outages += 1
                self._limit = max(1, min(self.batch, self._limit) // 2)  # a batch that takes too long is an outage, too
                log.warning("a projection waits for the stream or the database", group=self.group, error=str(error))
                await asyncio.sleep(backoff.next_delay())

    async def _next(self, position: str) -> str | None:
        """Apply what comes after the position; the position reached, or None when there was nothing."""
        size = min(self.batch, self._limit)
        entries = await self._stream.call(self._stream.backend.read, position, size, self.group)
        if not entries:
            return await self._check_replaced(position)
        before = self.applied
        try:
            reached = await for_tasks(self._database, self._apply_batch, entries)
        except OUTAGE:
            raise
        except Exception as error:  # noqa: BLE001  (an event that cannot be applied must not hold up the others)
            return await self._failed(position, entries, error)
        self._limit = min(self.batch, self._limit * 2)
        if self.applied != before:
            self._committed()
        await self._report(reached)
        return reached

    async def _rest_at(self, position: str) -> str:
        """There is nothing more to read: store and report the position where that is due; where to go on."""
        if position != self._stored and (not self._caught_up or self._is_store_due()):
            position = await for_tasks(self._database, self._pass_over, position)
        self._caught_up = True
        await self._report(position, now=True)
        return position

    def _is_store_due(self) -> bool:
        return time.monotonic() - self._stored_at > _STORE_AFTER

    def _make_group(self, position: str) -> None:
        """Make the group where there is none, and let go of what a stranger took from it: we read by position."""
        backend, member = self._stream.backend, f"projection-{os.urandom(4).hex()}"
        backend.create_group(self.group, str(self.pattern), position)
        backend.join(self.group, member)
        held = backend.take_over(self.group, member)
        backend.ack(self.group, member, [one.position for one in held])
        backend.expel(self.group, member)

    def _begin(self) -> str:
        """The projection's position; it begins at the start of what the stream keeps."""
        create_tables(self._database, METADATA)
        if self._former:
            self._take_former_name()
        self._owner = identify(self._database)
        claim_group(self._stream.backend, self._owner, self.group)
        with self._database.begin() as db:
            db.execute(sa.text(_BEGIN), {"name": self.group})
            self._note_stored(self._lock(db))
        return self._stored

    def _take_former_name(self) -> None:
        """Go on from where the projection stood under its former name; once, whatever is killed meanwhile."""
        former, name = self._former, POSITIONS.c.name
        with self._database.begin() as db:
            known = set(db.execute(sa.select(name).where(name.in_((former, self.group)))).scalars())
        if known != {former}:
            return
        # The stream first: after a kill in between, the database still has the former name, and this is done again.
        self._stream.backend.rename_group(former, self.group)
        with self._database.begin() as db:
            if db.execute(POSITIONS.update().where(name == former).values(name=self.group)).rowcount:
                db.execute(SEEN.update().where(SEEN.c.name == former).values(name=self.group))
        log.info("a projection has a new name", group=self.group, former=former)

    def _lock(self, db: sa.Connection) -> str:
        query = sa.select(POSITIONS.c.position).where(POSITIONS.c.name == self.group).with_for_update()
        return str(db.execute(query).scalar_one())

    def _apply_batch(self, entries: Sequence[Entry]) -> str:
        items = self._stream.decoded.decode(entries, self._wanted)
        reached = entries[-1].position
        if not items and not self._is_store_due():
            return reached
        with self._database.begin() as db:
            if (theirs := self._moved_by_another(db)) is not None:
                return theirs
            fresh = self._fresh(db, items) if items else []
            if fresh:
                self._apply(db, fresh)
            self._move(db, reached, len(fresh))
        self._note_stored(reached)
        self.applied += len(fresh)
        self.duplicates += len(items) - len(fresh)
        return reached

    def _moved_by_another(self, db: sa.Connection) -> str | None:
        """The position in the database, locked, when another process has moved it; this one goes on from there."""
        stored = self._lock(db)
        if stored == self._stored:
            return None
        self._stored = stored
        return stored

    def _note_stored(self, position: str) -> None:
        self._stored, self._stored_at = position, time.monotonic()

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
        """Narrow a failing batch down to one event, try that again, at last give it up; the position reached."""
        if len(entries) > 1:
            self._limit = max(1, len(entries) // 2)
            return position
        entry = entries[0]
        self._failures[entry.position] += 1
        attempts = self._failures[entry.position]
        reason = f"{type(error).__name__}: {error}"
        log.error(
            "an event was not applied", group=self.group, position=entry.position, attempts=attempts, error=reason
        )
        if attempts < ATTEMPTS:
            await asyncio.sleep(retry_delay(attempts, 0.1, 5.0))
            return position
        del self._failures[entry.position]
        await self._stream.call(self._dead_letter, entry, reason)
        self.dead += 1
        return await for_tasks(self._database, self._pass_over, entry.position)

    def _dead_letter(self, entry: Entry, reason: str) -> None:
        backend, member = self._stream.backend, f"projection-{os.urandom(4).hex()}"
        letter = DeadLetter(
            group=self.group,
            position=entry.position,
            data=entry.data,
            error=reason,
            attempts=ATTEMPTS,
            buried_at=time.time(),
        )
        backend.join(self.group, member)
        backend.dead_letter(letter, member)
        backend.expel(self.group, member)

    def _pass_over(self, reached: str) -> str:
        with self._database.begin() as db:
            if (theirs := self._moved_by_another(db)) is not None:
                return theirs
            self._move(db, reached, 0)
        self._note_stored(reached)
        return reached

    async def _check_replaced(self, position: str) -> str | None:
        """Begin at the start of a stream that ends before our position: it was replaced or emptied."""
        tail = await self._stream.call(self._stream.backend.tail)
        if position_key(tail) >= position_key(position):
            return None
        log.warning("the stream was replaced; beginning at its start", group=self.group, position=position, tail=tail)
        return await for_tasks(self._database, self._pass_over, "")

    async def _report(self, position: str, now: bool = False) -> None:
        """Tell the stream how far the group has come, for its lag and its retention."""
        reported, at = self._advanced
        if position != reported and (now or time.monotonic() - at > _ADVANCE_AFTER):
            await self._stream.call(self._advance, position)
            self._advanced = (position, time.monotonic())

    def _advance(self, position: str) -> None:
        claim_group(self._stream.backend, self._owner, self.group)  # it may have been moved to another database
        self._stream.backend.advance(self.group, position)


def _key(event: Event) -> str:
    """The event's id; a digest in the place of one that is longer than an index takes."""
    return event.id if len(event.id) <= _ID_CHARACTERS else f"sha256 {sha256(event.id.encode()).hexdigest()}"
