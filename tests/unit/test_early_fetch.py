"""What is stored is fetched for a waiting group by the thread that stored it; other work of a group goes behind it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from brain import Event, EventStream
from brain.stream.backends import Entry
from brain.stream.backends.sqlite import SQLiteBackend
from support.waiting import until


def event(number: int) -> Event:
    return Event(type="test.happened", source="test_service", payload={"number": number})


def noted(monkeypatch: pytest.MonkeyPatch, name: str, calls: list[str]) -> None:
    """Add the name to the calls whenever the backend is called by it."""
    call = getattr(SQLiteBackend, name)

    def calling(*given: Any) -> Any:
        calls.append(name)
        return call(*given)

    monkeypatch.setattr(SQLiteBackend, name, calling)


async def test_an_idle_group_has_its_events_from_the_shipper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[tuple[str, int]] = []
    fetch = SQLiteBackend.fetch

    def noted(self: SQLiteBackend, *given: Any) -> list[Entry]:
        found = fetch(self, *given)
        fetched.append((threading.current_thread().name, len(found)))
        return found

    monkeypatch.setattr(SQLiteBackend, "fetch", noted)
    async with EventStream.open(f"sqlite:///{tmp_path}/brain.db") as stream:
        seen: list[int] = []

        async def handler(one: Event) -> None:
            seen.append(one.payload["number"])

        stream.consumer("group", "test.*", handler)
        running = asyncio.create_task(stream.run_consumers())
        for number in range(20):
            await until(lambda: bool(fetched) and fetched[-1][1] == 0)  # it asked in vain, and waits
            await stream.publish(event(number))
            await until(lambda: len(seen) > number)  # noqa: B023  (asked within the turn)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert seen == list(range(20))
    assert sum(count for name, count in fetched if name == "brain-shipper") > 0
    assert sum(count for _, count in fetched) == 20


async def test_while_a_session_fetches_nobody_fetches_for_it(tmp_path: Path) -> None:
    async with EventStream.open(f"sqlite:///{tmp_path}/brain.db") as stream:
        loop = stream.subscribe("test.*", group="group")
        waiting = asyncio.ensure_future(anext(loop))
        await until(lambda: bool(stream.waiting))
        (session,) = stream.sessions
        with session._fetching:
            await asyncio.to_thread(session.fetch_early)
            assert not session._early
        await stream.publish(event(1))
        assert (await waiting).payload == {"number": 1}
        published: Sequence[Any] = [stream.publish(event(number)) for number in range(2, 200)]
        for receipt in published:
            await receipt
        assert [(await anext(loop)).payload["number"] for _ in published] == list(range(2, 200))
        await loop.aclose()


async def test_who_handles_what_was_taken_over_has_nothing_fetched_beside_it(tmp_path: Path) -> None:
    async with EventStream.open(f"sqlite:///{tmp_path}/brain.db", lease=0.2) as stream:
        loop = stream.subscribe("test.*", group="group")
        waiting = asyncio.ensure_future(anext(loop))
        await until(lambda: bool(stream.waiting))
        (session,) = stream.sessions
        with session._fetching:  # so that the other one has it
            await stream.publish(event(1))
            await stream.call(stream.backend.join, "group", "other")
            await stream.call(stream.backend.fetch, "group", "other", 1)
        assert (await waiting).payload == {"number": 1}, "the other one says nothing, and is taken over"
        await stream.publish(event(2))
        assert not session._early
        (group,) = await stream.groups()
        assert (group.pending, group.lag) == (1, 1)
        assert (await anext(loop)).payload == {"number": 2}
        await loop.aclose()


async def test_a_lease_is_renewed_behind_an_acknowledgement(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lease = 6000.0  # without an acknowledgement it would be renewed after the end of this test
    soon = asyncio.Event()
    calls: list[str] = []
    others = asyncio.sleep

    async def until_soon(seconds: float) -> None:
        await (soon.wait() if seconds == lease / 4 else others(seconds))

    monkeypatch.setattr(asyncio, "sleep", until_soon)
    noted(monkeypatch, "ack", calls)
    noted(monkeypatch, "heartbeat", calls)
    async with EventStream.open(f"sqlite:///{tmp_path}/brain.db", lease=lease) as stream:
        handled: list[Event] = []
        stream.consumer("group", "test.*", handled.append)
        running = asyncio.create_task(stream.run_consumers())
        await stream.publish(event(1))
        await until(lambda: any(session._acknowledged.is_set() for session in stream.sessions))
        assert calls == ["ack"], "the time has not come"
        soon.set()
        await until(lambda: not any(session._acknowledged.is_set() for session in stream.sessions))
        await stream.publish(event(2))
        await until(lambda: "heartbeat" in calls)
        assert calls[:3] == ["ack", "ack", "heartbeat"]
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_who_is_cancelled_while_it_joins_gives_back_what_it_takes_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, go_on = threading.Event(), threading.Event()
    take_over = SQLiteBackend.take_over

    def slowly(self: SQLiteBackend, *given: Any) -> Any:
        began.set()
        assert go_on.wait(30)
        return take_over(self, *given)

    async with EventStream.open(f"sqlite:///{tmp_path}/brain.db", lease=60.0) as stream:
        loop = stream.subscribe("test.*", group="group")
        await stream.publish(event(1))
        assert (await anext(loop)).payload == {"number": 1}
        await loop.aclose()  # it is not acknowledged
        monkeypatch.setattr(SQLiteBackend, "take_over", slowly)
        joining = asyncio.ensure_future(anext(stream.subscribe("test.*", group="group")))
        await until(began.is_set)
        joining.cancel()
        go_on.set()
        await asyncio.wait({joining})
        (group,) = await stream.groups()
        assert (group.pending, group.consumers) == (1, 0)
        again = stream.subscribe("test.*", group="group")
        assert (await asyncio.wait_for(anext(again), 20)).payload == {"number": 1}
        await again.aclose()
