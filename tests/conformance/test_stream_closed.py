"""Closing a stream under loops and handlers, and using it afterwards."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from brain import Event, EventStream
from brain.stream.closed import Closed
from support.waiting import until


def event(n: int) -> Event:
    return Event(type="test.happened", source="test_service", payload={"n": n})


async def test_loops_and_consumers_end_and_give_back_what_they_hold(
    url: str, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    seen: dict[str, list[int]] = {"loop": [], "live": [], "handler": []}

    async def follow(stream: EventStream, name: str, group: str | None) -> None:
        async for one in stream.subscribe("test.*", group=group):
            seen[name].append(one.payload["n"])

    async with EventStream.open(url, journal=tmp_path / "journal", lease=60) as stream:
        stream.consumer("handlers", "test.*", lambda one: seen["handler"].append(one.payload["n"]))
        running = [
            asyncio.create_task(work)
            for work in (follow(stream, "loop", "loops"), follow(stream, "live", None), stream.run_consumers())
        ]
        await until(lambda: len(stream.sessions) == 2)
        for n in range(20):
            receipt = stream.publish(event(n))
        await receipt
        await until(lambda: all(len(numbers) == 20 for numbers in seen.values()))
        await stream.close()
        async with asyncio.timeout(5):
            await asyncio.gather(*running)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    if url != "memory://":
        async with EventStream.open(url, journal=tmp_path / "journal", lease=60) as stream:
            last = stream.publish(event(20))
            for group, least in (("loops", 19), ("handlers", 20)):  # the loop's last one may not be acknowledged
                async with asyncio.timeout(5):
                    async for one in stream.subscribe("test.*", group=group):
                        assert one.payload["n"] >= least
                        if one.payload["n"] == 20:
                            break
            await last


async def test_a_loop_that_is_left_before_closing_is_acknowledged(
    url: str, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """The loop's generator is only told to end when the loop is left: closing must not overtake it."""
    for round in range(10):
        async with EventStream.open(url, journal=tmp_path / "journal", lease=60) as stream:
            for n in range(3):
                receipt = stream.publish(event(3 * round + n))
            await receipt
            first = None
            async with asyncio.timeout(5):
                async for one in stream.subscribe("test.*", group="loops"):
                    first = one.payload["n"] if first is None else first
                    if one.payload["n"] == 3 * round + 2:
                        break
        if url != "memory://":
            assert first == max(0, 3 * round - 1)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


CALLS: list[Callable[[EventStream], Any]] = [
    lambda stream: stream.read(),
    lambda stream: stream.groups(),
    lambda stream: stream.dead_letters(),
    lambda stream: stream.redrive("g"),
    lambda stream: stream.drop_group("g"),
    lambda stream: stream.run_consumers(),
    lambda stream: anext(stream.replay()),
    lambda stream: stream.read_sync(),
    lambda stream: list(stream.replay_sync()),
    lambda stream: stream.subscribe("*"),
    lambda stream: stream.subscribe("*", group="g"),
    lambda stream: stream.live(after=""),
    lambda stream: stream.publish(event(1)).wait(1),
]


async def answer_of(call: Callable[[], Any]) -> None:
    if inspect.isawaitable(answer := call()):
        await answer


async def test_whatever_is_asked_of_a_closed_stream_says_so(stream: EventStream) -> None:
    await stream.close()
    for call in CALLS:
        with pytest.raises(Closed, match="the stream is closed in this process; open one of its own"):
            await answer_of(partial(call, stream))
