"""EventStream: what everything else publishes to and subscribes to."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from contextlib import aclosing, suppress
from enum import Enum
from pathlib import Path
from sys import modules
from typing import TYPE_CHECKING, NamedTuple, NoReturn, ParamSpec, Self, TypeVar
from weakref import WeakSet

from brain import limits, logs
from brain.charter import Event, Pattern, Priority, check_depth, too_large
from brain.charter.envelope import encode_plain
from brain.errors import BrainError, Conflict, InvalidInput, Unavailable
from brain.locks import InterruptibleLock
from brain.logs import Log
from brain.platform import at_fork
from brain.plugins import catalogue
from brain.redaction import is_seen_clean_event, redacted_event, use_key_file
from brain.redaction import prepare as prepare_redaction
from brain.redis_client.url import masked, parse
from brain.store import Store
from brain.store.memory import MemoryStore
from brain.store.sqlite import absolute_url, leading_somewhere, sqlite_file
from brain.stream import ending, query
from brain.stream.announcer import Announcer, DirectAnnouncer, OutboxStream
from brain.stream.backends import Backend, GroupInfo, check_position, open_backend, position_key
from brain.stream.change_signal import ChangeSignal
from brain.stream.closed import Closed
from brain.stream.consumer import Consumer, DeliveryOptions, Handler
from brain.stream.dead_letters import DeadLetter
from brain.stream.event_outbox import EventOutbox, follow_closing
from brain.stream.forcing import Forcing
from brain.stream.group import Group, GroupOptions, GroupSession, check_group_name, loop_over
from brain.stream.journal import Journal, JournalFull
from brain.stream.outage import Outage
from brain.stream.publisher import EncodedEvent
from brain.stream.query import Batch, EventQuery, Stored, Stretch
from brain.stream.receipt import LATE, Receipt
from brain.stream.receipt_keeper import ReceiptKeeper
from brain.stream.refusals import Refusals
from brain.stream.shipper import Shipper
from brain.stream.store_delays import StoreDelays
from brain.stream.threads import DaemonPool, HandlerThreads, run_alone, run_in, start_whole
from brain.stream.tracing import SDK, publish_traced
from brain.stream.uwsgi import check_uwsgi

log: Log = Log("brain.stream")

A = ParamSpec("A")
T = TypeVar("T")

_AT_ONCE = 500  # events in one look at the stream
_LATE_REMEMBERED = 1_000  # events that interrupted a publish and whose receipts may still be awaited
_LONGEST_WATCH = 0.5
"""Seconds for which the backend is asked for new events of others at a time: so long may the thread outlive a close."""
_SHIPPER_FIRST = 0.002
"""Seconds that the thread which watches the backend leaves to the one that stores what this process publishes."""
CALLS = 16
"""Threads for calls to the backend."""
READERS, READER_PATIENCE = 4, 1.0
"""Threads for searches, and the seconds that a search waits for one."""
_LEAST_LEASE = 0.05
"""Seconds: a member says three times in a lease that it lives, and others look as often."""
_LONGEST = 86_400.0  # seconds that a lease, or the end of a process, may take
DURABILITIES = ("process", "power")

_open_streams: WeakSet[EventStream] = WeakSet()


class BegunBeforeFork(Conflict):
    """A loop over events, or a receipt, belongs to the process that forked this one."""

    title = "Begun before a fork"


class StreamOptions(NamedTuple):
    """How a stream was opened: see `EventStream.open`. `root` is the folder of journals, None in memory.

    `place` says in a journal which stream it is of; `shared` is a root that may hold journals of other streams.
    """

    url: str
    lease: float = 5.0
    root: Path | None = None
    power: bool = False
    exit_timeout: float = ending.EXIT_SECONDS
    place: str = ""
    shared: bool = False


class _Closed(Enum):
    """Why the stream is closed in this process."""

    BY_USER = 1
    ENDED = 4  # by the user, and done: the backend is asked nothing more
    BY_FORK = 2  # this is a child: it opens by itself when it is first used here
    AT_EXIT = 3  # the process ends: what is published still is kept in a journal for the next start


class _Close(NamedTuple):
    """`late` is what `close_sync` was called with by what interrupts a holder of the lock, who then has to close."""

    why: _Closed
    late: float | None = None


_ENDED = _Close(_Closed.ENDED)


class EventStream(OutboxStream):
    """One durable stream of events; use `EventStream.open`.

    `publish` may be called from any thread; the asynchronous methods from any running loop.
    """

    def __init__(self, options: StreamOptions, backend: Backend) -> None:
        self.options = options
        self._power = options.power
        self.consumers: list[Consumer] = []
        self.forks: int = 0
        """How many forks lie between the process that opened the stream and this one."""
        self._critical = frozenset(
            name for name, declared in catalogue().items() if declared.priority is Priority.CRITICAL
        )
        self._outboxes: dict[int, EventOutbox] = {}  # by the id of their store, which they hold
        self._closed: _Close | None = None
        self._begin_process()
        self._begin(backend)
        _open_streams.add(self)
        ending.ship_at_exit(self)

    @property
    def url(self) -> str:
        """The URL that it was opened with."""
        return self.options.url

    @property
    def refused(self) -> Counter[str]:
        """How many events were refused, by the name of the error."""
        return self._refusals.counts

    @property
    def lease(self) -> float:
        """How many seconds a silent consumer keeps what it holds."""
        return self.options.lease

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {masked(self.url)}, {'closed' if self.is_closed() else 'open'}>"

    def __reduce__(self) -> NoReturn:
        """Raises TypeError: one that is handed to a spawned process is opened there (docs/hosts.md)."""
        raise TypeError(
            f"{self!r} cannot be pickled or copied, since it belongs to this process; open it in the other one by its "
            "URL (a forked process goes on with it as it is)"
        )

    def _begin_process(self) -> None:
        """Have locks, signals and counts of this process's own. Touches nothing outside it."""
        self.changes: ChangeSignal = ChangeSignal()
        self.outage: Outage = Outage()
        self._refusals = Refusals()
        self.standing: dict[str, str] = {}
        """Why groups that read by position, projections, stand still: by group, a sentence that says what to do."""
        self.sessions: set[GroupSession] = set()
        """The memberships of loops and handlers that hold something."""
        self.waiting: dict[GroupSession, int] = {}
        """Those of them that wait for events, the longest first, with how many each wants: see `GroupSession`."""
        self._publishing = InterruptibleLock()
        self._appending = False  # the thread that holds the lock is in the middle of an append
        self._late: deque[tuple[str, bytes, bool]] = deque()  # published meanwhile by what interrupted that thread
        self._late_numbers: deque[tuple[str, int]] = deque(maxlen=_LATE_REMEMBERED)
        self._forcing = Forcing()
        self._journal: Journal | None = None
        self._shipper: Shipper | None = None
        self._direct = 0
        self._append: Callable[[bytes, bool], int] = self._append_nowhere
        self._executor = DaemonPool(CALLS, "brain-stream")
        self._readers: HandlerThreads | None = None
        self._opening_outbox = InterruptibleLock()
        self._watcher: threading.Thread | None = None
        self._stopping = threading.Event()
        self._keeper = ReceiptKeeper(self)

    def _begin(self, backend: Backend) -> None:
        """Have a journal of this process's own. Raises OSError."""
        root = self.options.root
        if root is None:
            self._append = self._append_directly
        else:
            journal = Journal(root / os.urandom(8).hex(), power=self.options.power, owner=self.options.place)
            self._shipper = Shipper(backend, root, journal, self._hand_over, self.outage, self._look)
            if self.options.shared:
                self._shipper.only_of = self.options.place
            self._journal, self._append = journal, journal.append
        self._backend = backend

    def _stored(self) -> None:
        """Called in the thread that has just stored events: those who wait for some in this process come first."""
        try:
            self._hand_over()
        finally:
            self._backend.wake_others()

    def _hand_over(self) -> None:
        """In the thread that knows of new events: fetch for the sessions that wait for some, and wake all who do.

        What goes wrong is met again, and reported, by the fetch of the session itself.
        """
        try:
            with suppress(Unavailable):  # whoever is next would wait in vain, too
                for session in tuple(self.waiting):
                    session.fetch_early()
        finally:
            self.changes.notify()

    def start(self) -> None:
        """Begin to store what is journalled."""
        if self._shipper is not None:
            self._shipper.start()

    @staticmethod
    def open(
        url: str = "sqlite:///brain.db",
        *,
        journal: str | Path | None = None,
        durability: str = "process",
        lease: float = 5.0,
        exit_timeout: float = ending.EXIT_SECONDS,
    ) -> Opening:
        """Open the stream: `stream = await EventStream.open(url)` or `async with EventStream.open(url) as stream`.

        `journal` is the folder of local journals (default: beside the SQLite file, or `.brain/` here for Redis).
        `durability` says what a returned `publish()` survives: `process` (the death of this process) or `power` (also
        of the machine: one fdatasync, shared by concurrent publishers). `lease` is in seconds: how long a silent
        consumer keeps what it holds. `exit_timeout` is how many seconds a process that ends without `close` may take
        to ship what is journalled. Redis need not be reachable. Raises InvalidInput, and Unavailable for a bad file or
        a place where no journal can be made.
        """
        if durability not in DURABILITIES:
            raise InvalidInput(f"durability: {durability!r} is not one of {', '.join(DURABILITIES)}")
        limits.check_seconds("lease", lease, least=_LEAST_LEASE, most=_LONGEST)
        limits.check_seconds("exit_timeout", exit_timeout, most=_LONGEST)
        options = StreamOptions(url, lease, None, durability == "power", exit_timeout, shared=journal is not None)
        return Opening(lambda: _open(options, journal))

    @staticmethod
    def open_sync(
        url: str = "sqlite:///brain.db",
        *,
        journal: str | Path | None = None,
        durability: str = "process",
        lease: float = 5.0,
        exit_timeout: float = ending.EXIT_SECONDS,
    ) -> EventStream:
        """As `open`, without an event loop: at module level, in Django, Flask and scripts (docs/hosts.md).

        Close it by `close_sync`, `with`, or not at all: the end of the process ships what is journalled. The
        asynchronous methods may be used later, in any loop.
        """
        opening = EventStream.open(url, journal=journal, durability=durability, lease=lease, exit_timeout=exit_timeout)
        return opening.open_now()

    def publish(self, event: Event) -> Receipt:
        """Accept the event: when this returns it is journalled, and nothing that kills this process loses it.

        Never blocks and never raises: what cannot be accepted (a malformed or oversized event, no room on the disk) is
        counted in `refused`, logged, and named by `receipt.refused`.
        """
        if SDK in modules and (traced := publish_traced(self.publish, event)) is not None:
            return traced
        try:
            event_id, event_type = event.id, event.type
            is_clean = is_seen_clean_event(event.payload, event.meta, event.target)
            if is_clean and type(event) is Event:
                data = encode_plain(event)
            else:
                data = event.encode()
                if data.count(b"{") + data.count(b"[") > limits.EVENT_DEPTH:  # else it cannot be too deep
                    check_depth(data)
        except Exception as error:  # noqa: BLE001  (publishing never raises; counted, logged, named in the receipt)
            return self._refuse(str(getattr(event, "id", "")), error)
        return self.publish_encoded(event_id, event_type, data, is_clean)

    def publish_encoded(self, event_id: str, event_type: str, data: bytes, is_clean: bool = False) -> Receipt:
        """As `publish`, for an event whose encoded envelope is known to be right: for hot paths of our own modules.

        `is_clean` says that it was looked through for secrets already.
        """
        try:
            if not is_clean:
                data = redacted_event(data)
            if len(data) > limits.EVENT_BYTES:
                raise too_large(data)
            critical = event_type in self._critical
            with self._publishing:
                if self._appending:
                    self._check_late()
                    self._late.append((event_id, data, critical))
                    return Receipt(event_id, self._keeper, LATE, critical)
                self._appending = True  # before the next line, so that who closes in between knows
                try:
                    if self._closed is not None:
                        self._begin_here()
                    seq = self._append(data, critical)
                finally:
                    self._appending = False
                    if self._late:
                        self._append_late()
            if self._power and self._journal is not None:
                self._forcing.force(self._journal, seq, self._publishing)
        except Exception as error:  # noqa: BLE001  (as above)
            return self._refuse(event_id, error)
        finally:
            if self._closed is not None:
                self._close_if_late()
        shipper = self._shipper
        if shipper is None:
            self.changes.notify()
        elif shipper.idle:
            shipper.wake()
        return Receipt(event_id, self._keeper, seq, critical)

    def publish_many(self, events: Sequence[EncodedEvent]) -> None:
        """As `publish_encoded` for each, without receipts: journalled together, but where something is unusual.

        That is where one is refused, there is no journal, or this interrupts another publish.
        """
        for one in events[self._publish_together(events) :]:
            self.publish_encoded(*one)

    def _publish_together(self, events: Sequence[EncodedEvent]) -> int:
        """Publish the first of the events by one write; how many of them that was."""
        journal, done = self._journal, 0
        if journal is None:
            return 0
        try:
            records = list(self._records(events))
            with self._publishing:
                if self._appending or self._closed is not None:
                    return 0
                before, self._appending = journal.next_seq, True
                try:
                    journal.append_many(records)
                except JournalFull:
                    log.warning("events are journalled one by one", waiting=len(records))  # which tells what is refused
                finally:
                    done = journal.next_seq - before
                    self._appending = False
                    if self._late:
                        self._append_late()
            if self._power and done:
                self._forcing.force(journal, before + done - 1, self._publishing)
        except Exception as error:  # noqa: BLE001  (publishing never raises; counted, logged)
            for event_id, *_ in events[:done]:
                self._refuse(event_id, error)
        finally:
            if self._closed is not None:
                self._close_if_late()
        if self._shipper is not None and self._shipper.idle:
            self._shipper.wake()
        return done

    def _records(self, events: Sequence[EncodedEvent]) -> Iterator[tuple[bytes, bool]]:
        """What is journalled of the events, up to the first that is refused."""
        for _, event_type, data, is_clean in events:
            shown = data if is_clean else redacted_event(data)
            if len(shown) > limits.EVENT_BYTES:
                return
            yield shown, event_type in self._critical

    def _check_late(self) -> None:
        """Raises Closed, unless the append that is interrupted can still take in what comes."""
        if self._closed in (_Close(_Closed.BY_USER), _ENDED):
            raise Closed

    def _append_late(self) -> None:
        """Take in what a signal handler, finaliser or trace function published in the middle of an append."""
        while self._late:
            self._appending = True  # from here on others only add to the line
            try:
                if self._late:  # one that came just before has not taken in all of them
                    event_id, data, critical = self._late[0]
                    try:
                        self._late_numbers.append((event_id, self._append(data, critical)))
                    except Exception as error:  # noqa: BLE001  (publishing never raises; counted, logged)
                        self._refuse(event_id, error)
                    self._late.popleft()
            finally:
                self._appending = False

    def _look(self) -> bool:
        """Have the journal look after its folder, as if it appended: what interrupts this publishes after it."""
        with self._publishing:
            if self._journal is None or self._appending:  # this interrupts an append of the same thread
                return False
            self._appending = True
            try:
                return self._journal.look()
            finally:
                self._appending = False
                if self._late:
                    self._append_late()

    def _append_nowhere(self, data: bytes, critical: bool) -> int:
        """Before the stream is open in this process."""
        raise Closed("the stream is not open in this process")

    def _append_directly(self, data: bytes, critical: bool) -> int:
        """Into a backend in this very memory, where a journal would protect nothing."""
        mark = self.backend.mark("direct")
        (position,) = self.backend.append("direct", mark, str(int(mark or 0) + 1), [data])
        self._direct += 1
        return int(position)

    def _refuse(self, event_id: str, error: Exception) -> Receipt:
        return Receipt(event_id, self._keeper, -1, False, self._refusals.note(event_id, error))

    def event_outbox(self, store: Store) -> Announcer:
        """What announces the changes of this store here; one for each store, made when it is first asked for.

        Events are then part of the same write, and shipped by a thread. A store in memory does not outlive this
        process, so events of its changes are published right after the write.
        """
        if isinstance(store, MemoryStore):
            return DirectAnnouncer(self)
        known = self._outboxes.get(id(store))
        if known is not None:
            return known
        with self._opening_outbox:
            if id(store) not in self._outboxes:
                self._outboxes[id(store)] = self._new_outbox(store)
            return self._outboxes[id(store)]

    def _new_outbox(self, store: Store) -> EventOutbox:
        def ended() -> None:
            self._outboxes.pop(id(store), None)

        is_open = self._is_open()
        outbox = EventOutbox(store, self._backend, self.outage, self._stored, self._is_open)
        if is_open and not getattr(store, "is_closed", False):
            follow_closing(outbox, ended)
            outbox.start()
        return outbox

    @property
    def outboxes(self) -> list[EventOutbox]:
        """Those of the stores whose changes are announced here."""
        return list(self._outboxes.values())

    def position_when_stored(self, receipt: Receipt) -> Future[str]:
        """The position of a receipt of this process, once its event is stored; "" when that was long ago."""
        seq = receipt.seq if receipt.seq != LATE else self._late_number(receipt.event_id)
        if self._shipper is not None:
            return self._shipper.position_of(seq, receipt.critical)
        known: Future[str] = Future()
        known.set_result(str(seq))
        return known

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait at most so many seconds until what was published here is stored; whether it is. Blocks.

        For code without an event loop; a coroutine awaits the last receipt.
        """
        if self._shipper is None or self._journal is None:
            return True
        stored = self._shipper.when_stored(self._journal.next_seq)
        try:
            stored.result(timeout)
        except (NotYet, Unavailable):
            return False
        return True

    def _late_number(self, event_id: str) -> int:
        """The number under which an event was journalled that had interrupted another publish."""
        with self._publishing:  # the publish that was interrupted is over then
            found = [seq for known, seq in self._late_numbers if known == event_id]
        self._close_if_late()
        if found:
            return found[-1]
        raise Unavailable(f"event {event_id}: its place in the journal is no longer known; look it up by its id")

    def subscribe(
        self,
        pattern: str | Iterable[str],
        *,
        group: str | None = None,
        after: str | None = None,
        max_attempts: int = 5,
    ) -> AsyncGenerator[Event, None]:
        """Events that match the pattern, as they come.

        With a group, each event goes to one of its subscribers, at least once: it is acknowledged when the loop asks
        for the next one; leave the loop, by an error or `break`, and the last event is delivered again. A new group
        starts at the first event kept, or after the position `after`. Without a group, events published from this call
        on (or stored after `after`) are seen once. Either loop ends when the stream is closed in this process. Raises
        InvalidInput for a bad pattern, position or group name (those that begin with `brain.` belong to the plug-ins),
        and Closed.
        """
        compiled = Pattern(pattern)
        self.check_open()
        limits.check_count("max_attempts", max_attempts)
        if group is not None:
            options = GroupOptions(start=check_position(after) if after else "first", max_attempts=max_attempts)
            return loop_over(Group(self, check_group_name(group), compiled, options))
        return query.events(self._live(compiled, self._tail_now() if after is None else check_position(after)))

    def live(self, pattern: str | Iterable[str] = "*", *, after: str | None = None) -> AsyncGenerator[Stored, None]:
        """As `subscribe` without a group, with each event's position, after which one can go on later."""
        self.check_open()
        return self._live(Pattern(pattern), self._tail_now() if after is None else check_position(after))

    async def _live(self, pattern: Pattern, position: str) -> AsyncGenerator[Stored, None]:
        async with aclosing(self.live_batches(pattern, position)) as batches:
            async for batch in batches:
                for stored in batch.events:
                    yield stored

    async def live_batches(self, pattern: Pattern, after: str) -> AsyncGenerator[Batch, None]:
        """As `live`, in batches as they are read; an empty one when there is nothing more for now.

        Ends when the stream is closed in this process.
        """
        asked, forks = EventQuery(pattern=pattern), self.forks
        with self.changes.listen() as changed:
            while True:
                self.check_forks(forks)
                changed.clear()
                try:
                    entries = await self.call(self.backend.read, after, _AT_ONCE)
                except Closed:
                    return
                except Unavailable as error:
                    self.outage.report("reading", error)
                    entries = []
                after = entries[-1].position if entries else after
                yield Batch(list(asked.select(entries)), after)
                if not entries:
                    await self.wait_for_change(changed)

    async def read(
        self,
        pattern: str | Iterable[str] = "*",
        *,
        after: str | None = None,
        before: str | None = None,
        since: float | None = None,
        until: float | None = None,
        limit: int = 100,
        newest_first: bool = False,
        correlation_id: str | None = None,
    ) -> list[Stored]:
        """At most `limit` stored events between two positions and two times (Unix seconds; `until` is excluded).

        Raises InvalidInput.
        """
        limits.check_count("limit", limit)
        asked = EventQuery(pattern=Pattern(pattern), since=since, until=until, correlation_id=correlation_id)
        stretch = Stretch(after=after or "", before=before or "", newest_first=newest_first)
        return (await self.call(query.read, self.backend, asked, stretch, limit)).events

    def read_sync(
        self,
        pattern: str | Iterable[str] = "*",
        *,
        after: str | None = None,
        before: str | None = None,
        since: float | None = None,
        until: float | None = None,
        limit: int = 100,
        newest_first: bool = False,
        correlation_id: str | None = None,
    ) -> list[Stored]:
        """As `read`, for code without an event loop. Blocks."""
        limits.check_count("limit", limit)
        asked = EventQuery(pattern=Pattern(pattern), since=since, until=until, correlation_id=correlation_id)
        stretch = Stretch(after=after or "", before=before or "", newest_first=newest_first)
        return query.read(self.backend, asked, stretch, limit).events

    async def replay(
        self,
        pattern: str | Iterable[str] = "*",
        *,
        since: float | None = None,
        until: float | None = None,
        after: str | None = None,
    ) -> AsyncGenerator[Event, None]:
        """Stored events from a time, a position or the start, up to the newest at the time of the call.

        Disturbs no group: nothing is held or acknowledged.
        """
        asked = EventQuery(pattern=Pattern(pattern), since=since, until=until)
        async for stored in query.replay(self, asked, check_position(after or "")):
            yield stored.event

    def replay_sync(
        self,
        pattern: str | Iterable[str] = "*",
        *,
        since: float | None = None,
        until: float | None = None,
        after: str | None = None,
    ) -> Iterator[Event]:
        """As `replay`, for code without an event loop. Blocks."""
        asked, backend = EventQuery(pattern=Pattern(pattern), since=since, until=until), self.backend
        end = position_key(backend.tail())
        for stored in query.scan(backend, asked, check_position(after or "")):
            if position_key(stored.position) > end:
                return
            yield stored.event

    def consumer(
        self, group: str, pattern: str | Iterable[str], handler: Handler, delivering: DeliveryOptions | None = None
    ) -> Consumer:
        """Register a handler for a group; `run_consumers` runs it, as `brain serve` does.

        The handler, plain or async, gets an Event. When it raises or hangs, the event is tried again later while others
        pass, and becomes a dead letter after the allowed attempts: see DeliveryOptions. Raises InvalidInput, also for
        the name of a plug-in's group and for a handler that cannot be called.
        """
        return self._register(check_group_name(group), Pattern(pattern), handler, delivering or DeliveryOptions())

    def plugin_consumer(
        self,
        group: str,
        pattern: str | Iterable[str],
        handler: Handler,
        delivering: DeliveryOptions | None = None,
        former: str = "",
    ) -> Consumer:
        """As `consumer`, for a plug-in's own group, `Plugin.group`.

        A group that the plug-in had under the name `former`, with this pattern, goes on under the new name.
        """
        return self._register(group, Pattern(pattern), handler, delivering or DeliveryOptions(), former)

    def _register(
        self, name: str, pattern: Pattern, handler: Handler, how: DeliveryOptions, former: str = ""
    ) -> Consumer:
        if not callable(handler):
            raise InvalidInput(f"handler of group {name!r}: {limits.shown(handler)} cannot be called; give a function")
        options = GroupOptions(start=how.start, max_attempts=how.max_attempts, former=former)
        consumer = Consumer(Group(self, name, pattern, options), handler, how)
        self.consumers.append(consumer)
        return consumer

    async def run_consumers(self) -> None:
        """Run all registered consumers until cancelled, or closed: running handlers finish, the rest is released.

        One whose task ends all the same is started again and counted (`restarts` in `stats`); see `troubles`.
        """
        self.check_open()
        async with asyncio.TaskGroup() as tasks:
            for consumer in self.consumers:
                tasks.create_task(consumer.task.run())

    def troubles(self) -> list[str]:
        """What keeps events from being stored, and groups and outboxes from working; `/readyz` shows it."""
        died = self._shipper is not None and self._shipper.has_died
        found = ["events are journalled and not stored: the shipper's thread has ended; start again"] if died else []
        found += self.standing.values()
        found += [trouble for consumer in self.consumers for trouble in consumer.troubles()]
        return [*found, *filter(None, (outbox.trouble() for outbox in self.outboxes))]

    async def groups(self) -> list[GroupInfo]:
        """The consumer groups with their lag. Raises Unavailable."""
        return await self.call(self.backend.groups)

    async def drop_group(self, group: str) -> None:
        """Remove a group for good, with its dead letters. Raises NoGroup."""
        await self.call(self.backend.drop_group, group)

    async def dead_letters(self, group: str | None = None, limit: int = 1000, after: str = "") -> list[DeadLetter]:
        """What consumers gave up on, in stream order; what comes after a position."""
        return await self.call(self.backend.dead_letters, group, limit, after)

    async def redrive(self, group: str, positions: Iterable[str] | None = None) -> int:
        """Deliver dead letters (None: all) once more, to this group alone; how many.

        Raises NoGroup, and Conflict when the group does not follow the type of one of them any more.
        """
        count = await self.call(self.backend.redrive, group, _listed(positions))
        self.changes.notify()
        return count

    async def discard(self, group: str, positions: Iterable[str] | None = None) -> int:
        """Delete dead letters (None: all); how many. Raises NoGroup."""
        return await self.call(self.backend.discard, group, _listed(positions))

    def stats(self) -> dict[str, int]:
        """What became of this process's events, as counts: docs/guarantees.md says what each means."""
        shipper, journal = self._shipper, self._journal
        accepted = journal.next_seq if journal is not None else self._direct
        stored = shipper.stored if shipper is not None else self._direct
        return {
            "accepted": accepted,
            "stored": min(stored, accepted),
            "backlog": max(0, accepted - stored) + sum(outbox.unshipped for outbox in self.outboxes),
            "refused": self._refusals.counts.total(),
            "recovered": shipper.recovered if shipper else 0,
            "damaged": shipper.corrupt if shipper else 0,
            "unlogged": logs.unwritten,
            "ship_failures": shipper.failures if shipper else 0,
            "delivered": sum(consumer.delivered for consumer in self.consumers),
            "failed": sum(consumer.failed for consumer in self.consumers),
            "retried": sum(consumer.group.retried for consumer in self.consumers),
            "dead": sum(consumer.group.dead for consumer in self.consumers),
            "hanging": sum(len(consumer.hanging) for consumer in self.consumers),
            "restarts": sum(consumer.task.ends for consumer in self.consumers),
        }

    @property
    def store_delays(self) -> StoreDelays | None:
        """How long this process's events took to the backend; None without a journal."""
        return self._shipper.store_delays if self._shipper is not None else None

    @property
    def journal_name(self) -> str:
        """The name of this process's journal folder; "" without one."""
        return self._journal.folder.name if self._journal is not None else ""

    @property
    def last_error(self) -> str:
        """Why the backend was last unavailable to the shipper; "" when it never was."""
        return self._shipper.last_error if self._shipper is not None else ""

    async def close(self, timeout: float = 5.0) -> None:
        """Ship what is journalled for at most `timeout` seconds, then stop; the rest is shipped at the next start.

        What loops and handlers of this process hold in groups is given back at once; loops end, and so does
        `run_consumers`. An event whose handler or loop body still runs is delivered again, to whoever is next.
        """
        await run_alone(self.close_sync, timeout)

    def close_sync(self, timeout: float = 5.0) -> None:
        """As `close`, for code without an event loop. Blocks.

        What interrupts a publish of the same thread (a signal handler, a finaliser) returns at once: that publish
        journals its event when it goes on, and then closes.
        """
        if threading.current_thread() in self._threads():  # a finaliser, wherever the collector ran
            threading.Thread(target=self.close_sync, args=(timeout,), name="brain-closer", daemon=True).start()
            return
        interrupts = self._publishing._is_owned()  # type: ignore[attr-defined]  # `threading.Condition` asks so, too
        with self._publishing:
            was_open = self._stop_publishing(_Closed.BY_USER, timeout if interrupts else None)
        if interrupts:
            return
        if was_open:
            self._close(timeout)
        self._close_if_late()

    def _threads(self) -> list[threading.Thread]:
        """Those that closing waits for."""
        shipping = [self._shipper.thread] if self._shipper is not None else []
        return [*shipping, *(outbox.thread for outbox in self.outboxes)]

    def _close_if_late(self) -> None:
        """Close, where `close_sync` had interrupted what is over now."""
        with self._publishing:
            closed = self._closed
            if closed is None or closed.late is None:
                return
            self._closed = _Close(_Closed.BY_USER)
        self._close(closed.late)

    def _close(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        try:
            self._stop_threads(deadline)
        except BaseException:  # Ctrl-C ends the waiting: all else is done as after the time-out
            deadline = 0.0
            self._stop_threads(deadline)
            raise
        finally:
            self._closed = _ENDED
            self._give_back(max(0.1, deadline - time.monotonic()))
            self.changes.notify()  # whoever waits for events learns that none come
            self._executor.shutdown()
            if self._readers is not None:
                self._readers.close()
            for consumer in self.consumers:
                consumer.close()
            self._backend.close()

    def _stop_threads(self, deadline: float) -> None:
        for outbox in self.outboxes:
            outbox.stop(max(0.1, deadline - time.monotonic()))
        if self._shipper is not None and not self._shipper.stop(max(0.1, deadline - time.monotonic())):
            log.warning(
                "the stream was closed with a backlog; the next start ships it", backlog=self.stats()["backlog"]
            )

    def _give_back(self, timeout: float) -> None:
        """Leave all groups, acknowledging what is done: others need not wait for the end of our leases."""
        sessions = list(self.sessions)

        def give_back() -> None:
            for session in sessions:
                session.give_back()

        try:
            self._executor.submit(give_back).result(timeout)
        except NotYet:
            log.warning("groups could not be left in time; others take over after the lease", members=len(sessions))

    @property
    def exit_timeout(self) -> float:
        """How many seconds a process that ends without `close` may take to ship what is journalled."""
        return self.options.exit_timeout

    def end(self, timeout: float) -> None:
        """At the end of a process that has not closed the stream: ship for at most so many seconds."""
        if not self._stop_publishing(_Closed.AT_EXIT):
            return
        deadline = time.monotonic() + timeout
        for outbox in self.outboxes:
            outbox.stop(max(0.0, deadline - time.monotonic()))
        if self._shipper is not None:
            self._shipper.stop(max(0.0, deadline - time.monotonic()), finishing=0.0, last=self._backend.close)

    def _stop_publishing(self, why: _Closed, late: float | None = None) -> bool:
        """Whether there is something to stop in this process."""
        with self._publishing:
            closed = self._closed
            was_open = closed is None
            if closed is None:
                self._closed = _Close(why, late)
            elif why is _Closed.BY_USER and closed.why in (_Closed.BY_FORK, _Closed.AT_EXIT):
                self._closed = _ENDED  # nothing of it is open here
        self._stopping.set()
        return was_open

    def is_closed(self) -> bool:
        """Whether `close` has been called in this process, or it ends."""
        return self._closed is not None and self._closed.why is not _Closed.BY_FORK

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close_sync()

    @property
    def backend(self) -> Backend:
        """Where events are kept, with connections of this process's own. Raises Closed."""
        self.check_open()
        return self._backend

    def check_open(self) -> None:
        """A forked child opens it now. Raises Closed."""
        if self._closed is not None:
            if self._closed is _ENDED:
                raise Closed
            if self._closed.why is _Closed.BY_FORK:
                self._use()

    async def call(self, function: Callable[A, T], *args: A.args, **_: A.kwargs) -> T:
        """Run a blocking backend call off the loop. Raises Closed, whatever the call met with at the end."""
        self.check_open()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, function, *args)
        except (BrainError, RuntimeError) as error:
            if self._closed is _ENDED:
                raise Closed from error
            raise

    async def call_reader(self, function: Callable[A, T], *args: A.args, **options: A.kwargs) -> T:
        """The same for a search, which may take long: in threads that consumers do not need.

        Raises Unavailable when all of them have been taken for a second.
        """
        return await run_in(self._reader_threads(), lambda: function(*args, **options), READER_PATIENCE, "stream")

    def _reader_threads(self) -> HandlerThreads:
        if self._readers is None or self._readers.loop is not asyncio.get_running_loop():
            if self._readers is not None:
                self._readers.close()
            self._readers = HandlerThreads("readers", READERS)
        return self._readers

    async def wait_for_change(self, changed: asyncio.Event) -> None:
        """Wait until the stream has grown, or for a while: a lost connection must not be waited for for ever.

        A second where the stream itself may be lost, five where it is a file.
        """
        self._watch()
        try:
            async with asyncio.timeout(5.0 if self.backend.durable else 1.0):
                await changed.wait()
        except TimeoutError:
            return

    async def start_position(self, start: str) -> str:
        """The position that `first`, `now` or a position stands for."""
        if start == "first":
            return ""
        return await self.call(self.backend.tail) if start == "now" else check_position(start)

    def _tail_now(self) -> str:
        """The newest position; when Redis is slow to say, one by the clock."""
        if self.backend.durable:
            return self.backend.tail()
        asked = self._executor.submit(self.backend.tail)
        try:
            return asked.result(timeout=0.05)
        except (NotYet, Unavailable):
            return self.backend.position_at(time.time())

    def _watch(self) -> None:
        """Start the thread that hands over what other processes store; nobody else stores in this very memory."""
        if self._watcher is None and not self.url.startswith("memory:"):
            self._watcher = threading.Thread(target=self._watch_backend, name="brain-watcher", daemon=True)
            start_whole(self._watcher)

    def _watch_backend(self) -> None:
        position: str | None = None
        while not self._stopping.is_set():
            try:
                if position is None:
                    position = self.backend.tail()
                    self.changes.notify()
                elif found := self.backend.wait(position, _LONGEST_WATCH):
                    position = self._hand_over_from_others(found)
            except Exception as error:  # noqa: BLE001  (the thread must live on; the backend's state is logged)
                if self._stopping.is_set():
                    return  # the backend was closed under it
                if isinstance(error, Unavailable):
                    self.outage.report("watching", error)
                else:
                    log.warning("the backend cannot be watched for new events; trying again", error=str(error))
                position = None
                self._stopping.wait(0.2)

    def _hand_over_from_others(self, found: str) -> str:
        """Hand over what was found in the stream, but for what this process stores itself; up to where all is known.

        The shipper hands over what it has stored and what came before. This thread would be in its way, and in that of
        those whom it wakes.
        """
        shipper, journal = self._shipper, self._journal
        assert shipper is not None  # only a stream in memory has none, and is not watched
        assert journal is not None
        if journal.next_seq > shipper.stored or position_key(found) <= position_key(shipper.stored_to):
            self._stopping.wait(_SHIPPER_FIRST)
        if position_key(found) <= position_key(shipper.stored_to):
            return shipper.stored_to
        self._hand_over()
        return found

    def _forked(self) -> None:
        """In a forked child: journal, lock, threads and memberships stay the parent's (see `lock_folder`)."""
        if self._closed is None:
            self._closed = _Close(_Closed.BY_FORK)
        if self._shipper is not None:
            self._shipper.leave_to_parent()
        self.forks += 1
        self._begin_process()
        for consumer in self.consumers:
            consumer.forked()
        for outbox in self.outboxes:
            outbox.begin(self._backend, self.outage)

    def _use(self) -> None:
        """Be open in this process: a forked child goes on with a journal, threads and connections of its own.

        Raises Closed, and Unavailable or JournalFull when there is no place for a journal.
        """
        with self._publishing:
            if self._closed is None or self._appending:  # this interrupts an opening
                return
            self._appending = True
            try:
                self._begin_here()
            finally:
                self._appending = False
                if self._late:
                    self._append_late()
        self._close_if_late()

    def _begin_here(self) -> None:
        """As `_use`, in the middle of an append."""
        closed = self._closed
        if closed is not None and closed.why in (_Closed.BY_USER, _Closed.ENDED):
            raise Closed
        try:
            self._begin(self._backend.for_child())
            self._closed = None
            if closed is not None and closed.why is _Closed.BY_FORK:
                self._start_in_child()
        except OSError as error:
            raise Unavailable(f"journal in {self.options.root}: cannot be made ({error}); free its place") from error

    def _start_in_child(self) -> None:
        for outbox in self.outboxes:
            outbox.begin(self._backend, self.outage)
            outbox.start()
        self.start()
        log.debug("a forked process has opened the stream for itself", url=masked(self.url), journal=self.journal_name)

    def _is_open(self) -> bool:
        """Whether the stream is open in this process; a forked child opens it now."""
        try:
            self._use()
        except Closed:
            return False
        except BrainError as error:
            log.error("a forked process could not open the stream for itself", error=str(error))
            return False
        return self._closed is None

    def check_forks(self, forks: int) -> None:
        """Raises BegunBeforeFork unless no fork lies between now and when there were so many."""
        if forks != self.forks:
            raise BegunBeforeFork(
                "this loop over events, or this receipt, belongs to the process that forked this one; subscribe here, "
                "or look the event up by its id"
            )


