"""Rounds: the projections of a process that stand at the same place in the stream go on together.

One reads a page for all of them, and each event is decoded once. On SQLite, which has one writer, they apply it in one
transaction; on PostgreSQL each in its own, at the same time. When one of them fails, each does it by itself, so that a
fault of one rolls nobody else back. Who is at another place makes rounds of its own: they end where others are, within
a page, and those wait for it there. So all come together again.
"""

from __future__ import annotations

import asyncio
import time
import weakref
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

import sqlalchemy as sa

from brain.garbage import gc_paused
from brain.kit.database_threads import for_tasks
from brain.logs import Log
from brain.stream import EventStream
from brain.stream.backends import position_key
from brain.stream.decoded import Page

if TYPE_CHECKING:
    from collections.abc import MutableMapping

__all__ = ["Applied", "Member", "Rounds"]

log: Log = Log("brain.projection")

_KEPT_PAGES = 4
_SHARED = 250
"""Events of a page that is kept for who is late: of a backlog all read the same one."""
_APPLYING = "applying"
"""In the place of a position: of a member whose round is under way nobody waits where that round began."""


class Applied(NamedTuple):
    """The position reached, and how many seconds the round took for all of its members."""

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
        self._running: dict[Member, asyncio.Task[None]] = {}  # the round that each is in, be it of an earlier run
        self._heading: dict[Member, str] = {}  # where that round will end
        self._began: dict[Member, str] = {}  # where the last round of each began, while it goes on
        self._recent: deque[Page] = deque(maxlen=_KEPT_PAGES)

    @staticmethod
    def of(stream: EventStream, database: sa.Engine) -> Rounds:
        """Those of this stream and database."""
        known: MutableMapping[EventStream, Rounds] = _rounds.setdefault(database, weakref.WeakKeyDictionary())
        found = known.get(stream)
        if found is None or found._loop is not asyncio.get_running_loop():
            found = known[stream] = Rounds(stream, database)
        return found

    async def ended(self, member: Member) -> None:
        """Wait for the round of an earlier run of the member, which was cancelled: its thread goes on to the end."""
        while (running := self._running.get(member)) is not None:
            await asyncio.wait([running])

    def enter(self, member: Member, position: str | None = None) -> None:
        """The member will hand in what comes after the position, or leave; None: it does not know its place yet."""
        before = self._under_way.get(member)
        self._under_way[member] = position
        self._moved(before)

    def leave(self, member: Member) -> None:
        """The member has nothing to hand in, for now: nobody waits for it."""
        self._batches.pop(member, None)
        self._heading.pop(member, None)
        self._began.pop(member, None)
        self._moved(self._under_way.pop(member, None))

    def _moved(self, before: str | None) -> None:
        """Somebody is at this position no more, or will not come to where it was about to: who waits looks again."""
        if before is not None and before not in self._under_way.values():
            self._forget_reads(before)
        for position in {batch.position for batch in self._batches.values()}:
            self._start(position)

    async def read(self, member: Member, place: tuple[str, str, int], read: Callable[[], Page | None]) -> Page | None:
        """What another member has read at this very place and since this one came, or else `read` now.

        `place` is the position, its anchor, and the size of a page; those who would take any size name the same one.
        None: `read` has found nothing that is for all, or a standstill.
        """
        known = self._reads.get(place)
        if known is not None and member not in known.members:
            known.members.add(member)
            page = await asyncio.shield(known.page)
            if page is not None and page.entries:
                return page
        stream = self._stream()
        assert stream is not None
        task = asyncio.ensure_future(self._shared(stream.call(read)))
        task.add_done_callback(_look_at)
        self._reads[place] = _Read(task, {member})
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
        """Begin the round at this position, unless somebody is to be waited for."""
        here = {member: batch for member, batch in self._batches.items() if batch.position == position}
        if not here or self._must_wait(here, position):
            return
        for member in here:
            del self._batches[member]
        self._forget_reads(position)
        pages = self._cut({id(batch.page): batch.page for batch in here.values()})
        here = {member: batch._replace(page=pages[id(batch.page)]) for member, batch in here.items()}
        running = asyncio.ensure_future(self._run(here))
        for member, batch in here.items():
            self._under_way[member] = _APPLYING
            self._running[member] = running
            self._began[member] = position
            if batch.page.entries:
                self._heading[member] = batch.page.entries[-1].position

    def _must_wait(self, here: Collection[Member], position: str) -> bool:
        """Whether somebody else may come here: it does not know its place yet, is here and reads, or is behind by no
        more than what those who are here did in their last round. Who is ahead waits for who is behind, never the other
        way, and nobody waits for who has left: so somebody always goes on.
        """
        others = {member: at for member, at in {**self._under_way, **self._heading}.items() if member not in here}
        if None in others.values() or position in others.values():
            return True
        if not (began := [self._began[member] for member in here if member in self._began]):
            return False
        first, end = min(map(position_key, began)), position_key(position)
        return any(at and at != _APPLYING and first <= position_key(at) < end for at in others.values())

    def _cut(self, pages: Mapping[int, Page]) -> Mapping[int, Page]:
        """The pages up to where others are, or will be after the round that they are in: they go on together there."""
        others = {at for at in (*self._under_way.values(), *self._heading.values()) if at and at != _APPLYING}
        return {key: page.up_to(others) for key, page in pages.items()}

    def _forget_reads(self, position: str) -> None:
        for place in [place for place in self._reads if place[0] == position]:
            del self._reads[place]

    async def _run(self, batches: dict[Member, _Batch]) -> None:
        members = sorted(batches, key=lambda member: (not member.wants_all, member.group))
        pages = [(member, batches[member].page) for member in members]
        outcomes: Sequence[Applied | BaseException]
        try:
            outcomes = await self._outcomes(pages)
        except BaseException as error:  # noqa: BLE001  (goes to the members; what ends the loop is raised below, too)
            outcomes = [error] * len(members)
        for member, outcome in zip(members, outcomes, strict=True):
            del self._running[member]
            self._settle(member, batches[member].done, outcome)
        for outcome in outcomes:
            if isinstance(outcome, BaseException) and not isinstance(outcome, Exception):
                raise outcome

    async def _outcomes(self, pages: Sequence[tuple[Member, Page]]) -> Sequence[Applied | BaseException]:
        if self._database.dialect.name == "sqlite":
            return await for_tasks(self._database, _together, self._database, pages)
        alone = (for_tasks(self._database, _one_by_one, self._database, *each) for each in pages)
        return await asyncio.gather(*alone, return_exceptions=True)

    def _settle(self, member: Member, done: asyncio.Future[Applied], outcome: Applied | BaseException) -> None:
        """Tell the member what its round came to; who waits for it looks again where it is now."""
        self._heading.pop(member, None)
        if isinstance(outcome, Applied) and self._under_way.get(member) == _APPLYING:
            self._under_way[member] = outcome.position
        if not done.done():
            if isinstance(outcome, asyncio.CancelledError):
                done.cancel()
            elif isinstance(outcome, BaseException):
                done.set_exception(outcome)
            else:
                done.set_result(outcome)
        self._moved(None)


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
    took = time.monotonic() - began  # for all: else those with nothing to do would ask for ever larger pages
    return [next(settled) if reached is None else Applied(reached, took) for reached in passed]


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
