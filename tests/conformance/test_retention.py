"""Retention never takes what a group has not read."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing

from brain import Event, EventStream
from brain.stream.retention import Retention, keep, trim


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
