"""Groups with bad handlers beside good groups of the same process and of another: the good ones are not touched.

How long the good ones take is compared, by turns, with rounds in which the other eight groups behave: so many groups in
one process cost something whatever their handlers do, and what is measured is what bad handlers add.
"""

from __future__ import annotations

import asyncio
import inspect
import multiprocessing
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from brain import DeliveryOptions, Event, EventStream
from support.processes import kill, spawn
from support.timed_group import time_events
from support.waiting import until

COUNT = 400
EVERY_BAD = 50  # one event in so many is one that the bad handlers cannot bear
ROUNDS = 12  # at most; waits for the lock of SQLite differ threefold from round to round, with bad handlers and without


def is_bad(event: Event) -> bool:
    return event.payload["n"] % EVERY_BAD == 0


def bad_handlers(released: threading.Event, freed: asyncio.Event) -> dict[str, Callable[[Event], Any]]:
    """Eight kinds of them, each as a handler that only the bad events upset."""

    async def lets_cancellation_out(event: Event) -> None:
        if is_bad(event):
            raise asyncio.CancelledError

    async def swallows_cancellation(event: Event) -> None:
        while is_bad(event) and not freed.is_set():
            try:
                await freed.wait()
            except asyncio.CancelledError:
                continue

    async def over_its_time(event: Event) -> None:
        if is_bad(event):
            await asyncio.Event().wait()

    async def exits(event: Event) -> None:
        if is_bad(event):
            sys.exit(1)

    async def raises_what_is_no_exception(event: Event) -> None:
        if is_bad(event):
            raise GeneratorExit

    def stops_an_iteration(event: Event) -> None:
        if is_bad(event):
            raise StopIteration

    def hangs(event: Event) -> None:
        if is_bad(event):
            released.wait()

    async def nothing(_: Event) -> None:
        return

    return {
        "cancelled": lets_cancellation_out,
        "swallowing": swallows_cancellation,
        "late": over_its_time,
        "exiting": exits,
        "base": raises_what_is_no_exception,
        "stopping": stops_an_iteration,
        "hanging": hangs,
        "keyed": nothing,
    }


def well_behaved(bad: Callable[[Event], Any]) -> Callable[[Event], Any]:
    """A handler of the same kind that does nothing."""

    async def nothing(_: Event) -> None:
        return

    return nothing if inspect.iscoroutinefunction(bad) else lambda _: None


@pytest.fixture
def released() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


@asynccontextmanager
async def elsewhere(url: str) -> AsyncIterator[Connection]:
    """A good group in another process (`support.timed_group`)."""
    ours, theirs = multiprocessing.Pipe()
    process = spawn(time_events, url, COUNT, theirs)
    try:
        yield ours
    finally:
        kill(process)


async def received(pipe: Connection) -> Any:
    assert await asyncio.to_thread(pipe.poll, 60), "no answer"
    return pipe.recv()


def p99(taken: list[float]) -> float:
    assert len(taken) == COUNT
    return sorted(taken)[COUNT * 99 // 100]


async def round_of(url: str, released: threading.Event, *, with_bad: bool) -> tuple[float, float]:
    """The 99th percentile of the seconds from publishing to handling: here, and in the other process."""
    taken: list[float] = []

    async def well(event: Event) -> None:
        taken.append(time.time() - event.timestamp)

    freed = asyncio.Event()
    async with EventStream.open(url) as stream, elsewhere(url) as other:
        stream.consumer("good", "test.*", well)
        for name, bad in bad_handlers(released, freed).items():
            handler = bad if with_bad else well_behaved(bad)
            key = (lambda event: [] if with_bad and is_bad(event) else 1) if name == "keyed" else None
            how = DeliveryOptions(concurrency=4, timeout=0.3, grace=0.3, max_attempts=2, retry_delay=0.05, key=key)  # type: ignore[arg-type]
            stream.consumer(name, "test.*", handler, how)
        task = asyncio.create_task(stream.run_consumers())
        assert await received(other) == "ready"
        for n in range(COUNT):
            stream.publish(Event(type="test.happened", source="test_service", payload={"n": n}))
            await asyncio.sleep(0.005)
        await until(lambda: len(taken) == COUNT)
        there = await received(other)
        assert stream.stats()["restarts"] == 0
        assert not task.done()
        freed.set()
        task.cancel()
        await asyncio.wait({task})
    return p99(taken), p99(there)


@pytest.mark.alone
async def test_bad_handlers_touch_no_good_group(tmp_path: Path, released: threading.Event) -> None:
    """A disturbance from outside lasts for a round, that by the bad handlers for all: the best rounds are compared."""
    without, beside = [], []
    for number in range(ROUNDS):
        without.append(await round_of(f"sqlite:///{tmp_path / f'a{number}.db'}", released, with_bad=False))
        beside.append(await round_of(f"sqlite:///{tmp_path / f'b{number}.db'}", released, with_bad=True))
        if all(untouched(without, beside)):
            break
    assert untouched(without, beside) == [True, True], ("here, elsewhere", without, beside)


def untouched(without: list[tuple[float, float]], beside: list[tuple[float, float]]) -> list[bool]:
    """Whether the good group took at most twice as long beside bad ones: here, and in the other process."""
    best = [(min(one[place] for one in without), min(one[place] for one in beside)) for place in (0, 1)]
    return [together <= 2 * alone for alone, together in best]
