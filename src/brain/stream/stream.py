"""EventStream: what everything else publishes to and subscribes to."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from contextlib import aclosing
from pathlib import Path
from sys import modules
from typing import NamedTuple, ParamSpec, TypeVar
from weakref import WeakSet

from brain import limits, logs
from brain.charter import Event, Pattern, Priority, check_depth, too_large
from brain.errors import BrainError, EnvelopeError, InvalidInput, Unavailable
from brain.logs import Log
from brain.platform import at_fork, force_out
from brain.plugins import catalogue
from brain.redis_client.url import parse
from brain.store import Store
from brain.store.memory import MemoryStore
from brain.store.sqlite import absolute_url, sqlite_file
from brain.stream import query
from brain.stream.announcer import Announcer, DirectAnnouncer, OutboxStream
from brain.stream.backends import Backend, GroupInfo, check_position, open_backend
from brain.stream.change_signal import ChangeSignal
from brain.stream.consumer import Consumer, DeliveryOptions, Handler
from brain.stream.dead_letters import DeadLetter
from brain.stream.decoded import DecodedEvents
from brain.stream.event_outbox import EventOutbox, follow_closing
from brain.stream.group import Group, GroupOptions, check_group_name, loop_over
from brain.stream.journal import Journal
from brain.stream.outage import Outage
from brain.stream.query import Batch, EventQuery, Stored, Stretch
from brain.stream.receipt import LATE, Receipt
from brain.stream.shipper import Shipper
from brain.stream.store_delays import StoreDelays
from brain.stream.threads import HandlerThreads, run_alone, run_in
from brain.stream.tracing import SDK, publish_traced

log = Log("brain.stream")

A = ParamSpec("A")
T = TypeVar("T")

_AT_ONCE = 500  # events in one look at the stream
_SAY_EVERY = 1.0  # seconds between two log lines about the same reason of refusal
_LATE_REMEMBERED = 1_000  # events that interrupted a publish and whose receipts may still be awaited
READERS, READER_PATIENCE = 4, 1.0
"""Threads for searches, and the seconds that a search waits for one."""
DURABILITIES = ("process", "power")

_open_streams: WeakSet[EventStream] = WeakSet()


class Closed(Unavailable):
    """The stream is closed in this process."""


class EventStream(OutboxStream):
    """One durable stream of events; use `EventStream.open`.

    `publish` may be called from any thread; the asynchronous methods from any running loop.
    """

    def __init__(
        self,
        url: str,
        backend: Backend,
        lease: float,
        journal: Journal | None = None,
        root: Path | None = None,
        *,
        power: bool = False,
    ) -> None:
        self.url = url
        self.backend = backend
        self.lease = lease
        self.changes = ChangeSignal()
        self.outage = Outage()
        self.decoded = DecodedEvents()
        self.refused: Counter[str] = Counter()
        self._said: dict[str, float] = {}
        self.consumers: list[Consumer] = []
        self.standing: dict[str, str] = {}
        """Why groups that read by position, projections, stand still: by group, a sentence that says what to do."""
        self._critical = frozenset(
            name for name, declared in catalogue().items() if declared.priority is Priority.CRITICAL
        )
        self._publishing = threading.RLock()
        self._appending = False  # the thread that holds the lock is in the middle of an append
        self._late: deque[tuple[str, bytes, bool]] = deque()  # published meanwhile by what interrupted that thread
        self._late_numbers: deque[tuple[str, int]] = deque(maxlen=_LATE_REMEMBERED)
        self._closed = False
        self._power = power
        self._forcing = threading.RLock()
        self._forced = 0
        self._journal = journal
        self._shipper = (
            Shipper(backend, root, journal, self.changes.notify, self.outage, self._look) if journal and root else None
        )
        self._direct = 0
        self._append = journal.append if journal is not None else self._append_directly
        self._executor = ThreadPoolExecutor(16, "brain-stream")
        self._readers: HandlerThreads | None = None
        self._outboxes: dict[int, EventOutbox] = {}  # by the id of their store, which they hold
        self._opening_outbox = threading.Lock()
        self._watcher: threading.Thread | None = None
        self._stopping = threading.Event()
        _open_streams.add(self)

    @staticmethod
    def open(
        url: str = "sqlite:///brain.db",
        *,
        journal: str | Path | None = None,
        durability: str = "process",
        lease: float = 5.0,
    ) -> Opening:
        """Open the stream: `stream = await EventStream.open(url)` or `async with EventStream.open(url) as stream`.

        `journal` is the folder of local journals (default: beside the SQLite file, or `.brain/` here for Redis).
        `durability` says what a returned `publish()` survives: `process` (the death of this process) or `power` (also
        of the machine: one fdatasync, shared by concurrent publishers). `lease` is in seconds: how long a silent
        consumer keeps what it holds. Redis need not be reachable. Raises InvalidInput, and Unavailable for a bad file.
        """
        if durability not in DURABILITIES:
            raise InvalidInput(f"durability: {durability!r} is not one of {', '.join(DURABILITIES)}")
        return Opening(lambda: _open(url, journal, durability, lease))

    def publish(self, event: Event) -> Receipt:
        """Accept the event: when this returns it is journalled, and nothing that kills this process loses it.

        Never blocks and never raises: what cannot be accepted (a malformed or oversized event, no room on the disk) is
        counted in `refused`, logged, and named by `receipt.refused`.
        """
        if SDK in modules and (traced := publish_traced(self.publish, event)) is not None:
            return traced
        try:
            event_id, event_type, data = event.id, event.type, event.encode()
            if data.count(b"{") + data.count(b"[") > limits.EVENT_DEPTH:  # else it cannot be too deep, as nearly all
                check_depth(data)
        except Exception as error:  # noqa: BLE001  (publishing never raises; counted, logged, named in the receipt)
            return self._refuse(str(getattr(event, "id", "")), error)
        return self.publish_encoded(event_id, event_type, data)

    def publish_encoded(self, event_id: str, event_type: str, data: bytes) -> Receipt:
        """As `publish`, for an event whose encoded envelope is known to be right: for hot paths of our own modules."""
        try:
            if len(data) > limits.EVENT_BYTES:
                raise too_large(data)
            critical = event_type in self._critical
            with self._publishing:
                if self._closed:
                    raise Closed("the stream is closed in this process; open one of its own")
                if self._appending:
                    self._late.append((event_id, data, critical))
                    return Receipt(event_id, self, LATE, critical)
                self._appending = True
                try:
                    seq = self._append(data, critical)
                finally:
                    self._appending = False
                    if self._late:
                        self._append_late()
            if self._power:
                self._force_out(seq)
        except Exception as error:  # noqa: BLE001  (as above)
            return self._refuse(event_id, error)
        shipper = self._shipper
        if shipper is None:
            self.changes.notify()
        elif shipper.idle:
            shipper.wake()
        return Receipt(event_id, self, seq, critical)

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
        assert self._journal is not None
        with self._publishing:
            if self._appending:  # this interrupts an append of the same thread
                return False
            self._appending = True
            try:
                return self._journal.look()
            finally:
                self._appending = False
                if self._late:
                    self._append_late()

    def _force_out(self, seq: int) -> None:
        """Return when the record is on stable storage; one fdatasync serves all that were appended before it began."""
        journal = self._journal
        assert journal is not None
        with self._forcing:
            if seq < self._forced:
                return
            with self._publishing:
                upto, fd = journal.next_seq, journal.duplicate()
            try:
                force_out(fd)
            finally:
                os.close(fd)
            self._forced = max(self._forced, upto)

    def _append_directly(self, data: bytes, critical: bool) -> int:
        """Into a backend in this very memory, where a journal would protect nothing."""
        mark = self.backend.mark("direct")
        (position,) = self.backend.append("direct", mark, str(int(mark or 0) + 1), [data])
        self._direct += 1
        return int(position)

    def _refuse(self, event_id: str, error: Exception) -> Receipt:
        reason = type(error).__name__
        self.refused[reason] += 1
        now = time.monotonic()
        if now - self._said.get(reason, 0.0) >= _SAY_EVERY:  # a full disk refuses thousands a second
            self._said[reason] = now
            log.error(
                "an event was refused", reason=reason, error=str(error), event_id=event_id, total=self.refused[reason]
            )
        if not isinstance(error, BrainError):
            error = EnvelopeError(f"event: cannot be published: {type(error).__name__}: {error}")
        return Receipt(event_id, self, -1, False, error)

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

        outbox = EventOutbox(store, self.backend, self.outage, self.changes.notify, self.is_closed)
        if not self._closed and not getattr(store, "is_closed", False):
            follow_closing(outbox, ended)
            outbox.start()
        return outbox

    @property
    def outboxes(self) -> list[EventOutbox]:
        """Those of the stores whose changes are announced here."""
        return list(self._outboxes.values())

    async def position_of(self, receipt: Receipt) -> str:
        """Wait until the event of the receipt is stored; its position. Raises what the event was refused with."""
        if receipt.refused is not None:
            raise receipt.refused
        seq = receipt.seq if receipt.seq != LATE else self._late_number(receipt.event_id)
        if self._shipper is None:
            return str(seq)
        position = await asyncio.wrap_future(self._shipper.position_of(seq, receipt.critical))
        if position:
            return position
        found = await self.call(query.find_event, self.backend, receipt.event_id)
        return found.position if found is not None else ""

    def _late_number(self, event_id: str) -> int:
        """The number under which an event was journalled that had interrupted another publish."""
        with self._publishing:  # the publish that was interrupted is over then
            for known, seq in reversed(self._late_numbers):
                if known == event_id:
                    return seq
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
        on (or stored after `after`) are seen once. Raises InvalidInput for a bad pattern, position or group name;
        names that begin with `brain.` belong to the plug-ins.
        """
        compiled = Pattern(pattern)
        if group is not None:
            options = GroupOptions(start=check_position(after) if after else "first", max_attempts=max_attempts)
            return loop_over(Group(self, check_group_name(group), compiled, options))
        return query.events(self._live(compiled, self._tail_now() if after is None else check_position(after)))

    def live(self, pattern: str | Iterable[str] = "*", *, after: str | None = None) -> AsyncGenerator[Stored, None]:
        """As `subscribe` without a group, with each event's position, after which one can go on later."""
        return self._live(Pattern(pattern), self._tail_now() if after is None else check_position(after))

    async def _live(self, pattern: Pattern, position: str) -> AsyncGenerator[Stored, None]:
        async with aclosing(self.live_batches(pattern, position)) as batches:
            async for batch in batches:
                for stored in batch.events:
                    yield stored

    async def live_batches(self, pattern: Pattern, after: str) -> AsyncGenerator[Batch, None]:
        """As `live`, in batches as they are read; an empty one when there is nothing more for now."""
        asked = EventQuery(pattern=pattern)
        with self.changes.listen() as changed:
            while True:
                changed.clear()
                try:
                    entries = await self.call(self.backend.read, after, _AT_ONCE)
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
        """At most `limit` stored events between two positions and two times (Unix seconds; `until` is excluded)."""
        asked = EventQuery(pattern=Pattern(pattern), since=since, until=until, correlation_id=correlation_id)
        stretch = Stretch(after=after or "", before=before or "", newest_first=newest_first)
        return (await self.call(query.read, self.backend, asked, stretch, limit)).events

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

    def consumer(
        self, group: str, pattern: str | Iterable[str], handler: Handler, delivering: DeliveryOptions | None = None
    ) -> Consumer:
        """Register a handler for a group; `run_consumers` runs it, as `brain serve` does.

        The handler, plain or async, gets an Event. When it raises or hangs, the event is tried again later while others
        pass, and becomes a dead letter after the allowed attempts: see DeliveryOptions. Raises InvalidInput, also for
        the name of a plug-in's group.
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
        options = GroupOptions(start=how.start, max_attempts=how.max_attempts, former=former)
        consumer = Consumer(Group(self, name, pattern, options), handler, how)
        self.consumers.append(consumer)
        return consumer

    async def run_consumers(self) -> None:
        """Run all registered consumers until cancelled; then running handlers finish and the rest is released.

        One whose task ends all the same is started again and counted (`restarts` in `stats`); see `troubles`.
        """
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

    async def dead_letters(self, group: str | None = None, limit: int = 1000) -> list[DeadLetter]:
        """What consumers gave up on, in stream order."""
        return await self.call(self.backend.dead_letters, group, limit)

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
            "refused": sum(self.refused.values()),
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
        """Ship what is journalled for at most `timeout` seconds, then stop; the rest is shipped at the next start."""
        with self._publishing:
            if self._closed:
                return
            self._closed = True
        self._stopping.set()
        deadline = time.monotonic() + timeout
        for outbox in self.outboxes:
            await run_alone(outbox.stop, max(0.1, deadline - time.monotonic()))
        timeout = max(0.1, deadline - time.monotonic())
        if self._shipper is not None and not await run_alone(self._shipper.stop, timeout):
            log.warning(
                "the stream was closed with a backlog; the next start ships it", backlog=self.stats()["backlog"]
            )
        self._executor.shutdown(wait=False, cancel_futures=True)
        if self._readers is not None:
            self._readers.close()
        for consumer in self.consumers:
            consumer.close()
        await run_alone(self.backend.close)

    def is_closed(self) -> bool:
        """Whether `close` has been called in this process."""
        return self._closed

    async def __aenter__(self) -> EventStream:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def call(self, function: Callable[A, T], *args: A.args, **_: A.kwargs) -> T:
        """Run a blocking backend call off the loop."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, function, *args)

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
        """Wait until the stream has grown, or a second: a lost connection must not be waited for for ever."""
        self._watch()
        try:
            async with asyncio.timeout(1.0):
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
        asked: Future[str] = self._executor.submit(self.backend.tail)
        try:
            return asked.result(timeout=0.05)
        except (NotYet, Unavailable):
            return self.backend.position_at(time.time())

    def _watch(self) -> None:
        """Start the thread that notices what other processes store."""
        if self._watcher is None:
            self._watcher = threading.Thread(target=self._watch_backend, name="brain-watcher", daemon=True)
            self._watcher.start()

    def _watch_backend(self) -> None:
        position: str | None = None
        while not self._stopping.is_set():
            try:
                if position is None:
                    position = self.backend.tail()
                    self.changes.notify()
                elif self.backend.wait(position, 0.5):
                    position = None
            except Exception as error:  # noqa: BLE001  (the thread must live on; the backend's state is logged)
                if self._stopping.is_set():
                    return  # the backend was closed under it
                if isinstance(error, Unavailable):
                    self.outage.report("watching", error)
                else:
                    log.warning("the backend cannot be watched for new events; trying again", error=str(error))
                position = None
                self._stopping.wait(0.2)

    def _forked(self) -> None:
        """In a forked child: the journal stays the parent's, and so does its lock (see `lock_folder`)."""
        self._publishing = threading.RLock()
        self._closed = True


