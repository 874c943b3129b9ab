"""What one process stores is handed to those who wait in another by its thread that watches: once, fairly, till closed.

The other process is a second stream at the same place, with connections, a journal and threads of its own.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from brain import Event, EventStream
from brain.errors import Unavailable
from support.waiting import until

pytestmark = pytest.mark.parametrize("url", ["sqlite", "redis", "cluster"], indirect=True)
WATCHER = "brain-watcher"


def event(number: int) -> Event:
    return Event(type="test.happened", source="test_service", payload={"number": number})


@pytest.fixture
async def other(url: str, tmp_path: Path) -> AsyncIterator[EventStream]:
    """The stream of the other process, which publishes."""
    async with EventStream.open(url, journal=tmp_path / "other", lease=60) as opened:
        yield opened


@pytest.fixture
async def here(url: str, tmp_path: Path, other: EventStream) -> AsyncIterator[EventStream]:
    """The stream of this process, whose leases end within no test."""
    async with EventStream.open(url, journal=tmp_path / "here", lease=60) as opened:
        yield opened


Fetch = Callable[[], Sequence[Any]]


def instead_of_fetch(
    stream: EventStream, monkeypatch: pytest.MonkeyPatch, fetched: Callable[[Fetch], Sequence[Any]]
) -> None:
    """Have `fetched` called with each fetch of this stream, to make it."""
    fetch = stream.backend.fetch
    monkeypatch.setattr(stream.backend, "fetch", lambda *given: fetched(lambda: fetch(*given)))


def noted_fetches(stream: EventStream, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The threads that fetch from now on."""
    threads: list[str] = []

    def noted(fetch: Fetch) -> Sequence[Any]:
        threads.append(threading.current_thread().name)
        return fetch()

    instead_of_fetch(stream, monkeypatch, noted)
    return threads


def watching() -> bool:
    return threading.current_thread().name == WATCHER


async def follow(stream: EventStream, group: str, seen: list[int]) -> None:
    async for one in stream.subscribe("test.*", group=group):
        seen.append(one.payload["number"])


async def handed_over(
    here: EventStream, other: EventStream, number: int, began: threading.Event, fetched: Callable[[], bool]
) -> bool:
    """Publish the event while a loop waits for it; whether the watcher began to fetch it. Else the session, which
    happened to look, `fetched` it."""
    await until(lambda: bool(here.waiting))
    await other.publish(event(number))
    await until(lambda: began.is_set() or fetched())
    return began.is_set()


