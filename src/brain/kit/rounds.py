"""Rounds: the projections of a process that stand at the same place in the stream go on together.

One reads a page for all of them, and each event is decoded once. On SQLite, which has one writer, they apply it in one
transaction; on PostgreSQL each in its own, at the same time. When one of them fails, each does it by itself, so that a
fault of one rolls nobody else back. Who is at another place makes rounds of its own, and joins at the stream's end.
"""

from __future__ import annotations

import asyncio
import time
import weakref
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

import sqlalchemy as sa

from brain.garbage import gc_paused
from brain.kit.database_threads import for_tasks
from brain.logs import Log
from brain.stream import EventStream
from brain.stream.decoded import Page

if TYPE_CHECKING:
    from collections.abc import MutableMapping

__all__ = ["Applied", "Member", "Rounds"]

log: Log = Log("brain.projection")

_KEPT_PAGES = 4
_SHARED = 250
"""Events of a page that is kept for who is late: of a backlog all read the same one."""
_APPLYING = "applying"
"""In the place of a position: nobody waits for a member whose round is under way, not even at the same position."""


class Applied(NamedTuple):
    """The position reached, and how many seconds the transaction took."""

    position: str
    seconds: float


class Member(Protocol):
    """A projection in a round. All of this is called in a thread."""

    group: str

    @property
    def wants_all(self) -> bool:
        """Whether every event is decoded for it: those come first, so that no other one reads types by itself."""

    def passed_over(self, page: Page) -> str | None:
        """The position reached, when there is nothing to apply and to store; else None."""

    def apply_page(self, db: sa.Connection, page: Page) -> Callable[[], str]:
        """Apply the page; what is to be called when that is committed, and gives the position reached."""


class _Read(NamedTuple):
    page: asyncio.Task[Page | None]
    members: set[Member]


class _Batch(NamedTuple):
    position: str
    page: Page
    done: asyncio.Future[Applied]


class Rounds:
    """Those of one stream and one database, in one event loop."""

    def __init__(self, stream: EventStream, database: sa.Engine) -> None:
        self._stream = weakref.ref(stream)
        self._database = database
        self._loop = asyncio.get_running_loop()
        self._under_way: dict[Member, str | None] = {}  # where each goes on; None: it finds out; or _APPLYING
        self._batches: dict[Member, _Batch] = {}  # handed in
        self._reads: dict[tuple[str, str, int], _Read] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._recent: deque[Page] = deque(maxlen=_KEPT_PAGES)

    @staticmethod
    def of(stream: EventStream, database: sa.Engine) -> Rounds:
        """Those of this stream and database."""
        known: MutableMapping[EventStream, Rounds] = _rounds.setdefault(database, weakref.WeakKeyDictionary())
        found = known.get(stream)
        if found is None or found._loop is not asyncio.get_running_loop():
            found = known[stream] = Rounds(stream, database)
        return found

    def enter(self, member: Member, position: str | None = None) -> None:
        """The member will hand in what comes after the position, or leave; None: it does not know its place yet."""
        known = member in self._under_way
        before, self._under_way[member] = self._under_way.get(member), position
        if known and before != position:
            self._go_on_without(before)

    def leave(self, member: Member) -> None:
        """The member has nothing to hand in, for now: nobody waits for it."""
        self._batches.pop(member, None)
        if member in self._under_way:
            self._go_on_without(self._under_way.pop(member))

    def _go_on_without(self, position: str | None) -> None:
        """Somebody who was at this position (None: anywhere) is there no more: nobody waits for it any longer."""
        waiting = {batch.position for batch in self._batches.values()}
        for each in waiting if position is None else waiting & {position}:
            self._start(each)
        if position is not None and position not in self._under_way.values():
            self._forget_reads(position)

    async def read(
        self, member: Member, place: tuple[str, str], size: int, read: Callable[[], Page | None]
    ) -> Page | None:
        """What another member has read at this very place and since this one came, or else `read` now.

        `place` is the position and its anchor. None: `read` has found nothing that is for all, or a standstill.
        """
        known = self._reads.get((*place, size))
        if known is not None and member not in known.members:
            known.members.add(member)
            page = await asyncio.shield(known.page)
            if page is not None and page.entries:
                return page
        stream = self._stream()
        assert stream is not None
        task = asyncio.ensure_future(self._shared(stream.call(read)))
        task.add_done_callback(_look_at)
        self._reads[(*place, size)] = _Read(task, {member})
        return await asyncio.shield(task)

    async def _shared(self, reading: Awaitable[Page | None]) -> Page | None:
        """The page that is read; an event that a member read just before is not decoded again for one that is late."""
        page = await reading
        if page is not None and 0 < len(page.entries) <= _SHARED:
            page.share(self._recent)
            self._recent.append(page)
        return page

    async def apply(self, member: Member, position: str, page: Page) -> Applied:
        """Apply the page, which was read after the position, with what the others do there."""
        done = self._loop.create_future()
        self._batches[member] = _Batch(position, page, done)
        self._start(position)
        return await done  # type: ignore[no-any-return]

    def _start(self, position: str) -> None:
        """Begin the round at this position, when all who are under way there have handed in."""
        here = {member: batch for member, batch in self._batches.items() if batch.position == position}
        missing = (member for member, at in self._under_way.items() if at in (None, position) and member not in here)
        if not here or next(missing, None) is not None:
            return
        for member in here:
            del self._batches[member]
            self._under_way[member] = _APPLYING
        self._forget_reads(position)
        running = asyncio.ensure_future(self._run(here))
        self._running.add(running)
        running.add_done_callback(self._running.discard)

    def _forget_reads(self, position: str) -> None:
        for place in [place for place in self._reads if place[0] == position]:
            del self._reads[place]

    async def _run(self, batches: dict[Member, _Batch]) -> None:
        members = sorted(batches, key=lambda member: (not member.wants_all, member.group))
        pages = [(member, batches[member].page) for member in members]
        outcomes: Sequence[Applied | BaseException]
        try:
            if self._database.dialect.name == "sqlite":
                outcomes = await for_tasks(self._database, _together, self._database, pages)
            else:
                alone = (for_tasks(self._database, _one_by_one, self._database, *each) for each in pages)
                outcomes = await asyncio.gather(*alone)
        except BaseException as error:
            for batch in batches.values():
                if not batch.done.done():
                    batch.done.cancel() if isinstance(error, asyncio.CancelledError) else batch.done.set_exception(
                        error
                    )
            if not isinstance(error, Exception):
                raise
            return
        for member, outcome in zip(members, outcomes, strict=True):
            done = batches[member].done
            if isinstance(outcome, Applied) and member in self._under_way:
                self._under_way[member] = outcome.position
            if not done.done():
                done.set_exception(outcome) if isinstance(outcome, BaseException) else done.set_result(outcome)


