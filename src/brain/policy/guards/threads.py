"""What an async guard waits with, in asyncio and in trio: short work in threads of our own, and a pause."""

from __future__ import annotations

import asyncio
import functools
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from trio import CapacityLimiter
    from trio.lowlevel import RunVar

    from brain.policy.engine import PolicyEngine

T = TypeVar("T")

_THREADS = 8  # for the guards of one event loop; each is held for one read or write of the store

_pools: WeakKeyDictionary[asyncio.AbstractEventLoop, ThreadPoolExecutor] = WeakKeyDictionary()


def in_event_loop() -> bool:
    """Whether an event loop, of asyncio or trio, runs in this thread."""
    return in_asyncio() or in_trio()


def in_asyncio() -> bool:
    """Whether a loop of asyncio runs in this thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def in_trio() -> bool:
    """Whether trio runs in this thread."""
    trio = sys.modules.get("trio")
    if trio is None:
        return False
    try:
        trio.lowlevel.current_task()
    except RuntimeError:
        return False
    return True


async def pause(seconds: float) -> None:
    """Let other tasks run for so long."""
    if in_asyncio():
        await asyncio.sleep(seconds)
        return
    import trio

    await trio.sleep(seconds)


async def run_in_thread(function: Callable[[], T]) -> T:
    """Run in a thread that no work of the host's holds up: not one of the loop's default executor.

    A caller that is cancelled goes on being cancelled when the work is done: nothing is left half done behind it.
    """
    if in_asyncio():
        return await _in_thread_of_ours(function)
    from trio import to_thread

    return await to_thread.run_sync(function, limiter=_trio_limiter())


async def run_ready(engine: PolicyEngine, context: Mapping[str, Any]) -> None:
    """Have the engine ready for a decision on `context`, so that the event loop does not wait for a database."""
    if not engine.ready(context):
        await run_in_thread(functools.partial(engine.prepare, context))


async def _in_thread_of_ours(function: Callable[[], T]) -> T:
    loop = asyncio.get_running_loop()
    if (pool := _pools.get(loop)) is None:
        pool = _pools[loop] = ThreadPoolExecutor(_THREADS, "brain-guard")
    work = asyncio.wrap_future(pool.submit(copy_context().run, function), loop=loop)
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        while not work.done():
            try:
                await asyncio.wait([work])
            except asyncio.CancelledError:  # once more, by an impatient caller or a scope of anyio
                continue
        raise


def _trio_limiter() -> CapacityLimiter:
    from trio import CapacityLimiter

    limiters = _trio_limiters()
    limiter = limiters.get(None)
    if limiter is None:
        limiter = CapacityLimiter(_THREADS)
        limiters.set(limiter)
    return limiter


@functools.cache
def _trio_limiters() -> RunVar[CapacityLimiter | None]:
    """The limiter of each run of trio."""
    from trio.lowlevel import RunVar

    return RunVar("brain_approval_threads")
