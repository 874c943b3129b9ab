"""Runs the handler of a group: lanes side by side, time limits, retries, keys in order, and an orderly end."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections import deque
from collections.abc import Callable, Coroutine, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from sys import modules
from typing import TYPE_CHECKING, Any

from brain.charter import Event
from brain.charter.context import CURRENT, wake_of
from brain.errors import EnvelopeError
from brain.logs import Log
from brain.redaction import redacted_text
from brain.stream.dead_letters import with_attempt
from brain.stream.group import Delivery
from brain.stream.retry import retry_delay
from brain.stream.threads import Call
from brain.stream.tracing import SDK, handling

if TYPE_CHECKING:
    from brain.stream.consumer import Consumer, DeliveryOptions

log: Log = Log("brain.consumer")

_LEFT_ALONE = 100  # async handlers of a group left to themselves over their time; one more keeps its lane
_END_SECONDS = 1.0  # how long a cancelled task may take to end when the group is left
_LONGEST_LOOK = 1.0  # seconds between looks at handlers that may be over their time
_ERROR_CHARACTERS = 2_000


class _Uncarried(Exception):
    """Stands for what a plain handler raised and a coroutine cannot raise as it is."""


class _LeftAlone(Exception):
    """The handler has ended at last whose lane went on without it."""


@dataclass
class _Lane:
    """Handles its deliveries one after the other."""

    queue: asyncio.Queue[Sequence[Delivery]] = field(default_factory=asyncio.Queue)
    batch: Iterator[Delivery] = field(default_factory=lambda: iter(()))
    blocked: dict[Hashable, deque[Delivery]] = field(default_factory=dict)
    task: asyncio.Task[None] | None = None
    delivery: Delivery | None = None  # the one being handled
    call: Call[object] | None = None  # the handler's thread at work
    now: float = 0.0  # when the last handler was called
    started: float | None = None  # the same while it runs
    reserving: bool = False  # waits for a thread
    timed_out: float | None = None  # when the handler was cancelled for being over its time
    left_alone: bool = False  # another lane has taken its place

    def successor(self) -> _Lane:
        """A lane that goes on where this one stands."""
        self.left_alone = True
        return _Lane(queue=self.queue, batch=self.batch, blocked=self.blocked)


class HandlerRun:
    """Runs a consumer's handler for one membership of its group: `run`, once."""

    def __init__(self, consumer: Consumer, how: DeliveryOptions) -> None:
        self._consumer = consumer
        self._how = how
        self._session = consumer.group.session(max_in_flight=how.batch * 4)
        self._lanes = [_Lane() for _ in range(how.concurrency)]
        self._turn = 0
        self._retries: set[asyncio.TimerHandle] = set()
        self._workers: set[asyncio.Task[None]] = set()
        self._ended: asyncio.Future[asyncio.Task[None]]
        self._owner: asyncio.Task[Any] | None = None
        self._draining = False
        self._stopping = False

    async def run(self) -> None:
        """Handle events until the membership ends; then let running handlers finish, and leave."""
        self._owner = asyncio.current_task()
        self._ended = asyncio.get_running_loop().create_future()
        async with self._session as session:
            await session.join()
            try:
                for lane in self._lanes:
                    self._begin(lane, self._work(lane))
                for work in (self._fetch(), self._watch_times()):
                    self._watch(asyncio.create_task(work), None)
                ended = await self._ended
                ended.result()
            finally:
                await self._drain()

    def _begin(self, lane: _Lane, work: Coroutine[Any, Any, None]) -> None:
        lane.task = asyncio.create_task(work)
        self._watch(lane.task, lane)

    def _watch(self, task: asyncio.Task[None], lane: _Lane | None) -> None:
        """The end of the task is the end of the run, unless its lane goes on without it."""

        def ended(_: object) -> None:
            self._workers.discard(task)
            if lane is not None and lane.left_alone:
                error = None if task.cancelled() else task.exception()
                log.info("a handler left alone has ended", group=self._consumer.group.name, error=str(error))
            elif not self._ended.done():
                self._ended.set_result(task)
            elif not task.cancelled() and (error := task.exception()) is not None and not self._draining:
                log.warning(
                    "another part of the consumer ended with an error",
                    group=self._consumer.group.name,
                    error=describe_error(error),
                )

        self._workers.add(task)
        task.add_done_callback(ended)

    async def _drain(self) -> None:
        """Let running handlers finish; bounded whatever they do."""
        self._draining = True
        for handle in self._retries:
            handle.cancel()
        lanes = {lane.task: lane for lane in self._lanes if lane.task is not None and not lane.task.done()}
        for task in tuple(self._workers):
            lane = lanes.get(task)
            if lane is None or lane.reserving:
                self._stopping = True
                task.cancel()
        for lane in self._lanes:
            lane.queue.put_nowait(())
        if lanes:
            await asyncio.wait(lanes, timeout=self._how.grace)
        await self._stop()

    async def _stop(self) -> None:
        """Cancel what still runs; what goes on even then is noted, so that no later run starts it beside itself."""
        self._stopping = True
        for lane in self._lanes:
            if lane.call is not None and not lane.call.outcome.done() and lane.delivery is not None:
                self._consumer.hangs(lane.delivery.position, lane.call.outcome)
        workers = tuple(self._workers)
        for task in workers:
            task.cancel()
        if workers:
            await asyncio.wait(workers, timeout=_END_SECONDS)
        for lane in self._lanes:
            if lane.task is not None and not lane.task.done() and lane.delivery is not None:
                log.warning("a handler goes on after its cancellation", group=self._consumer.group.name)
                self._consumer.hangs(lane.delivery.position, lane.task)

    async def _fetch(self) -> None:
        while True:
            self._dispatch(await self._session.next_deliveries(self._how.batch))
            await asyncio.sleep(0)

    async def _watch_times(self) -> None:
        """Stop handlers that are over their time."""
        pause = min(_LONGEST_LOOK, max(0.01, self._how.timeout / 4))
        while True:
            await asyncio.sleep(pause)
            for place in range(len(self._lanes)):
                self._check_time(place, time.monotonic())

    def _check_time(self, place: int, now: float) -> None:
        """Cancel the lane's handler when it is over its time; leave it alone when it goes on all the same."""
        lane, how = self._lanes[place], self._how
        if lane.started is None or lane.task is None or lane.delivery is None:
            return
        if lane.timed_out is None:
            if now - lane.started > how.timeout:
                lane.timed_out = now
                lane.task.cancel()
        elif now - lane.timed_out > min(how.grace, how.timeout) and len(self._consumer.hanging) < _LEFT_ALONE:
            self._consumer.hangs(lane.delivery.position, lane.task)
            self._lanes[place] = fresh = lane.successor()
            self._begin(fresh, self._go_on(fresh, lane.delivery, lane.task))

    async def _go_on(self, lane: _Lane, delivery: Delivery, former: asyncio.Task[None]) -> None:
        """Work on in the place of a task whose handler does not end."""
        await self._settle(lane, delivery, await self._failed(lane, delivery, self._over_time, former))
        await self._work(lane)

    @property
    def _over_time(self) -> str:
        return f"the handler did not finish within {self._how.timeout} s"

    def _dispatch(self, deliveries: list[Delivery]) -> None:
        """Hand out to the lanes: by key where order is asked for, else in turn."""
        if len(self._lanes) == 1 and self._how.key is None:
            if deliveries:
                self._lanes[0].queue.put_nowait(deliveries)
            return
        for delivery in deliveries:
            if self._how.key is not None:
                lane = self._lanes[self._find_key(delivery, self._how.key) % len(self._lanes)]
            else:
                self._turn += 1
                lane = self._lanes[self._turn % len(self._lanes)]
            lane.queue.put_nowait((delivery,))

    def _find_key(self, delivery: Delivery, key: Callable[[Event], Hashable]) -> int:
        """Set the delivery's key, or the fault that there is none to be had; its hash."""
        try:
            delivery.event = event = Event.decode(delivery.data)
        except EnvelopeError:  # the same fault shows when it is handled, and is counted there
            return 0
        try:
            found = key(event)
            number = hash(found)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001  (the user's function; a failed attempt when it is handled)
            delivery.fault = f"key: {describe_error(error)}"
            delivery.key = object()  # it waits for no other, and no other for it
            return hash(delivery.key)
        delivery.key = found
        return number

    async def _work(self, lane: _Lane) -> None:
        session, keyed = self._session, self._how.key is not None
        while True:
            for delivery in lane.batch:
                if self._draining:
                    return
                waiting = lane.blocked.get(delivery.key) if keyed else None
                if waiting is not None and not delivery.retry:
                    waiting.append(delivery)
                    continue
                finished = await self._handle(lane, delivery)
                # Asked here too, since nearly every event has nothing to settle.
                if keyed or delivery.redelivered or lane.now > session.flush_at:
                    await self._settle(lane, delivery, finished)
            if session.has_finished and lane.queue.empty():
                await session.flush()
            if self._draining:
                return
            lane.batch = iter(await lane.queue.get())

    async def _settle(self, lane: _Lane, delivery: Delivery, finished: bool) -> None:
        if self._how.key is not None:
            await self._release_key(lane, delivery, finished)
        # A redelivered one at once: were its consumer killed before, it would count one more attempt.
        if delivery.redelivered or lane.now > self._session.flush_at:
            await self._session.flush()

    async def _release_key(self, lane: _Lane, delivery: Delivery, finished: bool) -> None:
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

    async def _handle(self, lane: _Lane, delivery: Delivery) -> bool:
        """Handle one delivery; False when it will be tried again."""
        consumer, session = self._consumer, self._session
        event = session.decode(delivery)
        if event is None:
            await session.pass_over(delivery)
            return True
        if consumer.hanging and (running := consumer.hanging.get(delivery.position)) is not None:
            self._again_after(running, lane, delivery)
            return False
        if delivery.redelivered and not await session.count_attempt(delivery):
            return True
        error = delivery.fault or await self._attempt(lane, delivery, event)
        if error:
            call, lane.call = lane.call, None
            running = call.outcome if call is not None and not call.outcome.done() else None
            if running is not None:
                consumer.hangs(delivery.position, running)
            return await self._failed(lane, delivery, error, running)
        consumer.delivered += 1
        session.finish(delivery.position)
        return True

    async def _attempt(self, lane: _Lane, delivery: Delivery, event: Event) -> str:
        """Call the handler in the context of its event; why the attempt failed, "" when it did not."""
        consumer = self._consumer
        if not consumer.is_async:
            lane.reserving = True
            await consumer.threads.reserve()
            lane.reserving = False
        lane.delivery = delivery
        lane.now = lane.started = time.monotonic()
        error = ""
        try:
            if consumer.is_async and SDK not in modules:  # nearly always: as `handling` does it, without its calls
                before = CURRENT.set(wake_of(event))
                try:
                    await consumer.handler(event)  # type: ignore[misc]
                finally:
                    CURRENT.reset(before)
            else:
                with handling(event, consumer.group.name):
                    if consumer.is_async:
                        await consumer.handler(event)  # type: ignore[misc]
                    else:
                        await self._in_thread(lane, event)
        except BaseException as raised:
            if self._goes_through(lane, raised):
                raise
            error = describe_error(raised)
        lane.started = None
        if error or lane.timed_out is not None:
            error = self._clear_away(lane, error)
        return error

    async def _in_thread(self, lane: _Lane, event: Event) -> None:
        handler = self._consumer.handler
        lane.call = self._consumer.threads.call(lambda: handler(event))
        value, error = await lane.call.wait()
        lane.call = None
        if error is not None:
            if isinstance(error, Exception) and not isinstance(error, StopIteration | StopAsyncIteration):
                raise error
            raise _Uncarried(describe_error(error)) from error
        if inspect.isawaitable(value):
            await value

    def _goes_through(self, lane: _Lane, raised: BaseException) -> bool:
        """Whether the handler did not raise this: the run stops its lane, Ctrl-C, the event loop ends."""
        if isinstance(raised, KeyboardInterrupt) or lane.task is not _current_task():
            return True
        if not isinstance(raised, asyncio.CancelledError) or lane.timed_out is not None:
            return False
        return self._stopping or (self._owner is not None and self._owner.cancelling() > 0)

    def _clear_away(self, lane: _Lane, error: str) -> str:
        """Undo what a failed attempt left on the lane's task; why it failed."""
        if lane.left_alone:
            raise _LeftAlone(error)
        if lane.timed_out is not None:
            error = self._over_time
            lane.timed_out = None
        if lane.task is not None and not self._stopping:
            while lane.task.cancelling():
                lane.task.uncancel()
        return error

    async def _failed(
        self, lane: _Lane, delivery: Delivery, error: str, running: asyncio.Future[Any] | None = None
    ) -> bool:
        """One attempt has failed: a dead letter, or tried again later, but never beside `running`."""
        group, how = self._consumer.group, self._how
        self._consumer.failed += 1
        delivery.history = with_attempt(delivery.history, error)
        if running is not None:
            log.error("a handler runs on over its time", group=group.name, position=delivery.position)
        if delivery.attempts >= how.max_attempts:
            await self._session.dead_letter(delivery, error)
            return True
        log.info(
            "a handler failed; its event is tried again", group=group.name, position=delivery.position, error=error
        )
        delivery.redelivered = True
        if running is not None:
            self._again_after(running, lane, delivery)
        else:
            self._again_in(retry_delay(delivery.attempts, how.retry_delay, how.max_retry_delay), lane, delivery)
        return False

    def _again_in(self, seconds: float, lane: _Lane, delivery: Delivery) -> None:
        def again() -> None:
            self._retries.discard(handle)
            self._again(lane, delivery)

        handle = asyncio.get_running_loop().call_later(seconds, again)
        self._retries.add(handle)

    def _again_after(self, running: asyncio.Future[Any], lane: _Lane, delivery: Delivery) -> None:
        running.add_done_callback(lambda _: self._again(lane, delivery))

    def _again(self, lane: _Lane, delivery: Delivery) -> None:
        if self._draining:
            return
        if delivery.fault:
            lane.blocked.pop(delivery.key, None)
            delivery.fault = ""
            self._dispatch([delivery])
        else:
            delivery.retry = True
            lane.queue.put_nowait((delivery,))


def describe_error(error: BaseException) -> str:
    """The error's type and text, without secrets, in characters that can be stored, whatever its `__str__` does."""
    if isinstance(error, _Uncarried):
        return str(error)
    try:
        text = str(error)
    except BaseException as fault:  # noqa: BLE001  (an exception of the user's; replaced by this text)
        text = f"(its text cannot be had: {type(fault).__name__})"
    return (
        f"{type(error).__name__}: {redacted_text(text)}"[:_ERROR_CHARACTERS]
        .encode("utf-8", "backslashreplace")
        .decode()
    )


def _current_task() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:  # no loop runs any more
        return None