_rounds: weakref.WeakKeyDictionary[sa.Engine, MutableMapping[EventStream, Rounds]] = weakref.WeakKeyDictionary()


def _look_at(task: asyncio.Task[Page | None]) -> None:
    """Nobody may wait for it any more: what it raises is then of no interest."""
    if not task.cancelled():
        task.exception()


def _together(database: sa.Engine, pages: Sequence[tuple[Member, Page]]) -> list[Applied | BaseException]:
    """All in one transaction; what each reached, or raised.

    The garbage collector is off meanwhile: it would look through the events, which are none, again and again.
    """
    with gc_paused():
        return _in_one_transaction(database, pages)


def _in_one_transaction(database: sa.Engine, pages: Sequence[tuple[Member, Page]]) -> list[Applied | BaseException]:
    began = time.monotonic()
    passed = [member.passed_over(page) for member, page in pages]
    applying = [each for each, reached in zip(pages, passed, strict=True) if reached is None]
    if len(applying) < 2:
        return [_alone(database, *each) for each in pages]
    begun = False
    try:
        with database.begin() as db:
            begun = True
            commits = [member.apply_page(db, page) for member, page in applying]
    except Exception as error:  # noqa: BLE001  (whose fault it is shows when each does it alone)
        if not begun:
            return [error] * len(pages)
        log.info("a common transaction failed; each consumer applies its events alone", error=str(error))
        return [_alone(database, *each) for each in pages]
    settled = iter([_settled(commit, began) for commit in commits])
    return [next(settled) if reached is None else Applied(reached, 0.0) for reached in passed]


def _one_by_one(database: sa.Engine, member: Member, page: Page) -> Applied | BaseException:
    with gc_paused():
        return _alone(database, member, page)


def _alone(database: sa.Engine, member: Member, page: Page) -> Applied | BaseException:
    began = time.monotonic()
    try:
        reached = member.passed_over(page)
        if reached is not None:
            return Applied(reached, 0.0)
        with database.begin() as db:
            commit = member.apply_page(db, page)
    except Exception as error:  # noqa: BLE001  (goes to the member)
        return error
    return _settled(commit, began)


def _settled(commit: Callable[[], str], began: float) -> Applied | BaseException:
    try:
        return Applied(commit(), time.monotonic() - began)
    except Exception as error:  # noqa: BLE001  (goes to the member)
        return error
