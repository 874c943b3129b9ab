"""Handlers that misbehave: each costs attempts of its own event and nothing else, beside a good group.

The bad group meets one event that its handler cannot bear. That event becomes a dead letter that names its own error;
every other event is handled by both groups.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from brain import DeliveryOptions, Event, EventStream
from support.waiting import DEADLINE, until

COUNT = 30
BAD = 3


class Unlike(BaseException):
    """An exception that `except Exception` does not catch."""


class Unspeakable(Exception):
    """One whose text cannot be had."""

    def __str__(self) -> str:
        raise ZeroDivisionError


def make(number: int, key: str = "") -> Event:
    return Event(type="test.happened", source="test_service", payload={"n": number, "key": key})


async def lets_a_cancellation_out() -> None:
    task = asyncio.create_task(asyncio.Event().wait())
    await asyncio.sleep(0)
    task.cancel()
    await task


async def cancels_itself() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.Event().wait()


async def swallows_cancellation_and_returns() -> None:
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        return


async def hangs() -> None:
    await asyncio.Event().wait()


async def leaves_by_sys_exit() -> None:
    sys.exit(7)


async def raises_unlike() -> None:
    raise Unlike("odd")


async def raises_generator_exit() -> None:
    raise GeneratorExit("over")


async def raises_unspeakable() -> None:
    raise Unspeakable


async def raises_half_a_character() -> None:
    raise ValueError("\ud800")


def raising(error: BaseException) -> Callable[[], None]:
    def plain() -> None:
        raise error

    return plain


OVER_TIME = "the handler did not finish within 0.2 s"
ASYNC = {
    lets_a_cancellation_out: "CancelledError: ",
    cancels_itself: "CancelledError: ",
    swallows_cancellation_and_returns: OVER_TIME,
    hangs: OVER_TIME,
    leaves_by_sys_exit: "SystemExit: 7",
    raises_unlike: "Unlike: odd",
    raises_generator_exit: "GeneratorExit: over",
    raises_unspeakable: "Unspeakable: (its text cannot be had: ZeroDivisionError)",
    raises_half_a_character: "ValueError: \\ud800",
}
PLAIN = {
    raising(StopIteration("none left")): "StopIteration: none left",
    raising(StopAsyncIteration("none left")): "StopAsyncIteration: none left",
    raising(asyncio.CancelledError("no")): "CancelledError: no",
    raising(SystemExit(7)): "SystemExit: 7",
    raising(KeyboardInterrupt()): "KeyboardInterrupt: ",
    raising(Unlike("odd")): "Unlike: odd",
    raising(GeneratorExit("over")): "GeneratorExit: over",
}


@asynccontextmanager
async def running(stream: EventStream) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(stream.run_consumers())
    yield task
    assert not task.done()
    task.cancel()
    await asyncio.wait({task}, timeout=30)
    assert task.done()


async def check(stream: EventStream, handler: Callable[[Event], Any], seen: list[int], error: str, **how: Any) -> None:
    """All events reach both groups but for the bad one, which becomes a dead letter of the bad group.

    A handler has little time only where it is to run out: a plain one in a loaded thread may need more for nothing.
    """
    good: list[int] = []

    async def well(event: Event) -> None:
        good.append(event.payload["n"])

    seconds = 0.2 if error == OVER_TIME else DEADLINE
    values: dict[str, Any] = {"max_attempts": 2, "retry_delay": 0.01, "timeout": seconds, "grace": 0.5, **how}
    stream.consumer("bad", "*", handler, DeliveryOptions(**values))
    stream.consumer("good", "*", well)
    async with running(stream):
        for n in range(COUNT):
            stream.publish(make(n))
        await until(lambda: len(seen) == COUNT - 1 and len(good) == COUNT and stream.stats()["dead"] == 1)
        assert sorted(seen) == [n for n in range(COUNT) if n != BAD]
        assert good == list(range(COUNT))
        (letter,) = await stream.dead_letters()
        assert (letter.group, letter.error, letter.attempts) == ("bad", error, values["max_attempts"])
        assert Event.decode(letter.data).payload["n"] == BAD
        assert stream.stats()["failed"] == values["max_attempts"]
        assert stream.stats()["restarts"] == 0


@pytest.mark.parametrize("misbehave", ASYNC)
async def test_an_async_handler_that_misbehaves(stream: EventStream, misbehave: Callable[[], Any]) -> None:
    seen: list[int] = []

    async def handler(event: Event) -> None:
        if event.payload["n"] == BAD:
            await misbehave()
        else:
            seen.append(event.payload["n"])

    await check(stream, handler, seen, ASYNC[misbehave])


@pytest.mark.parametrize("misbehave", PLAIN, ids=PLAIN.values())
async def test_a_plain_handler_that_misbehaves(stream: EventStream, misbehave: Callable[[], None]) -> None:
    seen: list[int] = []

    def handler(event: Event) -> None:
        if event.payload["n"] == BAD:
            misbehave()
        seen.append(event.payload["n"])

    await check(stream, handler, seen, PLAIN[misbehave])


async def test_a_handler_that_goes_on_in_spite_of_its_cancellation(stream: EventStream) -> None:
    seen: list[int] = []
    released = asyncio.Event()

    async def handler(event: Event) -> None:
        while event.payload["n"] == BAD and not released.is_set():
            try:
                await released.wait()
            except asyncio.CancelledError:
                continue
        if event.payload["n"] != BAD:
            seen.append(event.payload["n"])

    await check(stream, handler, seen, OVER_TIME, max_attempts=1)
    released.set()


class BadHash:
    def __hash__(self) -> int:
        raise ZeroDivisionError("no hash")


@pytest.mark.parametrize(
    ("key", "error"),
    [
        (lambda _: [], "key: TypeError: unhashable type: 'list'"),
        (lambda _: BadHash(), "key: ZeroDivisionError: no hash"),
        (lambda event: event.payload["none"], "key: KeyError: 'none'"),
        (lambda _: sys.exit(3), "key: SystemExit: 3"),
    ],
)
async def test_a_key_that_cannot_be_had(stream: EventStream, key: Callable[[Event], Any], error: str) -> None:
    seen: list[int] = []

    async def handler(event: Event) -> None:
        seen.append(event.payload["n"])

    def by_key(event: Event) -> Any:
        return key(event) if event.payload["n"] == BAD else event.payload["n"] % 4

    await check(stream, handler, seen, error, key=by_key, concurrency=3)


@pytest.fixture
def released() -> Iterator[threading.Event]:
    """Set at the end, so that no thread outlives the test."""
    event = threading.Event()
    yield event
    event.set()


async def test_a_plain_handler_that_hangs_costs_one_lane(stream: EventStream, released: threading.Event) -> None:
    seen: list[int] = []

    def handler(event: Event) -> None:
        if event.payload["n"] == BAD:
            released.wait()
        else:
            seen.append(event.payload["n"])

    over_time = "the handler did not finish within 1.0 s"
    await check(stream, handler, seen, over_time, timeout=1.0, max_attempts=1, concurrency=2)


@pytest.mark.parametrize("key", [None, lambda event: event.payload["key"]])
async def test_a_plain_handler_over_its_time_is_not_run_beside_itself(
    stream: EventStream, released: threading.Event, key: Callable[[Event], Any] | None
) -> None:
    calls: list[int] = []
    done: list[int] = []

    def handler(event: Event) -> None:
        calls.append(event.payload["n"])
        if event.payload["n"] == 0:
            released.wait()
        done.append(event.payload["n"])

    how = DeliveryOptions(concurrency=2, key=key, timeout=0.5, retry_delay=0.01, max_attempts=3, grace=0.2)
    stream.consumer("g", "*", handler, how)
    async with running(stream):
        for n in range(20):
            stream.publish(make(n, "a" if n in (0, 19) else f"k{n}"))
        others = set(range(1, 19 if key else 20))
        await until(lambda: set(done) == others and stream.stats()["failed"] == 1)
        assert stream.stats()["hanging"] == 1
        # A lost lease makes a new membership, to which the event comes again while its handler runs on.
        (consumer,) = stream.consumers
        await stream.call(stream.backend.expel, "g", consumer.group.memberships[-1])
        await until(lambda: consumer.group.fenced == 1)
        stream.publish(make(20, "later"))
        await until(lambda: 20 in done)
        assert calls.count(0) == 1
        released.set()
        await until(lambda: done.count(0) == 2 and 19 in done)
        assert calls.count(0) == 2
        await until(lambda: stream.stats()["hanging"] == 0)
        if key:
            assert done.index(19) > max(place for place, n in enumerate(done) if n == 0)


async def test_close_and_open_do_not_wait_for_handlers_that_hang(url: str, released: threading.Event) -> None:
    started: list[int] = []

    def handler(event: Event) -> None:
        started.append(event.payload["n"])
        released.wait()

    how = DeliveryOptions(concurrency=20, timeout=0.1, max_attempts=1, grace=0.2)
    async with EventStream.open(url) as stream:
        for number in range(3):
            stream.consumer(f"g{number}", "*", handler, how)
        task = asyncio.create_task(stream.run_consumers())
        for n in range(40):
            stream.publish(make(n))
        await until(lambda: len(started) == 60)
        async with asyncio.timeout(20):
            await until(lambda: stream.stats()["hanging"] == 60)
            assert stream.troubles() == [
                f"group g{number}: 20 handlers run on over their time of 0.1 s" for number in range(3)
            ]
            task.cancel()
            await asyncio.wait({task})
            await stream.close()
            async with EventStream.open(url) as other:
                assert other.publish(make(1)).refused is None


async def test_a_consumer_whose_task_ends_is_started_again(stream: EventStream) -> None:
    seen: list[int] = []

    async def handler(event: Event) -> None:
        seen.append(event.payload["n"])

    stream.consumer("g", "*", handler)
    async with running(stream):
        await stream.publish(make(0))
        await until(lambda: seen == [0])
        (task,) = [one for one in asyncio.all_tasks() if one.get_name() == "group g"]
        task.cancel()
        await until(lambda: stream.stats()["restarts"] == 1)
        assert stream.troubles() == ["group g: its task ended by CancelledError and was started again; see the log"]
        stream.publish(make(1))
        await until(lambda: seen[-1] == 1)
