"""The specification's special scenarios: an escalation, a burst, an error spike."""

from __future__ import annotations

import asyncio

from brain import HealthEvent, ImmuneService, ThreatService
from brain.immune import HealthKind, HealthSeverity, HealthStatus
from support.bus import Bus
from support.clock import Clock


async def test_the_escalation_path(bus: Bus) -> None:
    clock = Clock()
    service = ThreatService(bus.stream, clock=clock)
    threat = await service.create_threat("data_theft", "agent-7", "CRITICAL")
    for status in ("INVESTIGATING", "ESCALATED", "INVESTIGATING", "ESCALATED", "MITIGATED", "RESOLVED"):
        clock.advance(10)
        await service.update_threat_status(threat.id, status)
    assert len(await bus.of_type("threat.status_changed")) == 6
    escalations = await bus.of_type("threat.escalated")
    assert [event.payload["old_status"] for event in escalations] == ["INVESTIGATING", "INVESTIGATING"]
    assert [event.payload["escalated_at"] - threat.detected_at for event in escalations] == [20.0, 40.0]
    assert (await bus.one("threat.mitigated")).payload["duration_seconds"] == 50.0


async def test_a_burst_of_events_is_published_whole(bus: Bus) -> None:
    service = ImmuneService(event_stream=bus.stream)
    numbers = await asyncio.gather(
        *(
            service.publish_event(HealthEvent(HealthSeverity.INFO, HealthKind.POLICY_VIOLATION, f"agent-{n}", "burst"))
            for n in range(100)
        )
    )
    assert sorted(numbers) == list(range(1, 101))
    published = await bus.of_type("immune.event_published")
    assert sorted(event.payload["event_id"] for event in published) == list(range(1, 101))
    assert len({event.id for event in published}) == 100
    assert service.health_summary().total == 100


async def test_an_error_spike_is_seen_in_the_summary(bus: Bus) -> None:
    clock = Clock()
    service = ImmuneService(event_stream=bus.stream, clock=clock)

    async def report(severity: HealthSeverity, rate: float) -> None:
        await service.publish_event(
            HealthEvent(severity, HealthKind.ERROR_SPIKE, "payments", f"{rate:.0%} errors", {"rate": rate})
        )
        clock.advance(30)

    await report(HealthSeverity.WARNING, 0.05)
    assert service.health_summary().status is HealthStatus.HEALTHY
    for rate in (0.3, 0.5, 0.8):
        await report(HealthSeverity.CRITICAL, rate)
    summary = service.health_summary(minutes=5)
    assert summary.status is HealthStatus.CRITICAL
    assert summary.by_kind["ERROR_SPIKE"] == 4
    assert summary.reasons[0].text == "payments: 3 CRITICAL ERROR_SPIKE"
    assert [event.payload["details"]["rate"] for event in await bus.of_type("immune.critical_event")] == [0.3, 0.5, 0.8]
    clock.advance(3_600)
    assert service.health_summary().score == 100
