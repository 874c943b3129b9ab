"""The specification's lifecycle tests: one of each module, from beginning to end."""

from __future__ import annotations

from brain import HealthEvent, ImmuneService, PolicyEngine, ThreatService
from brain.immune import HealthKind, HealthSeverity, HealthStatus
from support.bus import Bus
from support.clock import Clock
from support.policies import CONTEXT, guests_rule


async def test_a_rule_from_creation_to_deletion(bus: Bus) -> None:
    engine = PolicyEngine(event_stream=bus.stream, default_effect="ALLOW")
    engine.add_rule(guests_rule())
    decisions = [engine.evaluate(CONTEXT).allowed]
    engine.update_rule("guests", effect="WARN")
    decisions.append(engine.evaluate(CONTEXT).allowed)
    engine.update_rule("guests", effect="DENY")
    engine.disable_rule("guests")
    decisions.append(engine.evaluate(CONTEXT).allowed)
    engine.enable_rule("guests")
    decisions.append(engine.evaluate(CONTEXT).allowed)
    engine.delete_rule("guests")
    decisions.append(engine.evaluate(CONTEXT).allowed)

    assert decisions == [False, True, True, False, True]
    changes = [event.type for event in await bus.events() if event.type.startswith("policy.rule_")]
    assert changes == [
        "policy.rule_created",
        "policy.rule_evaluated",
        "policy.rule_updated",
        "policy.rule_evaluated",
        "policy.rule_updated",
        "policy.rule_disabled",
        "policy.rule_evaluated",
        "policy.rule_enabled",
        "policy.rule_evaluated",
        "policy.rule_deleted",
        "policy.rule_evaluated",
    ]
    evaluated = await bus.of_type("policy.rule_evaluated")
    assert [event.payload["effect"] for event in evaluated] == ["DENY", "WARN", "ALLOW", "DENY", "ALLOW"]
    assert len(await bus.of_type("policy.action_denied")) == 2


async def test_a_threat_from_detection_to_resolution(bus: Bus) -> None:
    clock = Clock()
    service = ThreatService(bus.stream, clock=clock)
    threat = await service.create_threat("port_scan", "10.0.0.9")
    for status in ("INVESTIGATING", "MITIGATED", "RESOLVED"):
        clock.advance(60)
        await service.update_threat_status(threat.id, status)

    moves = [
        (event.payload["old_status"], event.payload["new_status"])
        for event in await bus.of_type("threat.status_changed")
    ]
    assert moves == [("OPEN", "INVESTIGATING"), ("INVESTIGATING", "MITIGATED"), ("MITIGATED", "RESOLVED")]
    assert (await bus.one("threat.detected")).payload["threat_id"] == threat.id
    assert (await bus.one("threat.mitigated")).payload["duration_seconds"] == 120.0
    assert await bus.of_type("threat.escalated") == []
    assert {event.correlation_id for event in await bus.events()} == {threat.correlation_id}
    stats = await service.get_stats()
    assert (stats.active, stats.mttm_seconds) == (0, 120.0)


async def test_health_from_warning_over_crisis_to_healing(bus: Bus) -> None:
    service = ImmuneService(event_stream=bus.stream)
    story = "incident-1"
    course = [
        (HealthSeverity.WARNING, HealthKind.PERFORMANCE_DEGRADATION),
        (HealthSeverity.CRITICAL, HealthKind.AGENT_FAILURE),
        (HealthSeverity.INFO, HealthKind.SELF_HEALING_ACTION),
    ]
    states = []
    for severity, kind in course:
        await service.publish_event(HealthEvent(severity, kind, "billing", "as it goes", correlation_id=story))
        states.append(service.health_summary().status)

    assert states == [HealthStatus.HEALTHY, HealthStatus.DEGRADED, HealthStatus.HEALTHY]
    published = await bus.of_type("immune.event_published")
    assert [(event.payload["severity"], event.payload["kind"]) for event in published] == course
    assert [event.payload["event_id"] for event in published] == [1, 2, 3]
    assert (await bus.one("immune.critical_event")).payload["event_id"] == 2
    assert {event.correlation_id for event in await bus.events()} == {story}
