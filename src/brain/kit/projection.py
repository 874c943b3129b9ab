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
from typing import Any

from brain.extras import needs

with needs(__name__):
    import sqlalchemy as sa

from brain.charter import Pattern
from brain.kit import positions
from brain.kit.applied_ids import AppliedIds
from brain.kit.database import OUTAGE, create_tables, is_broken
from brain.kit.database_identity import GroupOwner, claim_group, identify
from brain.kit.database_threads import for_tasks
from brain.kit.lineage import CannotContinue, Place, anchor_of, locate
from brain.kit.positions import POSITIONS
from brain.kit.rounds import Rounds
from brain.kit.schema import NewerSchema
from brain.logs import Log
from brain.plugins import PluginContext
from brain.stream import EventStream
from brain.stream.backends import Entry, NoGroup, position_key
from brain.stream.closed import Closed
from brain.stream.dead_letters import DeadLetter
from brain.stream.decoded import ID_CHARACTERS, DecodedEvent, Page
from brain.stream.matching import type_filter
from brain.stream.retry import Backoff, retry_delay

__all__ = ["Item", "Projection"]

log: Log = Log("brain.projection")

REMEMBERED = 200_000
"""Event ids kept to find duplicates: what a producer may send again after Redis lost its memory is far less."""
ATTEMPTS = 5
"""How often an event whose `apply` raises is tried alone before it becomes a dead letter."""
_STORE_AFTER = 5.0  # seconds for which the position is not written while nothing wanted comes
_ADVANCE_AFTER = 0.5  # seconds between two reports of the position to the stream
_QUICK, _SLOW = 0.5, 2.0  # seconds of a batch: others wait for the database meanwhile
_STAND = 5.0  # seconds between two looks whether somebody has mended what a projection stands still for
_STANDSTILL = (CannotContinue, NewerSchema)

Item = DecodedEvent
"""What `apply` is given. Its event is shared with the other projections of the process: never change it."""

Apply = Callable[[sa.Connection, Sequence[Item]], None]