class Opening:
    """What `EventStream.open` returns: await it, or enter it."""

    def __init__(self, opening: Callable[[], EventStream]) -> None:
        self._opening = opening
        self._stream: EventStream | None = None

    def __await__(self) -> Generator[object, None, EventStream]:
        return run_alone(self._opening).__await__()

    async def __aenter__(self) -> EventStream:
        self._stream = await self
        return self._stream

    async def __aexit__(self, *_: object) -> None:
        assert self._stream is not None
        await self._stream.close()


class _Where(NamedTuple):
    root: Path
    folder: Path


def _open(url: str, journal: str | Path | None, durability: str, lease: float) -> EventStream:
    power = durability == "power"
    logs.load()
    backend = open_backend(url, power=power)
    if url.startswith("memory:"):
        return EventStream(url, backend, lease)
    where = _journal_folder(url, journal)
    stream = EventStream(absolute_url(url), backend, lease, Journal(where.folder, power=power), where.root, power=power)
    assert stream._shipper is not None
    stream._shipper.start()
    return stream


def _journal_folder(url: str, journal: str | Path | None) -> _Where:
    if journal is not None:
        root = Path(journal)
    elif url.startswith("sqlite:///"):
        root = Path(f"{sqlite_file(url)}.journal")
    else:
        root = Path(".brain") / "".join(letter if letter.isalnum() else "_" for letter in parse(url).identity)
    root = Path(os.path.realpath(root))  # one root, whichever path leads there, and wherever this process goes
    return _Where(root, root / os.urandom(8).hex())


def _listed(positions: Iterable[str] | None) -> list[str] | None:
    return None if positions is None else [check_position(position) for position in positions]


def _after_fork() -> None:
    for stream in list(_open_streams):
        stream._forked()


at_fork(in_child=_after_fork)
