"""A consumer of a group: batches, lanes, retries, dead letters, orderly shutdown."""

from __future__ import annotations

import asyncio
import inspect
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from brain.charter import Event, Pattern
from brain.errors import EnvelopeError, Unavailable
from brain.logs import Log
from brain.stream.backends import Fenced, Held, NoGroup
from brain.stream.member import Member
from brain.stream.tracing import handling

if TYPE_CHECKING:
    from brain.stream.stream import EventStream

log = Log("brain.consumer")

Handler = Callable[[Event], Awaitable[object] | object]
_FLUSH_AFTER = 0.2  # seconds that a finished event may wait for its acknowledgement


@dataclass(frozen=True, kw_only=True)
class Delivering:
    """How a group's events are delivered; all times in seconds."""

    batch: int = 500
    """Events fetched at once."""
    concurrency: int = 1
    """Handlers running at the same time; with 1, events are handled in stream order but for retries."""
    key: Callable[[Event], Hashable] | None = None
    """Events of one key are handled in order, retries included, whatever the concurrency."""
    max_attempts: int = 5
    """Attempts, the first delivery counted, before an event becomes a dead letter."""
    retry_delay: float = 0.1
    """Delay before the second attempt; it doubles with every further one, and is jittered."""
    max_retry_delay: float = 30.0
    timeout: float = 30.0
    """A handler running longer is cancelled, and that attempt has failed."""
    grace: float = 5.0
    """How long a shutdown waits for running handlers."""
    start: str = "first"
    """Where a new group begins: `first` (everything kept), `now`, or a position."""


class _Delivery(msgspec.Struct, gc=False):
    position: str
    data: bytes
    attempts: int = 1
    redelivered: bool = False  # the attempt is counted at the backend before the handler is called
    retry: bool = False  # comes from this session's own schedule of retries
    key: Hashable = None
    history: tuple[str, ...] = ()


@dataclass
class _Lane:
    """Handles its deliveries one after the other."""

    queue: asyncio.Queue[Sequence[_Delivery]] = field(default_factory=asyncio.Queue)
    blocked: dict[Hashable, deque[_Delivery]] = field(default_factory=dict)
    task: asyncio.Task[None] | None = None
    now: float = 0.0  # when the last handler was called
    started: float | None = None  # the same while it runs
    timed_out: bool = False


class Consumer:
    """Runs `handler` for the events of a group that match the pattern, at least once each."""

    def __init__(
        self, stream: EventStream, group: str, pattern: Pattern, handler: Handler, delivering: Delivering | None = None
    ) -> None:
        self.group = group
        self.pattern = pattern
        self.delivered = self.retried = self.dead = self.fenced = 0
        self.memberships: list[str] = []  # begun, and not known to have been given back
        self._stream = stream
        self._handler = handler
        self._is_async = inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(
            getattr(handler, "__call__", None)  # noqa: B004  (an object with an async __call__)
        )
        self._how = delivering or Delivering()
        self._start: str | None = None

    async def run(self) -> None:
        """Consume until cancelled; a lost lease, a lost group and an absent backend are got over."""
        delay = 0.0
        while True:
            session = _Session(self, self._stream, self._how)
            try:
                await session.run()
            except Fenced as error:
                self.fenced += 1
                log.warning("lease lost, joining anew", group=self.group, error=str(error))
            except NoGroup:
                log.warning("group lost, making it anew", group=self.group)
            except Unavailable as error:
                # An outage that begins in a running session is a new one: it is not waited for as long as the last.
                delay = (0.05 if session.joined else min(2.0, max(0.05, delay * 2))) * random.uniform(0.5, 1.0)
                self._stream.outage.met(f"reading as group {self.group}", error)
                await asyncio.sleep(delay)

    async def start_position(self) -> str:
        """Where the group begins; `now` is the moment of the first try, also when the group has to be made anew."""
        if self._start is None:
            self._start = await self._stream.start_position(self._how.start)
        return self._start

    async def call(self, event: Event) -> None:
        """Run the handler in the context of its event, so that what it publishes carries on the correlation."""
        with handling(event, self.group):
            if self._is_async:
                await self._handler(event)  # type: ignore[misc]
            else:
                result = await asyncio.to_thread(self._handler, event)
                if inspect.isawaitable(result):
                    await result