async def test_the_watcher_fetches_without_asking_for_the_tail(
    here: EventStream, other: EventStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[int] = []
    asked: list[bool] = []

    def noted(fetch: Fetch) -> Sequence[Any]:
        found = fetch()
        if watching():
            fetched.append(len(found))
        return found

    def tail(ask: Callable[[], str] = here.backend.tail) -> str:
        asked.append(watching())
        return ask()

    monkeypatch.setattr(here.backend, "tail", tail)
    instead_of_fetch(here, monkeypatch, noted)
    seen: list[int] = []
    task = asyncio.create_task(follow(here, "group", seen))
    for number in range(10):
        await until(lambda: bool(here.waiting))
        await other.publish(event(number))
        await until(lambda: len(seen) > number)  # noqa: B023  (asked within the turn)
    task.cancel()
    await asyncio.wait({task})
    assert seen == list(range(10))
    assert sum(fetched) >= 5, "the rest were fetched by the session, which happened to look"
    assert asked.count(True) < 5, "where it began, and where two events came before it looked"


async def test_each_group_has_all_events_and_its_loops_take_turns(here: EventStream, other: EventStream) -> None:
    seen: dict[tuple[str, int], list[int]] = {(group, loop): [] for group in "abc" for loop in range(2)}
    tasks = [asyncio.create_task(follow(here, group, numbers)) for (group, _), numbers in seen.items()]
    for number in range(12):
        await until(lambda: len(here.waiting) == len(seen))
        await other.publish(event(number))
        await until(lambda: sum(map(len, seen.values())) == 3 * (number + 1))  # noqa: B023  (asked within the turn)
    for group in "abc":
        first, second = seen[group, 0], seen[group, 1]
        assert sorted(first + second) == list(range(12))
        assert min(len(first), len(second)) >= 3
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def test_many_at_once_come_once_and_in_order(here: EventStream, other: EventStream) -> None:
    seen: list[int] = []
    task = asyncio.create_task(follow(here, "group", seen))
    await until(lambda: bool(here.waiting))
    for turn in range(5):
        for number in range(100 * turn, 100 * turn + 100):
            receipt = (other if number % 3 else here).publish(event(number))
            if number % 10 == 0:
                await receipt
    await until(lambda: len(seen) >= 500)
    task.cancel()
    await asyncio.wait({task})
    assert Counter(seen) == Counter(range(500))
    for remainder in ((0,), (1, 2)):
        numbers = [number for number in seen if number % 3 in remainder]
        assert numbers == sorted(numbers)


async def test_a_loop_left_while_the_watcher_fetches_for_it_gives_back_what_that_finds(
    here: EventStream, other: EventStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, go_on = threading.Event(), threading.Event()

    def held_up(fetch: Fetch) -> Sequence[Any]:
        if watching() and not began.is_set():
            began.set()
            assert go_on.wait(30)
        return fetch()

    instead_of_fetch(here, monkeypatch, held_up)
    loop = here.subscribe("test.*", group="group")
    left, number = asyncio.ensure_future(anext(loop)), 1
    while not await handed_over(here, other, number, began, left.done):
        assert (await left).payload == {"number": number}
        left, number = asyncio.ensure_future(anext(loop)), number + 1
    left.cancel()
    go_on.set()
    await asyncio.wait({left})
    assert left.cancelled()
    await until(lambda: not here.sessions)
    (group,) = await here.groups()
    assert (group.pending + group.lag, group.consumers) == (1, 0)
    again = other.subscribe("test.*", group="group")
    assert (await asyncio.wait_for(anext(again), 30)).payload == {"number": number}
    await again.aclose()


async def test_nothing_is_fetched_for_a_loop_that_was_left(
    here: EventStream, other: EventStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = asyncio.ensure_future(anext(here.subscribe("test.*", group="group")))
    await until(lambda: bool(here.waiting))
    (session,) = here.waiting
    left.cancel()
    await asyncio.wait({left})
    await until(lambda: not here.sessions)
    fetches = noted_fetches(here, monkeypatch)
    await other.publish(event(1))
    here.waiting[session] = 10  # as if it had begun to wait behind that
    await asyncio.to_thread(session.fetch_early)
    assert await asyncio.to_thread(session._fetch, 10) == ()
    assert not fetches
    (group,) = await here.groups()
    assert (group.pending, group.lag) == (0, 1)


@pytest.mark.parametrize(
    ("failure", "told"), [(Unavailable("away"), 0), (RuntimeError("a fault"), 1)], ids=["away", "fault"]
)
async def test_what_fails_while_the_watcher_fetches_is_fetched_by_the_session(
    here: EventStream,
    other: EventStream,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    failure: Exception,
    told: int,
) -> None:
    failed: list[Exception] = []

    def failing(fetch: Fetch) -> Sequence[Any]:
        if watching() and not failed:
            failed.append(failure)
            raise failure
        return fetch()

    instead_of_fetch(here, monkeypatch, failing)
    seen: list[int] = []
    task = asyncio.create_task(follow(here, "group", seen))
    for number in range(5):
        await until(lambda: bool(here.waiting))
        await other.publish(event(number))
        await until(lambda: len(seen) > number)  # noqa: B023  (asked within the turn)
    task.cancel()
    await asyncio.wait({task})
    assert failed
    assert seen == list(range(5))
    warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert ["cannot be watched" in record.getMessage() for record in warnings] == [True] * told


async def test_a_closed_stream_fetches_nothing_and_leaves_no_thread(
    here: EventStream, other: EventStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    task = asyncio.create_task(follow(here, "group", seen))
    await until(lambda: bool(here.waiting))
    await other.publish(event(1))
    await until(lambda: seen == [1])
    watcher = here._watcher
    assert watcher is not None
    fetches = noted_fetches(here, monkeypatch)
    await here.close()
    fetches.clear()
    await asyncio.wait({task})
    await other.publish(event(2))
    await until(lambda: not watcher.is_alive())
    assert not fetches
    assert not here.waiting
    assert not here.sessions
    again = other.subscribe("test.*", group="group")
    async with asyncio.timeout(30):
        found = [(await anext(again)).payload["number"]]
        if found == [1]:  # the loop had not asked for the next one
            found.append((await anext(again)).payload["number"])
    assert found[-1] == 2
    await again.aclose()


async def test_a_stream_is_closed_while_its_watcher_is_stuck_in_a_fetch(
    here: EventStream, other: EventStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, go_on = threading.Event(), threading.Event()

    def stuck(fetch: Fetch) -> Sequence[Any]:
        if watching():
            began.set()
            assert go_on.wait(30)
        return fetch()

    instead_of_fetch(here, monkeypatch, stuck)
    seen: list[int] = []
    task = asyncio.create_task(follow(here, "group", seen))
    published = 1
    while not await handed_over(here, other, published, began, lambda: len(seen) == published):  # noqa: B023  (within the turn)
        published += 1
    watcher = here._watcher
    assert watcher is not None
    async with asyncio.timeout(10):
        await here.close(0.2)
    go_on.set()
    await until(lambda: task.done() and not watcher.is_alive())
    assert not task.cancelled()
    assert seen == list(range(1, published))
    (group,) = await other.groups()
    assert (group.pending, group.lag) == (0, 1), "what a closed stream found is held by nobody"