class Projection:
    """Applies the events that match the pattern, in stream order and each once; `run` does it until cancelled.

    `run` raises OwnedElsewhere when another database keeps the group.

    `apply` is called in a thread, inside the transaction; what it raises rolls the batch back. An outage of the
    database is waited for. Bytes that are no event are only applied under the pattern `*`. `committed` is called
    in the same thread, right after the commit of a batch that changed something, also when the task was cancelled
    meanwhile. `former` is the name that the group once had: it goes on from the position of that one.
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
        self.pattern: Pattern = Pattern(pattern)
        self.applied: int = 0
        self.duplicates: int = 0
        self.dead: int = 0
        self.outages: int = 0
        self._wanted = type_filter(self.pattern)
        self._former = former
        self._stored = Place("")  # as the database has it; what lies between it and the one reached is not wanted
        self._reached = self._stored
        self._anchored = 0  # how many events were applied when an anchor was kept last
        self._stored_at = 0.0
        self._caught_up = False  # whether the end of the stream was reached, and stored, since the start
        self._stream: EventStream = context.stream
        self._database = context.database
        self._apply = apply
        self.batch = 1000
        """Events in one transaction at most."""
        self.batches_behind = 4
        """How many times as many there may be while more wait and a transaction is quick."""
        self._limit = self.batch
        self._committed = committed or (lambda: None)
        self._failures: Counter[str] = Counter()
        self._advanced: tuple[str, float] = ("", 0.0)
        self._owner = GroupOwner("", "")
        self._ids = AppliedIds(group, REMEMBERED)

    async def run(self) -> None:
        """Consume until cancelled."""
        backoff = Backoff(0.05, 5.0)
        while True:
            try:
                await self._consume(backoff)
            except NoGroup:
                log.warning("the group is gone; making it again", group=self.group)
            except _STANDSTILL as error:
                await self._stand_still(error)
            except Closed:
                raise
            except OUTAGE as error:
                self.outages += 1
                self._limit = max(1, min(self.batch, self._limit) // 2)  # a batch that takes too long is an outage, too
                log.warning("a projection waits for the stream or the database", group=self.group, error=str(error))
                await asyncio.sleep(backoff.next_delay())

    async def _consume(self, backoff: Backoff) -> None:
        rounds = Rounds.of(self._stream, self._database)
        await rounds.ended(self)
        rounds.enter(self)
        try:
            position = await for_tasks(self._database, self._begin)
            await self._stream.call(self._make_group, position)
            with self._stream.changes.listen() as changed:
                while True:
                    changed.clear()
                    rounds.enter(self, position)
                    reached = await self._next(rounds, position)
                    backoff.reset()
                    if reached is not None:
                        position = reached
                    else:
                        rounds.leave(self)
                        position = await self._rest_at(position)
                        await self._stream.wait_for_change(changed)
        finally:
            rounds.leave(self)

    async def _next(self, rounds: Rounds, position: str) -> str | None:
        """Apply what comes after the position; the position reached, or None when there was nothing."""
        size = min(self.batch * self.batches_behind, self._limit)
        place = (position, self._reached.anchor, min(size, self.batch))
        page = await rounds.read(self, place, lambda: self._read_for_all(position, size))
        if page is None:
            page = await self._stream.call(self._read, position, size)
        if page is None:
            attached = await for_tasks(self._database, self._attach)
            if attached != position:
                return attached
            page = Page(await self._stream.call(self._stream.backend.read, position, size, self.group))
        if not page.entries:
            return None
        try:
            reached, seconds = await rounds.apply(self, position, page)
        except (*OUTAGE, *_STANDSTILL):
            raise
        except Exception as error:  # noqa: BLE001  (an event that cannot be applied must not hold up the others)
            rounds.leave(self)
            self._check_database(error)
            return await self._failed(position, page.entries, error)
        self._adapt(len(page.entries), seconds)
        await self._report()
        return reached

    def _adapt(self, count: int, seconds: float) -> None:
        """Take more at once while that is quick: rows that many events share are written once for all of them."""
        if self._limit < self.batch:
            self._limit = min(self.batch, self._limit * 2)
        elif seconds > _SLOW:
            self._limit = max(self.batch, self._limit // 2)
        elif seconds < _QUICK and count >= self._limit:
            self._limit = min(self.batch * self.batches_behind, self._limit * 2)

    async def _rest_at(self, position: str) -> str:
        """There is nothing more to read: store and report the position where that is due; where to go on."""
        if position != self._stored.position and (not self._caught_up or self._is_store_due()):
            position = await for_tasks(self._database, self._pass_over, self._reached)
        self._caught_up = True
        await self._report(now=True)
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

    async def _stand_still(self, error: Exception) -> None:
        """Wait for somebody to mend or decide it; it shows in `/readyz` meanwhile."""
        reason = str(error)
        if self._stream.standing.get(self.group) != reason:
            self._stream.standing[self.group] = reason
            log.error("a projection stands still", group=self.group, reason=reason)
        await asyncio.sleep(_STAND)

    def _check_database(self, error: Exception) -> None:
        """Raises CannotContinue when what failed is no fault of the event: another one would fail just so."""
        if is_broken(error):
            raise CannotContinue(f"group {self.group}: its database cannot be used: {error}") from error

    def _begin(self) -> str:
        """Where the projection goes on, in the stream as it is now."""
        try:
            create_tables(self._database, positions.METADATA)
            if self._former:
                self._take_former_name()
            self._owner = identify(self._database)
            claim_group(self._stream.backend, self._owner, self.group)
            with self._database.begin() as db:
                positions.begin(db, self.group)
            self._ids.forget()
            position = self._attach()
        except sa.exc.DBAPIError as error:
            self._check_database(error)
            raise
        self._stream.standing.pop(self.group, None)
        return position

    def _attach(self) -> str:
        """Find the group's place in the stream, which may have been restored or replaced. Raises CannotContinue."""
        backend = self._stream.backend
        while True:
            identity = backend.identity()
            with self._database.begin() as db:
                known = positions.read_known(db, self.group)
            assert known is not None
            position = locate(backend, known, identity, REMEMBERED)
            place = known.place
            if position != place.position or not place.anchor:
                place = Place(position, anchor_of(backend.at(position)), place.applied)
            with self._database.begin() as db:
                if positions.lock(db, self.group) != known.place:
                    continue  # another process was quicker
                positions.attach(db, known, place, identity)
            if position != known.place.position:
                was = known.place.position
                log.warning(
                    "the stream was restored or replaced", group=self.group, position=was, goes_on_after=position
                )
            self._anchored = max((older.applied for older in known.anchors), default=0)
            self._note_stored(place)
            return position

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
            positions.rename(db, former, self.group)
        log.info("a projection has a new name", group=self.group, former=former)

    @property
    def wants_all(self) -> bool:
        """Whether every event is decoded for it."""
        return self._wanted is None

    def passed_over(self, page: Page) -> str | None:
        """The position reached, when the page has nothing for this projection and need not be stored."""
        if self._is_store_due() or page.decoded(self._wanted, self.pattern):
            return None
        last = page.entries[-1]
        self._reached = Place(last.position, anchor_of(last.data))
        return last.position

    def apply_page(self, db: sa.Connection, page: Page) -> Callable[[], str]:
        """Apply what the page has for this projection; see `brain.kit.rounds.Member`."""
        stands = positions.lock(db, self.group)
        if self._moved_by_another(stands):
            return lambda: stands.position
        items = page.decoded(self._wanted, self.pattern)
        fresh, keep = self._fresh(db, stands.applied, items) if items else ([], _nothing)
        if fresh:
            self._apply(db, fresh)
        last = page.entries[-1]
        place = Place(last.position, anchor_of(last.data), stands.applied + len(fresh))
        positions.move(db, self.group, place)
        if anchored := place.applied >= self._anchored + positions.ANCHOR_EVERY:
            positions.keep_anchor(db, self.group, place, REMEMBERED)

        def committed() -> str:
            if anchored:
                self._anchored = place.applied
            self._note_stored(place)
            self.applied += len(fresh)
            self.duplicates += len(items) - len(fresh)
            keep()
            if fresh:
                self._committed()
            return place.position

        return committed

    def _moved_by_another(self, stands: Place) -> bool:
        """Whether another process has moved the position, which is locked; this one goes on from there."""
        if stands[:2] == self._stored[:2]:
            return False
        self._stored = self._reached = stands
        return True

    def _note_stored(self, place: Place) -> None:
        self._stored = self._reached = place
        self._stored_at = time.monotonic()

    def _fresh(
        self, db: sa.Connection, applied: int, items: Sequence[Item]
    ) -> tuple[Sequence[Item], Callable[[], None]]:
        """Those never applied before, each once, noted as applied; and what is to be called after the commit."""
        wanted = self._ids.fresh(db, applied, [item.digest for item in items if item.event is not None])
        found = items if len(wanted) == len(items) else _first_of_each(items, wanted)
        events = [item for item in found if item.event is not None]
        last = events[-1].event if events else None
        digests = [item.digest for item in events]
        last_id = last.id[:ID_CHARACTERS] if last else ""
        return found, self._ids.store(db, applied, applied + len(found), digests, last_id)

    async def _failed(self, position: str, entries: Sequence[Entry], error: Exception) -> str:
        """Narrow a failing batch down to one event, try that again, at last give it up; the position reached."""
        if len(entries) > 1:
            self._limit = max(1, len(entries) // 2)
            return position
        entry = entries[0]
        self._failures[entry.position] += 1
        attempts = self._failures[entry.position]
        reason = f"{type(error).__name__}: {error}"
        about: dict[str, Any] = {"group": self.group, "position": entry.position, "attempts": attempts, "error": reason}
        if attempts < ATTEMPTS:
            log.warning("an event was not applied, trying again", **about)
            await asyncio.sleep(retry_delay(attempts, 0.1, 5.0))
            return position
        log.error("an event was not applied; it is a dead letter", **about)
        del self._failures[entry.position]
        await self._stream.call(self._dead_letter, entry, reason)
        self.dead += 1
        return await for_tasks(self._database, self._pass_over, Place(entry.position, anchor_of(entry.data)))

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

    def _pass_over(self, reached: Place) -> str:
        with self._database.begin() as db:
            stands = positions.lock(db, self.group)
            if self._moved_by_another(stands):
                return stands.position
            place = reached._replace(applied=stands.applied)
            positions.move(db, self.group, place)
        self._note_stored(place)
        return place.position

    def _read(self, position: str, size: int) -> Page | None:
        """The next events; None when the stream is perhaps not the one that was read up to the position any more.

        In this order: had it been restored before the look, what was read might be of another line.
        """
        entries = self._stream.backend.read(position, size, self.group)
        return Page(entries) if self._is_there(position) else None

    def _read_for_all(self, position: str, size: int) -> Page | None:
        """As `_read`, for every projection that has reached the same place; None also where it is not for all."""
        entries = self._stream.backend.read_common(position, size)
        return Page(entries) if entries is not None and self._is_there(position) else None

    def _is_there(self, position: str) -> bool:
        """Whether the last event that was read is in the stream, at its place: one look-up by key."""
        backend, reached = self._stream.backend, self._reached
        if not reached.anchor:  # at the start, or behind what retention deleted
            return position_key(backend.tail()) >= position_key(position)
        return reached.position == position and anchor_of(backend.at(position)) == reached.anchor

    async def _report(self, now: bool = False) -> None:
        """Tell the stream how far the group has come, for its lag and its retention: never further than is stored."""
        position = self._stored.position
        reported, at = self._advanced
        if position != reported and (now or time.monotonic() - at > _ADVANCE_AFTER):
            await self._stream.call(self._advance, position)
            self._advanced = (position, time.monotonic())

    def _advance(self, position: str) -> None:
        claim_group(self._stream.backend, self._owner, self.group)  # it may have been moved to another database
        self._stream.backend.advance(self.group, position)


def _nothing() -> None:
    """There is nothing to note after the commit."""


def _first_of_each(items: Sequence[Item], wanted: set[bytes]) -> list[Item]:
    """The first of each that is wanted, and what is no event."""
    left, found = set(wanted), []
    for item in items:
        if item.event is None or item.digest in left:
            left.discard(item.digest)
            found.append(item)
    return found
