"""What a query of stored events finds, however the bytes are written and whenever the event was stored."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import msgspec
import pytest

from brain import Event, EventStream, InvalidInput, Pattern
from brain.errors import Unavailable
from brain.stream.backends.memory import MemoryBackend
from brain.stream.query import EventQuery, Stretch, find_event, read, scan
from support.waiting import until

HOUR = 3600.0
BASE = 1_700_000_000.0


def make(n: int, at: float = BASE, correlation_id: str | None = None, event_type: str = "test.happened") -> Event:
    meta = {"correlation_id": correlation_id, "version": "1.0"}
    return Event(type=event_type, source="test_service", payload={"n": n}, timestamp=at, meta=meta)


@pytest.fixture
def backend() -> MemoryBackend:
    return MemoryBackend()


def fill(backend: MemoryBackend, *data: Event | bytes) -> list[str]:
    records = [one.encode() if isinstance(one, Event) else one for one in data]
    mark = backend.mark("p")
    return backend.append("p", mark, str(int(mark or 0) + 1), records)


def numbers(backend: MemoryBackend, query: EventQuery, **stretch: Any) -> list[int]:
    return [stored.event.payload["n"] for stored in read(backend, query, Stretch(**stretch), 1000).events]


def test_an_event_stored_long_after_it_was_made_is_found_in_both_orders(backend: MemoryBackend) -> None:
    """As when a journal is shipped after a crash."""
    fill(backend, make(1), make(2, BASE + 24 * HOUR), make(3, BASE + 1))
    query = EventQuery(since=BASE, until=BASE + HOUR)
    assert numbers(backend, query) == [1, 3]
    assert numbers(backend, query, newest_first=True) == [3, 1]


@pytest.mark.parametrize("correlation_id", ["order-42", "a b", 'quo"te', "über", "back\\slash", "sl/ash", "evt:1_2.3"])
@pytest.mark.parametrize("ensure_ascii", [True, False])
def test_a_correlation_id_is_found_however_json_writes_it(
    backend: MemoryBackend, correlation_id: str, ensure_ascii: bool
) -> None:
    import json

    event = make(1, correlation_id=correlation_id)
    foreign = json.dumps(msgspec.to_builtins(event), ensure_ascii=ensure_ascii, indent=1).encode()
    fill(backend, make(0, correlation_id=f"{correlation_id}2"), event, foreign, make(2))
    assert numbers(backend, EventQuery(correlation_id=correlation_id)) == [1, 1]


def test_the_event_that_began_it_belongs_to_its_correlation(backend: MemoryBackend) -> None:
    first = make(1)
    fill(backend, make(0), first, make(2, correlation_id=first.id))
    assert [stored.event.payload["n"] for stored in scan(backend, EventQuery(correlation_id=first.id))] == [1, 2]


def test_bytes_that_are_no_event_are_passed_over(backend: MemoryBackend) -> None:
    fill(backend, make(1), b"no event", b'{"type":"test.happened"}', make(2))
    assert numbers(backend, EventQuery()) == [1, 2]
    assert numbers(backend, EventQuery(pattern=Pattern("test.*")), newest_first=True) == [2, 1]


def test_a_search_ends_after_so_many_events_and_goes_on_where_it_ended(backend: MemoryBackend) -> None:
    fill(backend, *(make(n, event_type="rare.event" if n % 400 == 0 else "test.happened") for n in range(1000)))
    rare = EventQuery(pattern=Pattern("rare.*"))
    for newest_first, expected in ((False, [0, 400, 800]), (True, [800, 400, 0])):
        found: list[int] = []
        place, steps = "", 0
        while True:
            bound = {"before" if newest_first else "after": place}
            page = read(backend, rare, Stretch(newest_first=newest_first, **bound), 10, searched=100)
            found += [stored.event.payload["n"] for stored in page.events]
            steps += 1
            if page.following is None:
                break
            place = page.following
        assert (found, steps > 2) == (expected, True)


@pytest.mark.parametrize("newest_first", [False, True])
def test_both_bounds_are_excluded(backend: MemoryBackend, newest_first: bool) -> None:
    positions = fill(backend, *(make(n) for n in range(300)))
    found = numbers(backend, EventQuery(), after=positions[99], before=positions[200], newest_first=newest_first)
    assert sorted(found) == list(range(100, 200))
    assert found == sorted(found, reverse=newest_first)


def test_a_bad_position_is_refused() -> None:
    with pytest.raises(InvalidInput, match="position: 'x' is not a position"):
        Stretch(after="x")


def test_an_event_is_found_by_its_id(backend: MemoryBackend) -> None:
    late = make(7, BASE - 24 * HOUR)
    fill(backend, *(make(n) for n in range(5000)), late, make(8, correlation_id=late.id))
    found = find_event(backend, late.id)
    assert found is not None
    assert found.event == late
    assert find_event(backend, f"{late.id}00") is None
    assert find_event(backend, "nothing") is None


async def test_searches_that_hang_hold_up_no_consumer_and_more_of_them_are_refused() -> None:
    let_go = threading.Event()
    async with EventStream.open("memory://") as stream:
        searches = [asyncio.create_task(stream.call_reader(let_go.wait)) for _ in range(16)]
        await until(lambda: sum(search.done() for search in searches) == 12)
        stream.publish(make(1))
        async for event in stream.subscribe("test.*", group="g"):
            assert event.payload["n"] == 1
            break
        let_go.set()
        ends = await asyncio.gather(*searches, return_exceptions=True)
    refused = [str(end) for end in ends if isinstance(end, Unavailable)]
    assert refused == ["stream: no thread was free for 1 s; it is slow, or hangs"] * 12
    assert ends.count(True) == 4
