"""A search by the index finds what a search of everything finds, on every stream, whatever part of it is indexed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator

import pytest

from brain import Event, EventStream, Pattern
from brain.stream import event_index, index_block
from brain.stream.backends import Backend, open_backend
from brain.stream.event_index import EventIndex, index_of, keep_index
from brain.stream.query import EventQuery, Stretch, find_event, read, scan
from support.waiting import until

EVENTS = 700
TYPES = ("order.paid", "order.sent", "threat.detected", "policy.rule_evaluated")


@pytest.fixture
def backend(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Backend]:
    """Whose index has small runs and blocks, so that a few hundred events make many."""
    for module in (index_block, event_index):
        monkeypatch.setattr(module, "RUN", 4)
    monkeypatch.setattr(index_block, "RUNS", 16)
    monkeypatch.setattr(event_index, "ALL_RUNS", (1 << 16) - 1)
    monkeypatch.setattr(event_index, "BATCH", 7)
    opened = open_backend(url)
    yield opened
    opened.close()


def fill(backend: Backend, count: int, seed: int = 1) -> list[Event]:
    chance = random.Random(seed)
    events = [
        Event(
            type=chance.choices(TYPES, (50, 20, 1, 100))[0],
            source="shop_service",
            payload={"n": n},
            meta={"correlation_id": chance.choice([None, f"order-{n // 90}", f"order-{chance.randrange(40)}"])},
        )
        for n in range(count)
    ]
    records = [event.encode() for event in events]
    records.insert(count // 2, b"no event")
    mark = backend.mark("p")
    backend.append("p", mark, str(int(mark or 0) + 1), records)
    return events


def index(backend: Backend, steps: int | None = None) -> None:
    """So many batches, None: all."""
    if steps is None:
        rest_of(index_of(backend))
    for _ in range(steps or 0):
        index_of(backend).advance()


def rest_of(index: EventIndex) -> None:
    """Index all that is left."""
    while index.advance():
        pass


QUERIES = [
    EventQuery(correlation_id="order-3"),
    EventQuery(correlation_id="order-39"),
    EventQuery(correlation_id="nobody"),
    EventQuery(pattern=Pattern("threat.*")),
    EventQuery(pattern=Pattern("order.*")),
    EventQuery(pattern=Pattern("order.sent"), correlation_id="order-1"),
    EventQuery(pattern=Pattern("never.seen")),
]


def check_all(backend: Backend, events: list[Event]) -> None:
    for query in QUERIES:
        wanted = [event.id for event in events if query.matches(event)]
        assert [stored.event.id for stored in scan(backend, query)] == wanted
        for newest_first in (False, True):
            assert paged(backend, query, newest_first) == (wanted[::-1] if newest_first else wanted)


def paged(backend: Backend, query: EventQuery, newest_first: bool) -> list[str]:
    found: list[str] = []
    following: str | None = ""
    while following is not None:
        stretch = Stretch(**{"before" if newest_first else "after": following}, newest_first=newest_first)
        page = read(backend, query, stretch, 5, searched=100)
        found += [stored.event.id for stored in page.events]
        following = page.following
    return found


@pytest.mark.parametrize("steps", [0, 1, 60, None])
def test_it_finds_the_same_with_a_part_indexed(backend: Backend, steps: int | None) -> None:
    events = fill(backend, EVENTS)
    index(backend, steps)
    check_all(backend, events)
    for event in (events[0], events[333], events[-1]):
        found = find_event(backend, event.id)
        assert found is not None
        assert found.event == event
    assert find_event(backend, "evt_shop_1703001234567_9f3ac81b2d40") is None


def test_another_process_goes_on_from_what_is_stored_and_two_make_one_index(backend: Backend) -> None:
    events = fill(backend, EVENTS)
    index(backend)
    stored = backend.index_blocks(-1)
    assert len(stored) == EVENTS // 64
    other = EventIndex(backend)
    events += fill(backend, EVENTS, seed=2)
    for each in (other, index_of(backend), other, index_of(backend)):
        rest_of(each)
    assert [number for number, _ in backend.index_blocks(-1)] == list(range(2 * EVENTS // 64))
    assert backend.index_blocks(-1)[: len(stored)] == stored
    check_all(backend, events)


def test_what_is_trimmed_leaves_the_index(backend: Backend) -> None:
    events = fill(backend, EVENTS)
    index(backend)
    backend.trim(backend.nth_oldest(300))
    check_all(backend, events[300:])
    events += fill(backend, EVENTS, seed=2)
    index(backend)
    assert backend.index_blocks(-1)[0][0] == 300 // 64 - 1
    check_all(backend, events[300:])


def test_a_lost_index_costs_time_and_finds_the_same(backend: Backend) -> None:
    events = fill(backend, EVENTS)
    index(backend)
    backend.drop_index_blocks(None)
    check_all(backend, events)


def test_a_search_reads_few_events(backend: Backend) -> None:
    events = fill(backend, EVENTS)
    index(backend)
    spans = index_of(backend).spans(Pattern("*"), events[100].id)
    assert sum(span.size or 0 for span in spans) <= 8
    unread, rest = index_of(backend).spans(Pattern("*"), "nobody")
    assert unread.size == 4, "the run with the bytes that are no event"
    assert len(backend.read(rest.after, 100)) < 4


async def test_the_server_keeps_it(stream: EventStream) -> None:
    task = asyncio.create_task(keep_index(stream))
    receipts = [
        stream.publish(event) for event in (Event(type="a.b", source="c_service", payload={}) for _ in range(300))
    ]
    await receipts[-1]
    await until(lambda: index_of(stream.backend).spans(Pattern("*"), "nobody")[0].after != "")
    task.cancel()
    await asyncio.wait({task})