class Opening:
    """What `EventStream.open` returns: await it, or enter it."""

    def __init__(self, opening: Callable[[], EventStream]) -> None:
        self._opening = opening
        self._stream: EventStream | None = None

    def open_now(self) -> EventStream:
        """Open without an event loop. Blocks."""
        return self._opening()

    def __await__(self) -> Generator[object, None, EventStream]:
        return run_alone(self._opening).__await__()

    async def __aenter__(self) -> EventStream:
        self._stream = await self
        return self._stream

    async def __aexit__(self, *_: object) -> None:
        assert self._stream is not None
        await self._stream.close()

    if not TYPE_CHECKING:  # a type checker would then let any name pass

        def __getattr__(self, name: str) -> NoReturn:
            raise AttributeError(
                f"this is no stream yet, and has no {name!r}: write `await EventStream.open(...)` or `async with "
                "EventStream.open(...) as stream`; without an event loop, `EventStream.open_sync(...)`"
            )


def use_marks_of(url: str, journal: str | Path | None = None) -> None:
    """Have the marks of this process made with the key beside the stream, unless it has one."""
    if not url.startswith("memory:"):
        use_key_file(Path(f"{str(_journal_root(url, journal)).removesuffix('.journal')}.redaction-key"))


def _open(options: StreamOptions, journal: str | Path | None) -> EventStream:
    check_uwsgi()
    url = options.url
    backend = open_backend(url, power=options.power)
    if not url.startswith("memory:"):
        root = _journal_root(url, journal)
        options = options._replace(url=absolute_url(url), root=root, place=_place(url))
        use_marks_of(url, journal)
        prepare_redaction()
    stream: EventStream | None = None
    try:
        stream = EventStream(options, backend)
        stream.start()
        return stream
    except BaseException as error:  # also what a signal handler raises: Ctrl-C in a notebook
        if stream is None:
            backend.close()
        else:
            stream.close_sync(0.0)
        if not isinstance(error, OSError):
            raise
        raise Unavailable(
            f"journal in {options.root}: cannot be made ({error}); check its rights and the disk, or name another "
            "folder by `journal=`"
        ) from error


def _place(url: str) -> str:
    """The stream's place without secrets, the same whichever path leads there."""
    if url.startswith("sqlite:///"):
        return f"sqlite:///{os.path.realpath(sqlite_file(url))}"
    return parse(url).identity


def _journal_root(url: str, journal: str | Path | None) -> Path:
    if journal is not None:
        root = leading_somewhere(Path(journal))
    elif url.startswith("sqlite:///"):
        root = Path(f"{sqlite_file(url)}.journal")
    else:
        name = "".join(letter if letter.isalnum() else "_" for letter in parse(url).identity)
        root = leading_somewhere(Path(".brain")) / name
    return Path(os.path.realpath(root))  # one root, whichever path leads there, and wherever this process goes


def _listed(positions: Iterable[str] | None) -> list[str] | None:
    return None if positions is None else [check_position(position) for position in positions]


def _after_fork() -> None:
    for stream in list(_open_streams):
        stream._forked()


at_fork(in_child=_after_fork)
