"""ImmuneService: recording, retention, announcing."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from brain.charter import correlation
from brain.errors import InvalidInput
from brain.immune import HealthEvent, HealthKind, HealthSeverity, ImmuneService
from brain.immune.repository import COLLECTION
from brain.store.memory import MemoryStore
from brain.stream.publisher import PUBLISH_TIMEOUT, Publisher, failures
from brain.testing import RecordingStream
from support.clock import Clock
from support.streams import HangingStream, RaisingStream


def event(severity: str = "WARNING", kind: str = "ERROR_SPIKE", module: str = "api", **more: Any) -> HealthEvent:
    return HealthEvent(HealthSeverity(severity), HealthKind(kind), module, "something happened", **more)


async def test_events_are_numbered_and_read_back_newest_first(recording_stream: RecordingStream) -> None:
    clock = Clock()
    service = ImmuneService(recording_stream, clock=clock)
    assert await service.publish_event(event(details={"rate": 0.4})) == 1
    clock.advance(5)
    assert await service.publish_event(event("CRITICAL", correlation_id="story")) == 2
    newest, oldest = service.get_recent_events()
    assert (newest.id, newest.severity, newest.timestamp, newest.correlation_id) == (2, "CRITICAL", clock.now, "story")
    assert (oldest.id, oldest.details, oldest.timestamp) == (1, {"rate": 0.4}, clock.now - 5)
    assert [published.type for published in recording_stream.events] == [
        "immune.event_published",
        "immune.event_published",
        "immune.critical_event",
    ]
    assert recording_stream.events[2].payload == {
        "event_id": 2,
        "severity": "CRITICAL",
        "kind": "ERROR_SPIKE",
        "module": "api",
        "message": "something happened",
        "details": {},
        "critical_at": clock.now,
    }


async def test_severity_and_kind_may_be_given_by_name() -> None:
    given = HealthEvent("critical", "agent_failure", "api", "down")  # type: ignore[arg-type]
    assert given.severity is HealthSeverity.CRITICAL
    assert given.kind is HealthKind.AGENT_FAILURE


def test_bad_values_are_refused_with_every_fault() -> None:
    with pytest.raises(InvalidInput) as caught:
        HealthEvent("BAD", None, " ", 3, {"a": object()}, 7)  # type: ignore[arg-type]
    assert [fault.split(":")[0] for fault in caught.value.faults] == [
        "severity",
        "kind",
        "module",
        "message",
        "correlation_id",
        "details",
    ]
    with pytest.raises(InvalidInput, match="details: must be an object, not list"):
        event(details=[1])
    with pytest.raises(InvalidInput, match="details: 70008 bytes"):
        event(details={"a": "x" * 70_000})


async def test_an_event_joins_the_story_of_its_context_or_begins_one(recording_stream: RecordingStream) -> None:
    service = ImmuneService(recording_stream)
    with correlation("story"):
        await service.publish_event(event())
    await service.publish_event(event("CRITICAL"))
    in_story, own, own_critical = (published.correlation_id for published in recording_stream.events)
    assert in_story == "story"
    assert own is not None
    assert own == own_critical
    assert [recorded.correlation_id for recorded in service.get_recent_events()] == [own, in_story]


async def test_filters_and_limit() -> None:
    service = ImmuneService()
    for number in range(6):
        await service.publish_event(
            event("INFO" if number % 2 else "WARNING", "ERROR_SPIKE" if number < 3 else "AGENT_FAILURE", f"m{number}")
        )

    def numbers(**filters: Any) -> list[int]:
        return [recorded.id for recorded in service.get_recent_events(**filters)]

    assert numbers() == [6, 5, 4, 3, 2, 1]
    assert numbers(limit=2) == [6, 5]
    assert numbers(severity="INFO") == [6, 4, 2]
    assert numbers(severity="INFO", limit=2) == [6, 4]
    assert numbers(kind=HealthKind.ERROR_SPIKE) == [3, 2, 1]
    assert numbers(module="m4") == [5]
    with pytest.raises(InvalidInput, match="limit: 0"):
        numbers(limit=0)


async def test_only_the_newest_are_kept_and_numbers_go_on() -> None:
    store = MemoryStore()
    service = ImmuneService(store=store, keep=10)
    for _ in range(25):
        await service.publish_event(event())
    assert [recorded.id for recorded in service.get_recent_events()] == list(range(25, 15, -1))
    assert len(store.scan(COLLECTION)) == 10
    smaller = ImmuneService(store=store, keep=4)
    assert await smaller.publish_event(event()) == 26
    assert [document.key for document in store.scan(COLLECTION)] == [f"{number:012d}" for number in range(23, 27)]


async def test_many_at_once_get_numbers_of_their_own() -> None:
    store = MemoryStore()
    services = [ImmuneService(store=store) for _ in range(3)]
    numbers = await asyncio.gather(*(service.publish_event(event()) for service in services for _ in range(10)))
    assert sorted(numbers) == list(range(1, 31))


@pytest.mark.parametrize("stream", [None, RaisingStream(), HangingStream()], ids=["absent", "raising", "hanging"])
async def test_work_goes_on_quickly_without_a_working_stream(stream: Publisher | None) -> None:
    before = failures.copy()
    service = ImmuneService(stream)
    began = time.monotonic()
    assert await service.publish_event(event("CRITICAL")) == 1
    assert time.monotonic() - began < 2 * PUBLISH_TIMEOUT + 2
    assert service.health_summary().total == 1
    expected = {} if stream is None else {"immune.event_published": 1, "immune.critical_event": 1}
    assert dict(failures - before) == expected
