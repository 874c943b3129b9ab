"""A consumer group in this process: memberships, one after the other, whatever calls for the events.

A handler (`stream.consumer`, through lanes.py) and a loop (`stream.subscribe`) both take their deliveries from a
`GroupSession`: it joins the group, renews the lease, takes over what dead members held, counts attempts, makes dead
letters, acknowledges, and leaves.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from brain.charter import Event, Pattern
from brain.errors import EnvelopeError, InvalidInput, Unavailable
from brain.locks import InterruptibleLock
from brain.logs import Log
from brain.stream.backends import Entry, Fenced, Held, NoGroup
from brain.stream.closed import Closed
from brain.stream.matching import EventFilter, type_filter
from brain.stream.member import Member
from brain.stream.retry import Backoff

if TYPE_CHECKING:
    from types import TracebackType

    from brain.stream.stream import EventStream

log: Log = Log("brain.group")

FLUSH_AFTER = 0.2  # seconds that a finished event may wait for its acknowledgement
_LOOP_BATCH = 200  # events that a loop fetches at once
_NO_LIMIT = 1 << 62
_OTHER_FETCH = 0.02
"""Seconds that who would fetch for a waiting session waits for another thread which does so."""


RESERVED = "brain."
"""What the names of the plug-ins' own groups begin with."""


def check_group_name(group: str) -> str:
    """The name as given, for a group of the user's. Raises InvalidInput for one that cannot be or is not to be had."""
    if not group or len(group) > 100 or not all(c.isascii() and (c.isalnum() or c in "-_.") for c in group):
        raise InvalidInput(f"group: {group!r} must be 1 to 100 letters, digits, '-', '_' or '.'")
    if group.startswith(RESERVED):
        raise InvalidInput(
            f"group {group!r} belongs to the plug-in {group.removeprefix(RESERVED)!r}, and a second reader would take "
            "events away from it; choose another name, such as that of your service"
        )
    return group


class Delivery(msgspec.Struct, gc=False):
    """One event handed to this member. `redelivered`: the attempt is counted at the backend before it is made."""

    position: str
    data: bytes
    attempts: int = 1
    redelivered: bool = False
    history: tuple[str, ...] = ()  # the attempts of this member that failed
    event: Event | None = None  # decoded already, for one attempt
    key: Hashable = None  # for lanes: what it must keep its order with
    fault: str = ""  # why it cannot be handled: its bytes are no event, its key cannot be had
    retry: bool = False  # comes from this member's own schedule of retries


@dataclass(frozen=True, kw_only=True)
class GroupOptions:
    """`start` is where a new group begins: `first`, `now` or a position. `former` is the name that the group had."""

    start: str = "first"
    max_attempts: int = 5
    former: str = ""


class Group:
    """A group as this process consumes it: what outlives one membership."""

    def __init__(self, stream: EventStream, name: str, pattern: Pattern, options: GroupOptions) -> None:
        self.stream = stream
        self.name = name
        self.pattern = pattern
        self.max_attempts: int = options.max_attempts
        self.wanted: EventFilter | None = type_filter(pattern)
        self.fenced: int = 0
        self.retried: int = 0
        self.dead: int = 0
        self.memberships: list[str] = []  # begun, and not known to have been given back
        self.outage: Backoff = Backoff(0.05, 2.0)
        self._options = options
        self._former = options.former
        self._start: str | None = None

    def forked(self) -> None:
        """In a forked child: the memberships are the parent's, and what was counted happened there."""
        self.fenced = self.retried = self.dead = 0
        self.memberships = []

    async def prepare(self) -> str:
        """Take over from the group's former name; where it begins, if it is new.

        `now` is the moment of the first try, also when the group has to be made again.
        """
        if self._former:
            await self.stream.call(self._take_former_name)
            self._former = ""
        if self._start is None:
            self._start = await self.stream.start_position(self._options.start)
        return self._start

    def _take_former_name(self) -> None:
        """Rename the group that we had under the former name; one with another pattern is a stranger's."""
        backend = self.stream.backend
        ours = any(info.name == self._former and info.pattern == str(self.pattern) for info in backend.groups())
        if ours and backend.rename_group(self._former, self.name):
            log.info("a group has a new name", group=self.name, former=self._former)

    def session(self, max_in_flight: int = _NO_LIMIT) -> GroupSession:
        """A new membership, for one `async with`. More than `max_in_flight` events are not held at a time."""
        return GroupSession(self, max_in_flight)


