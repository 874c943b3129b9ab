"""Retention never takes what a group has not read."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from types import SimpleNamespace

import pytest

from brain import Event, EventStream
from brain.store import Store
from brain.store.deletion_clock import Clocks, DeletionClock, clock_fault
from brain.stream.backends import memory, sqlite
from brain.stream.retention import Retention, keep, trim
from support.clock import Clock
from support.waiting import until


async def fill(stream: EventStream, count: int) -> list[str]:
    receipts = [
        stream.publish(Event(type="test.counted", source="test_service", payload={"n": n})) for n in range(count)
    ]
    return [await receipt for receipt in receipts]


async def read(stream: EventStream, group: str, count: int) -> None:
    async with aclosing(stream.subscribe("*", group=group)) as events:
        seen = 0
        async for _ in events:
            seen += 1
            if seen > count:
                break


async def test_count_is_kept_to_when_nobody_waits(stream: EventStream) -> None:
    positions = await fill(stream, 50)
    done = await stream.call(trim, stream.backend, Retention(max_count=20), time.time())
    assert done.removed == 30
    assert [stored.position for stored in await stream.read()] == positions[30:]
    assert (await stream.call(trim, stream.backend, Retention(max_count=20), time.time())).removed == 0


async def test_an_unread_event_stays_and_the_group_is_named(stream: EventStream) -> None:
    positions = await fill(stream, 50)
    await read(stream, "slow", 10)
    done = await stream.call(trim, stream.backend, Retention(max_count=20), time.time())
    assert done.removed == 10
    assert done.blocked_by is not None
    assert (done.blocked_by.name, done.wanted) == ("slow", positions[29])
    assert [stored.position for stored in await stream.read()] == positions[10:]


async def test_age_and_size(stream: EventStream) -> None:
    positions = await fill(stream, 30)
    assert (await stream.call(trim, stream.backend, Retention(max_age=3600), time.time())).removed == 0
    _, size = await stream.call(stream.backend.size)
    assert (await stream.call(trim, stream.backend, Retention(max_bytes=size * 2), time.time())).removed == 0
    assert (await stream.call(trim, stream.backend, Retention(max_age=3600), time.time() + 7300)).removed > 0
    await fill(stream, 1)
    assert positions[0] not in [stored.position for stored in await stream.read()]


async def test_the_alarm_is_an_event(stream: EventStream) -> None:
    await fill(stream, 5)
    await read(stream, "slow", 1)
    alarms = stream.subscribe("stream.retention_blocked")
    task = asyncio.create_task(keep(stream, Retention(max_count=1), every=0.01))
    async with asyncio.timeout(60), aclosing(alarms):
        alarm = await anext(alarms)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert alarm.payload["group"] == "slow"
    assert "brain groups remove slow" in alarm.payload["remedy"]


async def test_no_step_of_the_clock_makes_new_events_old(stream: EventStream, monkeypatch: pytest.MonkeyPatch) -> None:
    """Events stored while the clock was far back, or far ahead, and then right again: none younger than an hour goes.

    Redis tells the time itself, and never an earlier one than before.
    """
    wrong = Clock(time.time())
    for module in (sqlite, memory):
        monkeypatch.setattr(module, "time", SimpleNamespace(time=wrong, monotonic=time.monotonic))
    for step in (0.0, -365 * 86_400.0, 365 * 86_400.0 + 5, 75 * 365 * 86_400.0, -75 * 365 * 86_400.0 + 5):
        wrong.advance(step)
        await fill(stream, 5)
    for now in (wrong(), wrong() + 1800, wrong() - 365 * 86_400.0):
        assert (await stream.call(trim, stream.backend, Retention(max_age=3600), now)).removed == 0
    assert len(await stream.read(limit=100)) == 25


async def test_ages_are_counted_to_the_clock_of_deletions(stream: EventStream, store: Store) -> None:
    """A wrong year, now or at the next start, trims nothing; that is said."""
    await fill(stream, 20)
    wall, steady = Clock(time.time()), Clock(100.0)

    def started() -> DeletionClock:
        return DeletionClock(store, stream.backend.newest_at, Clocks(wall, steady))

    running = started()
    running()
    wall.advance(75 * 365 * 86_400)
    for clock in (running, started()):
        task = asyncio.create_task(keep(stream, Retention(max_age=60), every=0.01, clock=clock))
        await until(lambda clock=clock: clock.step > 0)  # type: ignore[misc]
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert len(await stream.read(limit=100)) == 20
    assert "has stepped" in str(clock_fault(store, wall()))
