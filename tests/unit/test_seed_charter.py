"""The specification's compliance tests: every event of every module keeps to Charter v1.0."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable

import msgspec

from brain import Event, HealthEvent, ImmuneService, PolicyEngine, ThreatService, catalogue, correlation
from brain.immune import HealthKind, HealthSeverity
from support.bus import Bus
from support.policies import CONTEXT, guests_rule

KEYS = {"id", "type", "source", "target", "timestamp", "payload", "meta"}


def check(events: Iterable[Event], module: str, since: float) -> set[str]:
    """Check every event of a module as a reader of its bytes would; the types seen."""
    seen = set()
    for event in events:
        wire = msgspec.json.decode(event.encode())
        assert set(wire) == KEYS
        parts = re.fullmatch(rf"evt_{module}_(\d{{13}})_[0-9a-f]{{12,}}", wire["id"])
        assert parts
        assert int(parts[1]) == int(wire["timestamp"] * 1000)
        assert since <= wire["timestamp"] <= time.time()
        assert re.fullmatch(r"[a-z]+\.[a-z_]+", wire["type"])
        assert wire["source"] == f"{module}_service"
        assert wire["target"] is None
        assert wire["meta"]["version"] == "1.0"
        assert wire["meta"]["correlation_id"] == "story-1"
        declared = catalogue()[wire["type"]]
        declared.check(wire["payload"])
        assert wire["payload"].keys() <= declared.payload.__annotations__.keys()
        seen.add(wire["type"])
    return seen


def declared_by(module: str) -> set[str]:
    return {name for name, declared in catalogue().items() if declared.module == module}


async def test_policy_events_keep_to_the_charter(bus: Bus) -> None:
    since = time.time()
    engine = PolicyEngine(event_stream=bus.stream)
    with correlation("story-1"):
        engine.add_rule(guests_rule())
        engine.evaluate(CONTEXT)
        engine.update_rule("guests", priority=99)
        engine.disable_rule("guests")
        engine.enable_rule("guests")
        engine.delete_rule("guests")
    core = {f"policy.rule_{what}" for what in ("evaluated", "created", "updated", "deleted", "enabled", "disabled")}
    assert check(await bus.events(), "policy", since) == core | {"policy.action_denied"} <= declared_by("policy")


async def test_threat_events_keep_to_the_charter(bus: Bus) -> None:
    since = time.time()
    service = ThreatService(bus.stream)
    with correlation("story-1"):
        threat = await service.create_threat("port_scan", "10.0.0.9", metadata={"ports": [22, 80], "tool": None})
    await service.update_threat_status(threat.id, "ESCALATED")
    await service.assign(threat.id, "ann")
    await service.comment(threat.id, "it is a scanner of our own")
    await service.update_threat_status(threat.id, "MITIGATED")
    grown = {"threat.updated", "threat.became_critical"}  # no core types: test_threat_sightings has them
    restored = {"threat.store_restored"}  # not of the service: a store came back with less than it had
    assert check(await bus.events(), "threats", since) == declared_by("threats") - grown - restored


async def test_health_events_keep_to_the_charter(bus: Bus) -> None:
    since = time.time()
    with correlation("story-1"):
        await ImmuneService(event_stream=bus.stream).publish_event(
            HealthEvent(HealthSeverity.CRITICAL, HealthKind.RESOURCE_EXHAUSTION, "db", "disk full", {"free": 0})
        )
    assert check(await bus.events(), "immune", since) == declared_by("immune")
