"""The specification's publishing tests: each of the 13 core types is published, with what it has to tell."""

from __future__ import annotations

from brain import HealthEvent, ImmuneService, PolicyEngine, ThreatService
from brain.immune import HealthKind, HealthSeverity
from support.bus import Bus
from support.clock import Clock
from support.policies import CONTEXT, guests_rule


async def test_policy_rule_evaluated(bus: Bus) -> None:
    engine = PolicyEngine(event_stream=bus.stream)
    engine.add_rule(guests_rule(effect="ALLOW"))
    assert engine.evaluate(CONTEXT).allowed
    payload = (await bus.one("policy.rule_evaluated")).payload
    assert (payload["rule_id"], payload["effect"], payload["allowed"]) == ("guests", "ALLOW", True)
    assert (payload["agent_id"], payload["action"], payload["resource"]) == ("agent-7", "delete", "orders")
    assert payload["reason"]
    assert payload["evaluation_time_us"] > 0
    assert await bus.of_type("policy.action_denied") == []


async def test_policy_rule_created(bus: Bus) -> None:
    PolicyEngine(event_stream=bus.stream).add_rule(guests_rule())
    payload = (await bus.one("policy.rule_created")).payload
    assert (payload["rule_id"], payload["rule_name"]) == ("guests", "Guests may not delete")
    assert payload["rule"]["conditions"] == [{"field": "agent_role", "operator": "==", "value": "guest"}]


async def test_policy_rule_updated(bus: Bus) -> None:
    engine = PolicyEngine(event_stream=bus.stream)
    engine.add_rule(guests_rule())
    engine.update_rule("guests", priority=99)
    payload = (await bus.one("policy.rule_updated")).payload
    assert payload["rule"]["priority"] == 99
    assert payload["changes"] == {"priority": {"old": 10, "new": 99}}


async def test_policy_rule_deleted(bus: Bus) -> None:
    engine = PolicyEngine(event_stream=bus.stream)
    engine.add_rule(guests_rule())
    engine.delete_rule("guests")
    payload = (await bus.one("policy.rule_deleted")).payload
    assert payload["rule_id"] == "guests"
    assert payload["rule"]["effect"] == "DENY"


async def test_policy_rule_enabled(bus: Bus) -> None:
    engine = PolicyEngine(event_stream=bus.stream)
    engine.add_rule(guests_rule(enabled=False))
    engine.enable_rule("guests")
    payload = (await bus.one("policy.rule_enabled")).payload
    assert (payload["rule_id"], payload["rule"]["enabled"]) == ("guests", True)


async def test_policy_rule_disabled(bus: Bus) -> None:
    engine = PolicyEngine(event_stream=bus.stream)
    engine.add_rule(guests_rule())
    engine.disable_rule("guests")
    payload = (await bus.one("policy.rule_disabled")).payload
    assert (payload["rule_id"], payload["rule"]["enabled"]) == ("guests", False)


async def test_policy_action_denied(bus: Bus) -> None:
    engine = PolicyEngine(event_stream=bus.stream)
    engine.add_rule(guests_rule())
    assert not engine.evaluate(CONTEXT).allowed
    payload = (await bus.one("policy.action_denied")).payload
    assert (payload["agent_id"], payload["action"], payload["rule_id"]) == ("agent-7", "delete", "guests")
    assert (await bus.one("policy.rule_evaluated")).payload["effect"] == "DENY"


async def test_threat_detected(bus: Bus) -> None:
    service = ThreatService(bus.stream)
    threat = await service.create_threat("port_scan", "10.0.0.9", "HIGH", "500 ports in 3 s", {"ports": 500})
    payload = (await bus.one("threat.detected")).payload
    assert (payload["threat_id"], payload["type"], payload["severity"]) == (threat.id, "port_scan", "HIGH")
    assert (payload["source"], payload["status"], payload["metadata"]) == ("10.0.0.9", "OPEN", {"ports": 500})


async def test_threat_status_changed(bus: Bus) -> None:
    service = ThreatService(bus.stream)
    threat = await service.create_threat("port_scan", "10.0.0.9")
    await service.update_threat_status(threat.id, "INVESTIGATING", "looking")
    payload = (await bus.one("threat.status_changed")).payload
    assert (payload["old_status"], payload["new_status"]) == ("OPEN", "INVESTIGATING")
    assert (payload["threat_id"], payload["reason"]) == (threat.id, "looking")


async def test_threat_escalated(bus: Bus) -> None:
    service = ThreatService(bus.stream)
    threat = await service.create_threat("port_scan", "10.0.0.9", "CRITICAL")
    await service.update_threat_status(threat.id, "ESCALATED")
    payload = (await bus.one("threat.escalated")).payload
    assert (payload["threat_id"], payload["severity"], payload["old_status"]) == (threat.id, "CRITICAL", "OPEN")


async def test_threat_mitigated(bus: Bus) -> None:
    clock = Clock()
    service = ThreatService(bus.stream, clock=clock)
    threat = await service.create_threat("port_scan", "10.0.0.9")
    clock.advance(90)
    await service.update_threat_status(threat.id, "MITIGATED")
    payload = (await bus.one("threat.mitigated")).payload
    assert (payload["threat_id"], payload["duration_seconds"]) == (threat.id, 90.0)
    assert payload["mitigated_at"] == clock.now


async def test_immune_event_published(bus: Bus) -> None:
    service = ImmuneService(event_stream=bus.stream)
    number = await service.publish_event(
        HealthEvent(HealthSeverity.WARNING, HealthKind.ERROR_SPIKE, "api", "4 % of answers are errors", {"rate": 0.04})
    )
    payload = (await bus.one("immune.event_published")).payload
    assert (payload["event_id"], payload["severity"], payload["kind"]) == (number, "WARNING", "ERROR_SPIKE")
    assert (payload["module"], payload["details"]) == ("api", {"rate": 0.04})
    assert await bus.of_type("immune.critical_event") == []


async def test_immune_critical_event(bus: Bus) -> None:
    service = ImmuneService(event_stream=bus.stream)
    number = await service.publish_event(
        HealthEvent(HealthSeverity.CRITICAL, HealthKind.AGENT_FAILURE, "billing", "has not answered for 30 s")
    )
    payload = (await bus.one("immune.critical_event")).payload
    assert (payload["event_id"], payload["severity"], payload["module"]) == (number, "CRITICAL", "billing")
    assert (await bus.one("immune.event_published")).payload["event_id"] == number
