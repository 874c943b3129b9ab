"""ThreatService: creating, moving, listing, and its events' correlation."""

from __future__ import annotations

import asyncio
import itertools
import re
import time

import pytest

import brain.threats as threats
from brain.charter import correlation
from brain.errors import Conflict, InvalidInput, NotFound
from brain.store.memory import MemoryStore
from brain.stream.publisher import PUBLISH_TIMEOUT, Publisher, failures
from brain.testing import RecordingStream
from brain.threats import Severity, Status, ThreatService
from support.clock import Clock
from support.streams import HangingStream, RaisingStream


async def test_a_created_threat_is_open_and_can_be_read_back(recording_stream: RecordingStream) -> None:
    clock = Clock()
    service = ThreatService(recording_stream, clock=clock)
    threat = await service.create_threat("port_scan", "10.0.0.9", "high", "500 ports in 3 s", {"ports": 500})
    assert re.fullmatch(r"thr_[0-9a-f]{16}", threat.id)
    assert (threat.status, threat.severity) == (Status.OPEN, Severity.HIGH)
    assert threat.detected_at == threat.last_seen == threat.updated_at == clock.now
    assert await service.get_threat(threat.id) == threat
    [event] = recording_stream.events
    assert event.payload == {
        "threat_id": threat.id,
        "type": "port_scan",
        "severity": "HIGH",
        "source": "10.0.0.9",
        "version": 1,
        "status": "OPEN",
        "description": "500 ports in 3 s",
        "metadata": {"ports": 500},
        "detected_at": clock.now,
    }


async def test_bad_values_are_refused_with_every_fault(recording_stream: RecordingStream) -> None:
    service = ThreatService(recording_stream)
    with pytest.raises(InvalidInput) as caught:
        await service.create_threat(" ", "x" * 501, "huge", "d" * 10_001, {"a": object()})
    assert [fault.split(":")[0] for fault in caught.value.faults] == [
        "type",
        "source",
        "description",
        "severity",
        "metadata",
    ]
    with pytest.raises(InvalidInput, match="metadata: 70008 bytes"):
        await service.create_threat("t", "s", metadata={"a": "x" * 70_000})
    assert recording_stream.events == ()
    assert await service.list_threats() == []


async def test_an_unknown_id_is_not_found() -> None:
    service = ThreatService()
    for id in ("thr_0", ""):
        with pytest.raises(NotFound, match="no threat has the id"):
            await service.get_threat(id)
        with pytest.raises(NotFound):
            await service.update_threat_status(id, "RESOLVED")


async def test_a_refused_move_changes_and_announces_nothing(recording_stream: RecordingStream) -> None:
    service = ThreatService(recording_stream)
    threat = await service.create_threat("t", "s")
    with pytest.raises(
        Conflict, match="cannot move to RESOLVED; allowed: INVESTIGATING, ESCALATED, MITIGATED, IGNORED"
    ):
        await service.update_threat_status(threat.id, "RESOLVED")
    with pytest.raises(InvalidInput, match="status: 'GONE' is not one of OPEN"):
        await service.update_threat_status(threat.id, "GONE")
    with pytest.raises(InvalidInput, match="reason: 1001 characters"):
        await service.update_threat_status(threat.id, "IGNORED", "x" * 1_001)
    assert await service.get_threat(threat.id) == threat
    assert [event.type for event in recording_stream.events] == ["threat.detected"]


async def test_all_events_of_one_threat_carry_its_correlation_id(recording_stream: RecordingStream) -> None:
    service = ThreatService(recording_stream)
    with correlation("story-7", causation_id="evt_policy_1_0123456789ab"):
        inside = await service.create_threat("t", "s")
    outside = await service.create_threat("t", "s")
    assert inside.correlation_id == "story-7"
    assert outside.correlation_id == outside.id
    with correlation("another story"):
        await service.update_threat_status(inside.id, Status.ESCALATED)
        await service.update_threat_status(outside.id, Status.MITIGATED)
    by_threat = {inside.id: "story-7", outside.id: outside.id}
    assert len(recording_stream.events) == 6
    for event in recording_stream.events:
        assert event.correlation_id == by_threat[event.payload["threat_id"]]
    assert recording_stream.events[0].meta["causation_id"] == "evt_policy_1_0123456789ab"