class _Session:
    """One membership of the group, from joining to leaving."""

    def __init__(self, consumer: Consumer, stream: EventStream, how: Delivering) -> None:
        self._consumer = consumer
        self._stream = stream
        self._how = how
        self._member = Member(stream.backend, consumer.group, stream.lease)
        self._lanes = [_Lane() for _ in range(how.concurrency)]
        self._turn = 0
        self._in_flight = 0
        self._done: list[str] = []
        self._flushed_at = 0.0
        self._room = asyncio.Event()
        self._waiting: set[asyncio.TimerHandle] = set()
        self._draining = False
        self.joined = False

    async def run(self) -> None:
        start = await self._consumer.start_position()
        memberships = self._consumer.memberships
        former = tuple(memberships)
        memberships.append(self._member.name)
        held = await self._stream.call(self._member.join, str(self._consumer.pattern), start, former)
        del memberships[:-1]
        self.joined = True
        workers: list[asyncio.Task[None]] = []
        try:
            self._redeliver(held)
            for lane in self._lanes:
                lane.task = asyncio.create_task(self._work(lane))
                workers.append(lane.task)
            workers += [asyncio.create_task(self._fetch()), asyncio.create_task(self._keep())]
            done, _ = await asyncio.wait(workers, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            await self._leave(workers)

    async def _leave(self, workers: list[asyncio.Task[None]]) -> None:
        """Let running handlers finish, acknowledge what is done, give back the rest."""
        self._draining = True
        for handle in self._waiting:
            handle.cancel()
        lanes = {lane.task for lane in self._lanes if lane.task is not None}
        for task in workers:
            if task not in lanes:
                task.cancel()
        for lane in self._lanes:
            lane.queue.put_nowait(())
        running = {task for task in lanes if not task.done()}
        if running:
            await asyncio.wait(running, timeout=self._how.grace)
        for task in workers:
            task.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        try:
            await self._flush()
            await self._stream.call(self._member.leave)
            self._consumer.memberships.clear()
        except (Fenced, NoGroup, Unavailable) as error:
            log.warning("left without a word, others will take over", group=self._consumer.group, error=str(error))

    async def _fetch(self) -> None:
        limit = self._how.batch * 4
        with self._stream.bell.listen() as bell:
            while True:
                while self._in_flight >= limit:
                    self._room.clear()
                    await self._room.wait()
                bell.clear()
                entries = await self._stream.call(
                    self._stream.backend.fetch, self._consumer.group, self._member.name, self._how.batch
                )
                if entries:
                    self._in_flight += len(entries)
                    self._dispatch([_Delivery(position, data) for position, data in entries])
                    await asyncio.sleep(0)
                else:
                    await self._stream.rung(bell)

    async def _keep(self) -> None:
        """Renew the lease, take over what the dead held, and stop handlers that hang."""
        pause = min(self._stream.lease / 3, max(0.01, self._how.timeout / 4))
        while True:
            await asyncio.sleep(pause)
            now = time.monotonic()
            for lane in self._lanes:
                if lane.started is not None and now - lane.started > self._how.timeout and lane.task is not None:
                    lane.timed_out = True
                    lane.task.cancel()
            self._redeliver(await self._stream.call(self._member.beat))

    def _redeliver(self, held: Sequence[Held]) -> None:
        self._in_flight += len(held)
        self._dispatch([_Delivery(one.position, one.data, one.attempts, redelivered=True) for one in held])

    def _dispatch(self, deliveries: list[_Delivery]) -> None:
        """Hand out to the lanes: by key where order is asked for, else in turn."""
        if len(self._lanes) == 1 and self._how.key is None:
            if deliveries:
                self._lanes[0].queue.put_nowait(deliveries)
            return
        for delivery in deliveries:
            if self._how.key is not None:
                delivery.key = self._key_of(delivery, self._how.key)
                lane = self._lanes[hash(delivery.key) % len(self._lanes)]
            else:
                self._turn += 1
                lane = self._lanes[self._turn % len(self._lanes)]
            lane.queue.put_nowait((delivery,))

    def _key_of(self, delivery: _Delivery, key: Callable[[Event], Hashable]) -> Hashable:
        try:
            return key(Event.decode(delivery.data))
        except Exception:  # noqa: BLE001  (the same fault shows when it is handled, and is counted there)
            return None

    async def _work(self, lane: _Lane) -> None:
        while True:
            for delivery in await lane.queue.get():
                if self._draining:
                    return
                waiting = lane.blocked.get(delivery.key) if self._how.key is not None else None
                if waiting is not None and not delivery.retry:
                    waiting.append(delivery)
                    continue
                finished = await self._handle(lane, delivery)
                if self._how.key is not None:
                    await self._release_key(lane, delivery, finished)
                # A redelivered one at once: were its consumer killed before, it would count one more attempt.
                if delivery.redelivered or lane.now - self._flushed_at > _FLUSH_AFTER:
                    await self._flush()
            if self._done and lane.queue.empty():
                await self._flush()
            if self._draining:
                return

    async def _release_key(self, lane: _Lane, delivery: _Delivery, finished: bool) -> None:
        """Hold back what follows a failed event of the same key; let it go once that one is through."""
        if not finished:
            lane.blocked.setdefault(delivery.key, deque())
            return
        waiting = lane.blocked.get(delivery.key)
        while waiting:
            following = waiting.popleft()
            if not await self._handle(lane, following):
                return
        lane.blocked.pop(delivery.key, None)

    async def _handle(self, lane: _Lane, delivery: _Delivery) -> bool:
        """Handle one delivery; False when it will be tried again."""
        how, consumer = self._how, self._consumer
        try:
            event = Event.decode(delivery.data)
        except EnvelopeError as error:
            return await self._bury(delivery, f"not an event: {error}")
        if not consumer.pattern.matches(event.type):
            self._finished(delivery)
            return True
        if delivery.redelivered:
            delivery.attempts = await self._stream.call(
                self._stream.backend.count_attempt, consumer.group, delivery.position
            )
            consumer.retried += 1
            if delivery.attempts > how.max_attempts:
                delivery.attempts -= 1  # this one is not made
                return await self._bury(delivery, "every attempt ended with the consumer gone")
        lane.now = lane.started = time.monotonic()
        try:
            await consumer.call(event)
        except asyncio.CancelledError:
            if not lane.timed_out:
                raise
            return await self._failed(lane, delivery, f"the handler did not finish within {how.timeout} s")
        except Exception as error:  # noqa: BLE001  (a handler may raise anything; retried, counted, kept as dead letter)
            return await self._failed(lane, delivery, f"{type(error).__name__}: {error}")
        finally:
            lane.started = None
            if lane.timed_out and lane.task is not None:
                lane.timed_out = False
                lane.task.uncancel()
        consumer.delivered += 1
        self._finished(delivery)
        return True

    def _finished(self, delivery: _Delivery) -> None:
        self._done.append(delivery.position)

    async def _failed(self, lane: _Lane, delivery: _Delivery, error: str) -> bool:
        delivery.history = (*delivery.history[-19:], f"{time.time():.3f} {error}")
        if delivery.attempts >= self._how.max_attempts:
            return await self._bury(delivery, error)
        delay = min(self._how.max_retry_delay, self._how.retry_delay * 2 ** (delivery.attempts - 1))
        log.info("handler failed, will retry", group=self._consumer.group, position=delivery.position, error=error)
        delivery.redelivered = delivery.retry = True

        def again() -> None:
            self._waiting.discard(handle)
            lane.queue.put_nowait((delivery,))

        handle = asyncio.get_running_loop().call_later(delay * random.uniform(0.5, 1.0), again)
        self._waiting.add(handle)
        return False

    async def _bury(self, delivery: _Delivery, error: str) -> bool:
        await self._stream.call(
            self._member.bury, delivery.position, delivery.data, error, delivery.attempts, delivery.history
        )
        self._consumer.dead += 1
        self._free(1)
        return True

    async def _flush(self) -> None:
        """Acknowledge what is done."""
        self._flushed_at = time.monotonic()
        done, self._done = self._done, []
        if done:
            await self._stream.call(self._stream.backend.ack, self._consumer.group, self._member.name, done)
            self._free(len(done))

    def _free(self, count: int) -> None:
        self._in_flight -= count
        if not self._room.is_set():
            self._room.set()
