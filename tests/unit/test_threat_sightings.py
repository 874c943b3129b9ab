"""One threat per attacker, whatever is read how often."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from brain.charter import correlation
from brain.testing import RecordingStream
from brain.threats import Severity, Status, ThreatService
from brain.threats.sightings import EARLIER, READINGS, Sighting
from support.clock import Clock


def grade(counts: Mapping[str, int]) -> Severity:
    return Severity.HIGH if counts.get("failed", 0) >= 10 else Severity.LOW


def sighting(reading: str = "file-1", last_seen: float = 100.0, source: str = "10.0.0.1", **counts: int) -> Sighting:
    return Sighting(
        key=f"test:{source}",
        type="test",
        source=source,
        reading=reading,
        counts=counts,
        last_seen=last_seen,
        grade=grade,
        describe=lambda counts: f"{counts['failed']} failures",
        metadata={"tool": "test"},
    )


async def test_a_first_sighting_makes_a_threat_and_announces_it(recording_stream: RecordingStream) -> None:
    service = ThreatService(recording_stream, clock=Clock(200.0))
    with correlation("story"):
        recorded = await service.record_sighting(sighting(failed=3, invalid=0))
    threat = recorded.threat
    assert recorded.new
    assert threat.metadata == {"tool": "test", "evidence": {"failed": 3}}
    assert (threat.severity, threat.description) == (Severity.LOW, "3 failures")
    assert (threat.detected_at, threat.last_seen) == (200.0, 100.0)
    [event] = recording_stream.get_events_by_type("threat.detected")
    assert event.payload["threat_id"] == threat.id
    assert event.correlation_id == threat.correlation_id == "story"


async def test_the_same_reading_again_changes_nothing(recording_stream: RecordingStream) -> None:
    service = ThreatService(recording_stream)
    first = await service.record_sighting(sighting(failed=3))
    again = await service.record_sighting(sighting(failed=3))
    assert (again.new, again.changed) == (False, False)
    assert again.threat == first.threat
    assert len(recording_stream.events) == 1


async def test_a_grown_reading_replaces_and_another_adds(recording_stream: RecordingStream) -> None:
    service = ThreatService(recording_stream)
    await service.record_sighting(sighting(failed=3))
    grown = await service.record_sighting(sighting(failed=5, last_seen=150.0))
    assert grown.changed
    assert grown.threat.metadata["evidence"] == {"failed": 5}
    assert grown.threat.last_seen == 150.0
    shorter = await service.record_sighting(sighting(failed=2, last_seen=90.0))
    assert not shorter.changed
    other = await service.record_sighting(sighting("file-2", failed=6, invalid=1))
    assert other.threat.metadata["evidence"] == {"failed": 11, "invalid": 1}
    assert (other.threat.severity, other.threat.description) == (Severity.HIGH, "11 failures")
    assert other.threat.id == grown.threat.id
    assert len(recording_stream.events) == 1


async def test_each_attacker_has_a_threat_of_its_own() -> None:
    service = ThreatService()
    await service.record_sighting(sighting(failed=3))
    await service.record_sighting(sighting(source="10.0.0.2", failed=3))
    assert sorted(threat.source for threat in await service.list_threats()) == ["10.0.0.1", "10.0.0.2"]


async def test_an_ignored_threat_stays_ignored_and_still_counts() -> None:
    service = ThreatService()
    threat = (await service.record_sighting(sighting(failed=3))).threat
    await service.update_threat_status(threat.id, Status.IGNORED)
    recorded = await service.record_sighting(sighting(failed=30))
    assert (recorded.new, recorded.threat.status) == (False, Status.IGNORED)
    assert recorded.threat.metadata["evidence"] == {"failed": 30}


async def test_after_resolution_only_new_evidence_opens_a_new_threat(recording_stream: RecordingStream) -> None:
    service = ThreatService(recording_stream)
    first = (await service.record_sighting(sighting(failed=3))).threat
    await service.update_threat_status(first.id, Status.MITIGATED)
    await service.update_threat_status(first.id, Status.RESOLVED)
    same = await service.record_sighting(sighting(failed=3))
    assert (same.new, same.changed, same.threat.id) == (False, False, first.id)
    came_back = await service.record_sighting(sighting(failed=7))
    assert came_back.new
    assert came_back.threat.id != first.id
    assert came_back.threat.metadata["evidence"] == {"failed": 4}
    again = await service.record_sighting(sighting(failed=7))
    assert (again.new, again.changed, again.threat.id) == (False, False, came_back.threat.id)
    assert len(recording_stream.get_events_by_type("threat.detected")) == 2
    assert (await service.get_threat(first.id)).metadata["evidence"] == {"failed": 3}


async def test_many_at_once_make_one_threat_and_lose_no_count(recording_stream: RecordingStream) -> None:
    service = ThreatService(recording_stream)
    await asyncio.gather(*(service.record_sighting(sighting(f"file-{number}", failed=2)) for number in range(20)))
    [threat] = await service.list_threats()
    assert threat.metadata["evidence"] == {"failed": 40}
    assert len(recording_stream.events) == 1


async def test_the_readings_kept_apart_are_bounded_and_the_sum_is_not_touched_by_that() -> None:
    service = ThreatService()
    for number in range(READINGS + 20):
        recorded = await service.record_sighting(sighting(f"file-{number}", failed=1))
    threat = recorded.threat
    assert len(threat.readings) <= READINGS + 1
    assert threat.readings[EARLIER]["failed"] >= 20
    assert threat.metadata["evidence"] == {"failed": READINGS + 20}
    assert not (await service.record_sighting(sighting(f"file-{READINGS + 19}", failed=1))).changed