async def test_list_threats_filters_and_puts_the_latest_first() -> None:
    clock = Clock()
    service = ThreatService(clock=clock)
    ids = []
    for number, severity in enumerate(Severity):
        clock.advance(1)
        ids.append((await service.create_threat(f"type{number % 2}", f"s{number}", severity)).id)
    await service.update_threat_status(ids[0], Status.INVESTIGATING)

    async def listed(**filters: object) -> list[int]:
        return [ids.index(threat.id) for threat in await service.list_threats(**filters)]  # type: ignore[arg-type]

    assert await listed() == [3, 2, 1, 0]
    assert await listed(limit=2) == [3, 2]
    assert await listed(status="open") == [3, 2, 1]
    assert await listed(status=["OPEN", Status.INVESTIGATING]) == [3, 2, 1, 0]
    assert await listed(severity="CRITICAL") == [3]
    assert await listed(type="type1") == [3, 1]
    assert await listed(source="s2") == [2]
    assert await listed(type="type1", status="INVESTIGATING") == []
    with pytest.raises(InvalidInput, match="status: 'NEW' is not one of"):
        await listed(status="NEW")
    with pytest.raises(InvalidInput, match="limit: 0 is too small; use 1 or more"):
        await listed(limit=0)


async def test_the_worst_threats_are_the_active_ones_by_severity() -> None:
    clock = Clock()
    service = ThreatService(clock=clock)
    ids = []
    for severity in ("CRITICAL", "LOW", "CRITICAL", "HIGH", "HIGH"):
        clock.advance(1)
        ids.append((await service.create_threat("test", f"s{len(ids)}", severity)).id)
    await service.update_threat_status(ids[2], Status.MITIGATED)
    await service.update_threat_status(ids[1], Status.ESCALATED)

    async def worst(limit: int) -> list[int]:
        return [ids.index(threat.id) for threat in await service.worst_threats(limit)]

    assert await worst(10) == [0, 4, 3, 1]
    assert await worst(2) == [0, 4]
    with pytest.raises(InvalidInput, match="limit: 0 is too small; use 1 or more"):
        await worst(0)


async def test_stats_see_changes_made_through_another_service_on_the_same_store() -> None:
    store = MemoryStore()
    one, other = ThreatService(store=store), ThreatService(store=store)
    threat = await one.create_threat("t", "s")
    assert (await other.get_stats()).active == 1
    await one.update_threat_status(threat.id, "MITIGATED")
    stats = await other.get_stats()
    assert (stats.active, stats.mitigated) == (0, 1)


@pytest.mark.parametrize("stream", [None, RaisingStream(), HangingStream()], ids=["absent", "raising", "hanging"])
async def test_work_goes_on_quickly_without_a_working_stream(stream: Publisher | None) -> None:
    before = failures.copy()
    service = ThreatService(stream)
    began = time.monotonic()
    threat = await service.create_threat("t", "s")
    threat = await service.update_threat_status(threat.id, "MITIGATED")
    assert threat.status is Status.MITIGATED
    assert time.monotonic() - began < 3 * PUBLISH_TIMEOUT + 2
    expected = (
        {} if stream is None else dict.fromkeys(("threat.detected", "threat.status_changed", "threat.mitigated"), 1)
    )
    assert dict(failures - before) == expected


async def test_the_functions_share_one_service_and_take_a_stream_and_a_store(recording_stream: RecordingStream) -> None:
    store = MemoryStore()
    threats.set_event_stream(recording_stream)
    threats.set_store(store)
    try:
        threat = await threats.create_threat(type="t", source="s", severity="LOW")
        await threats.update_threat_status(threat.id, "INVESTIGATING")
        assert (await threats.get_threat(threat.id)).status is Status.INVESTIGATING
        assert [each.id for each in await threats.list_threats()] == [threat.id]
        assert (await threats.get_stats()).total == 1
        assert [each.id for each in await ThreatService(store=store).list_threats()] == [threat.id]
        assert [event.type for event in recording_stream.events] == ["threat.detected", "threat.status_changed"]
    finally:
        threats.set_event_stream(None)
        threats.set_store(None)
    assert await threats.list_threats() == []


async def test_moves_from_many_tasks_lose_no_update(recording_stream: RecordingStream) -> None:
    service = ThreatService(recording_stream)
    threat = await service.create_threat("t", "s")

    async def move(new: Status) -> bool:
        try:
            await service.update_threat_status(threat.id, new)
        except Conflict:
            return False
        return True

    wanted = [Status.INVESTIGATING, Status.ESCALATED, Status.MITIGATED] * 10
    done = await asyncio.gather(*map(move, wanted))
    history = (await service.get_threat(threat.id)).history
    assert len(history) == sum(done) > 1
    assert len(recording_stream.get_events_by_type("threat.status_changed")) == sum(done)
    assert history[0].old is Status.OPEN
    assert all(later.old is earlier.new for earlier, later in itertools.pairwise(history))
