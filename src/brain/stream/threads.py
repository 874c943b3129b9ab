"""Threads of our own: a plain handler that hangs holds up neither the other groups nor the end of the process.

The shared executors are no place for code that may never return: it takes their threads from everybody else, and they
are waited for when the interpreter ends. These threads are daemons and belong to one purpose each.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from contextvars import Context, copy_context
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Generic, NamedTuple, ParamSpec, TypeVar

from brain.errors import Unavailable
from brain.locks import InterruptibleLock
from brain.logs import Log
from brain.stream.closed import Closed
from brain.stream.giving_way import requests

log: Log = Log("brain.threads")

A = ParamSpec("A")
T = TypeVar("T")


_BEGINS = 1.0
"""Seconds in which a thread begins."""
_SHUT_DOWN = "cannot schedule new futures after shutdown"  # as the standard library's pools say it


class CallOutcome(NamedTuple):
    """What a call came to: its value, or what it raised, be it what no Future carries (StopIteration)."""

    value: Any
    error: BaseException | None


class Call(Generic[T]):
    """One call in a thread; `outcome` is set in the loop that asked for it, and never cancelled by who waits for it."""

    def __init__(self, function: Callable[[], T], ended: Callable[[], None]) -> None:
        self.outcome: asyncio.Future[CallOutcome] = asyncio.get_running_loop().create_future()
        self._loop = asyncio.get_running_loop()
        self._context: Context = copy_context()
        self._function = function
        self._ended = ended

    def run(self) -> None:
        """Called by the thread."""
        try:
            outcome = CallOutcome(self._context.run(self._function), None)
        except BaseException as error:  # noqa: BLE001  (carried to whoever waits)
            outcome = CallOutcome(None, error)
        try:
            self._loop.call_soon_threadsafe(self._finish, outcome)
        except RuntimeError:
            if outcome.error is None or isinstance(outcome.error, Closed):  # as at every end of a program
                log.info("a call in a thread ended after its event loop")
            else:
                fault = repr(outcome.error)
                log.warning("a call in a thread failed after its event loop had ended; its error is lost", error=fault)

    def _finish(self, outcome: CallOutcome) -> None:
        self._ended()
        self.outcome.set_result(outcome)

    async def wait(self) -> CallOutcome:
        """The outcome; a waiter that is cancelled leaves the call as it is."""
        return await asyncio.shield(self.outcome)


class DaemonPool(Executor):
    """At most `count` threads for blocking calls, each made when it is first needed.

    What the standard library's pool does, with daemons: at the end of the process nobody waits for a call that hangs.
    """

    def __init__(self, count: int, name: str) -> None:
        self._count, self._name = count, name
        self._calls: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._making = InterruptibleLock()
        self._made = 0
        self._over = False

    def submit(self, function: Callable[A, T], /, *args: A.args, **kwargs: A.kwargs) -> Future[T]:
        """As Executor says. Raises RuntimeError after `shutdown`."""
        future: Future[T] = Future()
        with self._making:
            if self._over:
                raise RuntimeError(_SHUT_DOWN)
            self._calls.put((future, partial(function, *args, **kwargs)))
            if not self._idle.acquire(blocking=False) and self._made < self._count:
                self._made += 1
                threading.Thread(target=self._run, name=f"{self._name}_{self._made}", daemon=True).start()
        return future

    def shutdown(self, wait: bool = False, *, cancel_futures: bool = True) -> None:
        """Begin no further call, and fail those that wait; threads end when their call has returned."""
        with self._making:
            self._over = True
            with suppress(Empty):
                while (call := self._calls.get_nowait()) is not None:
                    if call[0].set_running_or_notify_cancel():  # cancelled, it would end a task that waits for it
                        call[0].set_exception(RuntimeError(_SHUT_DOWN))
            for _ in range(self._made):
                self._calls.put(None)

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            future, function = call
            if future.set_running_or_notify_cancel():
                try:
                    result = function()
                except BaseException as error:  # noqa: BLE001  (carried to whoever waits)
                    future.set_exception(error)
                else:
                    future.set_result(result)
                    del result
            del call, future, function
            self._idle.release()


class HandlerThreads:
    """At most `count` threads of one group, for one event loop; each is made when it is first needed."""

    def __init__(self, name: str, count: int) -> None:
        self.loop: asyncio.AbstractEventLoop = asyncio.get_running_loop()
        self._name = name
        self._free = count  # threads that run nothing, those not made yet included
        self._made = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._calls: SimpleQueue[Call[Any] | None] = SimpleQueue()
        self._idle = 0  # threads made that run nothing
        self._over = False

    async def reserve(self) -> None:
        """Wait for a thread that is free; it is kept for the `call` that must follow without another await."""
        while not self._free:
            turn = self.loop.create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._next()
                raise
        self._free -= 1

    def call(self, function: Callable[[], T]) -> Call[T]:
        """Run `function` in the thread that was reserved, with the context of this moment."""
        call = Call(function, self._release)
        if self._over:  # who waited for its turn meanwhile: no thread is left that would take it from the queue
            threading.Thread(target=call.run, name=f"brain-{self._name}", daemon=True).start()
            return call
        if self._idle:
            self._idle -= 1
        else:
            self._made += 1
            threading.Thread(target=self._run, name=f"brain-{self._name}", daemon=True).start()
        self._calls.put(call)
        return call

    def close(self) -> None:
        """Let the threads end, each when its call has returned; a later call has a thread of its own."""
        self._over = True
        for _ in range(self._made):
            self._calls.put(None)

    def _release(self) -> None:
        self._free += 1
        self._idle += 1
        self._next()

    def _next(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            call.run()
            del call


async def run_in(threads: HandlerThreads, function: Callable[[], T], patience: float | None, whose: str) -> T:
    """Run a blocking call in one of these threads. With `patience` a request waits for it, and the loop gives way.

    Raises Unavailable, naming `whose` they are, when none was free for `patience` seconds (None: it waits).
    """
    try:
        async with asyncio.timeout(patience):
            await threads.reserve()
    except TimeoutError:
        raise Unavailable(f"{whose}: no thread was free for {patience:g} s; it is slow, or hangs") from None
    value, error = await threads.call(function if patience is None else requests.call(function)).wait()
    if error is not None:
        raise error
    return value  # type: ignore[no-any-return]


def start_whole(thread: threading.Thread) -> None:
    """Start it. Where an exception ends `Thread.start`, as Ctrl-C may, it is waited for: else a thread that begins all
    the same looks as if it had never been started, and nobody ends it."""
    try:
        thread.start()
    except Exception:
        raise  # there is no thread
    except BaseException:
        thread._started.wait(_BEGINS)  # type: ignore[attr-defined]
        raise


async def run_alone(function: Callable[A, T], *args: A.args, **kwargs: A.kwargs) -> T:
    """Run a blocking call in a thread of its own: it waits for no other call, and nothing waits for it at the end."""
    call = Call(lambda: function(*args, **kwargs), lambda: None)
    threading.Thread(target=call.run, name="brain-alone", daemon=True).start()
    value, error = await call.wait()
    if error is not None:
        raise error
    return value  # type: ignore[no-any-return]