class GroupSession:
    """One membership: `async with group.session() as session: await session.join()`, then `next_deliveries`.

    A lost lease, a lost group and an absent backend end the block without an error, after the wait that is due: enter
    another one. Closed leaves it, when the stream is closed in this process, which gives back what is held.
    """

    def __init__(self, group: Group, max_in_flight: int) -> None:
        self._group = group
        self._stream = group.stream
        self._member = Member(group.stream.backend, group.name, group.stream.lease)
        self._max_in_flight = max_in_flight
        self._in_flight = 0
        self._room = asyncio.Event()
        self._acknowledged = asyncio.Event()
        self._taken_over: deque[Delivery] = deque()
        self._fetching = InterruptibleLock()  # one at a time, so that events come in order
        self._early: deque[Sequence[Entry]] = deque()
        self._listening = group.stream.changes.listen()
        self._matches = group.pattern.matches
        self._done: list[str] = []
        self.finish: Callable[[str], None] = self._done.append
        """Given the position of an event that is handled: it is acknowledged with the next `flush`."""
        self.flush_at: float = 0.0
        """When the next `flush` is due, by the monotonic clock."""
        self._joined = False
        self._giving_back = InterruptibleLock()
        self._lease: asyncio.Task[None] | None = None
        self._forks = group.stream.forks

    async def __aenter__(self) -> GroupSession:
        self._changed = self._listening.__enter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        self._listening.__exit__(kind, error, traceback)
        if self._stream.forks != self._forks:  # the membership is the parent's
            return False
        await self._leave()
        group = self._group
        if isinstance(error, Fenced):
            group.fenced += 1
            log.warning(
                "the lease of this member was lost; joining the group again", group=group.name, error=str(error)
            )
        elif isinstance(error, NoGroup):
            log.warning("the group is gone; making it again", group=group.name)
        elif isinstance(error, Unavailable) and not isinstance(error, Closed):
            self._stream.outage.report(f"reading as group {group.name}", error)
            await asyncio.sleep(group.outage.next_delay())
        else:
            return False
        return True

    async def join(self) -> None:
        """Join the group, making it where there is none, and take over what no member holds."""
        group = self._group
        start = await group.prepare()
        former = tuple(group.memberships)
        group.memberships.append(self._member.name)
        self._stream.sessions.add(self)
        try:
            held = await self._stream.call(self._join, str(group.pattern), start, former)
        except asyncio.CancelledError:
            self._joined = True  # perhaps it has, or will have: what it takes over is given back
            raise
        del group.memberships[:-1]
        self._joined = True
        group.outage.reset()  # an outage that begins from here on is a new one
        self._take(held)
        self._lease = asyncio.create_task(self._keep_lease())
        self._lease.add_done_callback(self._wake)

    def _join(self, pattern: str, start: str, former: Sequence[str]) -> Sequence[Held]:
        """Join, unless it was left meanwhile."""
        with self._giving_back:
            return self._member.join(pattern, start, former) if self in self._stream.sessions else ()

    async def _keep_lease(self) -> None:
        """Renew the lease, and take over what dead members held: three times in a lease at least.

        Behind an acknowledgement, where one comes in time: an event that is on its way would wait for it.
        """
        while True:
            await asyncio.sleep(self._stream.lease / 4)
            self._acknowledged.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._stream.lease / 12):
                    await self._acknowledged.wait()
            self._stream.check_forks(self._forks)
            self._take(await self._stream.call(self._member.heartbeat))

    def check_lease(self) -> None:
        """Raises what ended the lease: Fenced, NoGroup or Unavailable; and BegunBeforeFork, and Closed."""
        self._stream.check_forks(self._forks)
        self._stream.check_open()
        if self._lease is not None and self._lease.done():
            self._lease.result()

    def _take(self, held: Sequence[Held]) -> None:
        if held:
            self._taken_over.extend(Delivery(one.position, one.data, one.attempts, redelivered=True) for one in held)
            self._wake()

    def _wake(self, _: object = None) -> None:
        self._changed.set()
        self._room.set()

    async def next_deliveries(self, limit: int) -> list[Delivery]:
        """Wait for events to handle: what was taken over first, else at most `limit` new ones."""
        while True:
            while self._in_flight >= self._max_in_flight and not (self._lease is not None and self._lease.done()):
                self._room.clear()
                await self._room.wait()
            self._changed.clear()
            self.check_lease()
            if self._taken_over:
                found = list(self._taken_over)
                self._taken_over.clear()
            else:
                entries = self._early.popleft() if self._early else await self._stream.call(self._fetch, limit)
                found = [Delivery(position, data) for position, data in entries]
            if found:
                self._in_flight += len(found)
                return found
            self._stream.waiting[self] = limit
            try:
                await self._stream.wait_for_change(self._changed)
            finally:
                self._stream.waiting.pop(self, None)  # what was taken over is handled first

    def _fetch(self, limit: int) -> Sequence[Entry]:
        """What was fetched early, else what the backend has."""
        with self._fetching:
            return self._early.popleft() if self._early else self._fetch_now(limit)

    def fetch_early(self) -> None:
        """In a thread that knows of new events: fetch for a session that waits for them, and so spare it the way
        to another thread and back. Another one that does so is waited for. Raises Unavailable.
        """
        if self._fetching.acquire(timeout=_OTHER_FETCH):
            try:
                if limit := self._stream.waiting.pop(self, 0):
                    with suppress(Fenced, NoGroup):
                        if found := self._fetch_now(limit):
                            self._early.append(found)
            finally:
                self._fetching.release()

    def _fetch_now(self, limit: int) -> Sequence[Entry]:
        """What the backend has; nothing for a membership that was given back: nobody would handle it."""
        if self not in self._stream.sessions:
            return ()
        return self._stream.backend.fetch(self._group.name, self._member.name, limit, self._group.wanted)

    def decode(self, delivery: Delivery) -> Event | None:
        """The event of the delivery; None when there is nothing to handle: then `pass_over` it."""
        event = delivery.event
        if event is None:
            try:
                event = Event.decode(delivery.data)
            except EnvelopeError as error:
                delivery.fault = f"not an event: {error}"
                return None
        else:
            delivery.event = None  # a handler may change what it is given: a retry decodes the bytes again
        if self._matches(event.type):
            return event
        delivery.fault = ""  # a key of it is of no interest
        return None

    async def pass_over(self, delivery: Delivery) -> None:
        """Settle what is not handled: bytes that are no event become a dead letter, the unwanted is done with."""
        if delivery.fault:
            await self.dead_letter(delivery, delivery.fault)
        else:
            self.finish(delivery.position)

    async def count_attempt(self, delivery: Delivery) -> bool:
        """Count the attempt at a redelivered event that is about to be made; False when it has had all of them."""
        group = self._group
        delivery.attempts = await self._stream.call(self._stream.backend.count_attempt, group.name, delivery.position)
        group.retried += 1
        if delivery.attempts <= group.max_attempts:
            return True
        delivery.attempts -= 1  # this one is not made
        await self.dead_letter(delivery, "every attempt ended with the consumer gone")
        return False

    async def dead_letter(self, delivery: Delivery, error: str) -> None:
        """Give up on the event. Raises Fenced."""
        await self._stream.call(
            self._member.dead_letter, delivery.position, delivery.data, error, delivery.attempts, delivery.history
        )
        self._group.dead += 1
        self._make_room(1)

    @property
    def has_finished(self) -> bool:
        """Whether a `flush` would acknowledge something."""
        return bool(self._done)

    async def flush(self) -> None:
        """Acknowledge what is finished. Raises Fenced, and then others handle it again."""
        self._stream.check_forks(self._forks)
        self.flush_at = time.monotonic() + FLUSH_AFTER
        if done := self._done.copy():
            self._done.clear()
            await self._stream.call(self._stream.backend.ack, self._group.name, self._member.name, done)
            self._acknowledged.set()
            self._make_room(len(done))

    def _make_room(self, count: int) -> None:
        self._in_flight -= count
        if not self._room.is_set():
            self._room.set()

    async def _leave(self) -> None:
        """Acknowledge what is done and give back the rest, at once."""
        if self._lease is not None:
            self._lease.cancel()
        if not self._joined:
            self._stream.sessions.discard(self)
            return
        with suppress(Closed):  # then the stream has given all back
            await self._stream.call(self.give_back)

    def give_back(self) -> None:
        """Acknowledge what is done, and give the membership back with all that is held. Blocks; done once."""
        with self._giving_back, self._fetching:
            if self not in self._stream.sessions:
                return
            try:
                self._member.leave(self._done)
                former = self._group.memberships  # some of which it may not have taken over
                self._group.memberships = [name for name in former if name != self._member.name]
            except (Fenced, NoGroup, Unavailable) as error:
                log.warning(
                    "this member could not leave the group in order; others take over after its lease",
                    group=self._group.name,
                    error=str(error),
                )
            finally:
                self._stream.sessions.discard(self)


async def loop_over(group: Group) -> AsyncGenerator[Event, None]:
    """The group's events for a loop, until the stream is closed: each is acknowledged after the loop asked for more."""
    with suppress(Closed):
        while True:
            async with group.session() as session:
                await session.join()
                while True:
                    for delivery in await session.next_deliveries(_LOOP_BATCH):
                        event = session.decode(delivery)
                        if event is None:
                            await session.pass_over(delivery)
                        elif not delivery.redelivered or await session.count_attempt(delivery):
                            yield event
                            session.check_lease()
                            session.finish(delivery.position)
                        if delivery.redelivered or time.monotonic() > session.flush_at:
                            await session.flush()
                    await session.flush()
