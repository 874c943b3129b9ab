"""Repeated denials of one agent become one threat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import pytest

from brain import Event, ThreatService
from brain.charter import in_the_wake_of
from brain.errors import Unavailable
from brain.store import DocumentChange, Mark, Written
from brain.store.memory import MemoryStore
from brain.testing import RecordingStream, make_event
from brain.threats import Severity, Threat, detections
from brain.threats.detections import PENDING_KEPT, DenialDetection


def denial(agent: object = "agent-7", at: float = 1_000.0, story: str | None = None) -> Event:
    made = make_event("policy.action_denied", agent_id=agent, correlation_id=story)
    return Event(type=made.type, source=made.source, timestamp=at, payload=made.payload, meta=made.meta)


async def only(service: ThreatService) -> Threat:
    [threat] = await service.list_threats()
    return threat


async def test_the_denial_that_completes_the_number_makes_the_threat_in_its_story(
    recording_stream: RecordingStream,
) -> None:
    service = ThreatService(recording_stream)
    detection = DenialDetection(service, at_least=3, within=60)
    for number in range(3):
        assert await service.list_threats() == []
        event = denial(at=1_000.0 + number, story=f"story-{number}")
        with in_the_wake_of(event):
            await detection.handle(event)
    threat = await only(service)
    assert (threat.type, threat.source, threat.severity) == ("policy_denials", "agent-7", Severity.MEDIUM)
    assert threat.description == "3 actions of this agent were denied"
    assert threat.metadata["evidence"] == {"denials": 3}
    assert threat.metadata["last_action"] == event.payload["action"]
    assert threat.last_seen == 1_002.0
    [detected] = recording_stream.events
    assert (detected.correlation_id, detected.meta["causation_id"]) == ("story-2", event.id)


async def test_further_denials_grow_the_same_threat() -> None:
    service = ThreatService()
    detection = DenialDetection(service, at_least=5)
    denials = [denial(at=1_000.0 + number / 100) for number in range(104)]
    for event in denials:
        await detection.handle(event)
    threat = await only(service)
    assert threat.metadata["evidence"] == {"denials": 100}  # four are not yet a batch
    assert threat.metadata["first_seen"] == 1_000.0
    assert threat.evidence_events == [event.id for event in (*denials[:10], *denials[90:100])]
    assert threat.severity is Severity.CRITICAL


async def test_denials_far_apart_or_of_several_agents_make_none() -> None:
    service = ThreatService()
    detection = DenialDetection(service, at_least=3, within=10)
    for number in range(20):
        await detection.handle(denial(at=1_000.0 + 6 * number))
        await detection.handle(denial(f"other-{number}"))
    assert await service.list_threats() == []


@pytest.mark.parametrize("agent", [None, "", 7, ["a"]])
async def test_a_denial_of_nobody_is_passed_over(agent: object) -> None:
    service = ThreatService()
    detection = DenialDetection(service, at_least=1)
    await detection.handle(denial(agent))
    assert await service.list_threats() == []


async def test_an_event_delivered_again_counts_once() -> None:
    service = ThreatService()
    detection = DenialDetection(service, at_least=3)
    events = [denial(at=1_000.0 + number) for number in range(3)]
    await detection.handle(events[0])
    await detection.handle(events[0])
    await detection.handle(events[1])
    assert await service.list_threats() == []
    for event in [*events, *events, *events]:
        await detection.handle(event)
    assert (await only(service)).metadata["evidence"] == {"denials": 3}


async def test_a_batch_that_could_not_be_stored_is_stored_once_when_tried_again() -> None:
    class Away(MemoryStore):
        away = True

        def write(
            self, changes: Sequence[DocumentChange], joins: Mapping[str, Sequence[Mark]] = MappingProxyType({})
        ) -> Written:
            if self.away:
                raise Unavailable("away")
            return super().write(changes, joins)

    store = Away()
    service = ThreatService(store=store)
    detection = DenialDetection(service, at_least=2)
    events = [denial(at=1_000.0 + number) for number in range(2)]
    await detection.handle(events[0])
    with pytest.raises(Unavailable):
        await detection.handle(events[1])
    store.away = False
    await detection.handle(events[1])
    await detection.handle(events[1])
    assert (await only(service)).metadata["evidence"] == {"denials": 2}


async def test_a_new_process_that_gets_the_last_batch_again_does_not_double_it() -> None:
    store = MemoryStore()
    events = [denial(at=1_000.0 + number) for number in range(3)]
    for _ in range(2):
        service = ThreatService(store=store)
        detection = DenialDetection(service, at_least=3)
        for event in events:
            await detection.handle(event)
    assert (await only(service)).metadata["evidence"] == {"denials": 3}


async def test_what_is_remembered_is_bounded() -> None:
    detection = DenialDetection(ThreatService(), at_least=10**6)
    for _ in range(PENDING_KEPT + 50):
        await detection.handle(denial())
    [pending] = detection._pending.values()
    assert len(pending) == PENDING_KEPT


async def test_the_reported_denials_of_all_agents_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detections, "IDS_REMEMBERED", 50)
    service = ThreatService()
    detection = DenialDetection(service, at_least=1)
    events = [denial(f"agent-{number % 20}") for number in range(80)]
    for event in (*events, *events[-50:]):
        await detection.handle(event)
    assert list(detection._reported) == [event.id for event in events[-50:]]
    counted = [threat.metadata["evidence"]["denials"] for threat in await service.list_threats()]
    assert counted == [4] * 20, "one that is delivered again counts once"
