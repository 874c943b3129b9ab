"""One threat per attacker, whatever is read how often."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from brain.charter import correlation
from brain.lifecycle import EVIDENCE_MOVES, THREAT_MOVES
from brain.store.memory import MemoryStore
from brain.testing import RecordingStream
from brain.threats import Severity, Status, ThreatService
from brain.threats.sightings import EARLIER, READINGS, Sighting
from support.clock import Clock


def grade(counts: Mapping[str, int]) -> Severity:
    if counts.get("logins"):
        return Severity.CRITICAL
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
    assert [event.type for event in recording_stream.events] == ["threat.detected", "threat.updated", "threat.updated"]
    assert recording_stream.events[1].payload == {
        "threat_id": grown.threat.id,
        "type": "test",
        "severity": "LOW",
        "source": "10.0.0.1",
        "version": 2,
        "old_severity": "LOW",
        "new_severity": "LOW",
        "status": "OPEN",
        "description": "5 failures",
        "old_counts": {"failed": 3},
        "counts": {"failed": 5},
        "last_seen": 150.0,
        "updated_at": grown.threat.updated_at,
    }
    assert recording_stream.events[2].payload["new_severity"] == "HIGH"


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
    events = sorted(recording_stream.events, key=lambda event: event.payload["version"])
    assert [event.payload["version"] for event in events] == [*range(1, 21)]
    assert {event.type for event in events[1:]} == {"threat.updated"}
    assert [event.payload["counts"]["failed"] for event in events[1:]] == [*range(4, 41, 2)]
    assert threat.version == 20


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("worse", [False, True])
async def test_new_evidence_moves_a_threat_as_the_table_says(
    recording_stream: RecordingStream, status: Status, worse: bool
) -> None:
    service = ThreatService(recording_stream)
    before = (await service.record_sighting(sighting(failed=3))).threat
    for step in THREAT_MOVES.shortest_path(Status.OPEN, status):
        before = await service.update_threat_status(before.id, step)
    recording_stream.clear()
    recorded = await service.record_sighting(sighting(failed=4, logins=int(worse)))
    types = [event.type for event in recording_stream.events]
    move = EVIDENCE_MOVES[status]
    if move is None:
        assert (recorded.new, types) == (True, ["threat.detected"])
        assert await service.get_threat(before.id) == before
        return
    after = move.worsens if worse else move.grows
    assert (recorded.threat.id, recorded.threat.status, recorded.threat.version) == (
        before.id,
        after,
        before.version + 1,
    )
    assert recorded.threat.mitigated_at is None
    expected = ["threat.updated"]
    if worse and (after is not Status.ESCALATED or status is after):
        expected.append("threat.became_critical")
    if after is not status:
        expected.append("threat.status_changed")
        [moved] = recording_stream.get_events_by_type("threat.status_changed")
        assert (moved.payload["by_evidence"], moved.payload["reason"]) == (True, "new evidence: 4 failures")
        if after is Status.ESCALATED:
            expected.append("threat.escalated")
    assert types == expected
    assert {event.payload["version"] for event in recording_stream.events} == {before.version + 1}


async def test_a_mitigated_threat_that_grows_is_open_and_one_that_gets_worse_is_escalated() -> None:
    """The values of the table above, written out."""
    found = {}
    for counts in ({"failed": 4}, {"failed": 10}):
        service = ThreatService()
        threat = (await service.record_sighting(sighting(failed=3))).threat
        await service.update_threat_status(threat.id, Status.MITIGATED)
        found[counts["failed"]] = (await service.record_sighting(sighting(**counts))).threat.status
    assert found == {4: Status.INVESTIGATING, 10: Status.ESCALATED}


async def test_a_clock_that_is_behind_sets_no_time_back() -> None:
    store, clock = MemoryStore(), Clock(1_000.0)
    ahead, behind = ThreatService(store=store, clock=clock), ThreatService(store=store, clock=Clock(10.0))
    threat = (await ahead.record_sighting(sighting(failed=3))).threat
    grown = (await behind.record_sighting(sighting(failed=4))).threat
    moved = await behind.update_threat_status(threat.id, Status.MITIGATED)
    assert [threat.updated_at, grown.updated_at, moved.updated_at, moved.history[0].at] == [1_000.0] * 4
    assert [threat.version, grown.version, moved.version] == [1, 2, 3]
    assert (await ahead.list_threats()) == [moved]


async def test_the_readings_kept_apart_are_bounded_and_the_sum_is_not_touched_by_that() -> None:
    service = ThreatService()
    for number in range(READINGS + 20):
        recorded = await service.record_sighting(sighting(f"file-{number}", failed=1))
    threat = recorded.threat
    assert len(threat.readings) <= READINGS + 1
    assert threat.readings[EARLIER]["failed"] >= 20
    assert threat.metadata["evidence"] == {"failed": READINGS + 20}
    assert not (await service.record_sighting(sighting(f"file-{READINGS + 19}", failed=1))).changed
