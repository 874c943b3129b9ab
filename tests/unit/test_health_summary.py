"""The health score: what takes points, how much, and what healing gives back."""

from __future__ import annotations

import pytest

from brain.charter import Severity
from brain.errors import InvalidInput
from brain.immune import HealthEvent, HealthKind, HealthSeverity, HealthStatus, ImmuneService, Reason
from brain.immune.health_summary import FleetState, summarise
from support.clock import Clock


def event(severity: str, kind: str = "ERROR_SPIKE", module: str = "api", **more: object) -> HealthEvent:
    return HealthEvent(HealthSeverity(severity), HealthKind(kind), module, "", **more)  # type: ignore[arg-type]


def test_nothing_happened() -> None:
    summary = summarise([], 60)
    assert (summary.score, summary.status, summary.reasons, summary.total) == (100, HealthStatus.HEALTHY, (), 0)
    assert summary.by_severity == {"INFO": 0, "WARNING": 0, "CRITICAL": 0}
    assert summary.by_kind == dict.fromkeys(HealthKind, 0)


@pytest.mark.parametrize(
    ("events", "score", "status"),
    [
        ([event("INFO")] * 50, 100, HealthStatus.HEALTHY),
        ([event("WARNING")], 97, HealthStatus.HEALTHY),
        ([event("WARNING")] * 100, 85, HealthStatus.HEALTHY),
        ([event("CRITICAL")], 75, HealthStatus.DEGRADED),
        ([event("CRITICAL")] * 2, 50, HealthStatus.DEGRADED),
        ([event("CRITICAL")] * 100, 40, HealthStatus.CRITICAL),
        ([event("CRITICAL"), event("CRITICAL", module="db"), event("WARNING")], 47, HealthStatus.CRITICAL),
        ([event("CRITICAL", module=name) for name in "abcdefgh"], 0, HealthStatus.CRITICAL),
    ],
)
def test_score_and_status(events: list[HealthEvent], score: int, status: HealthStatus) -> None:
    summary = summarise(events, 60)
    assert (summary.score, summary.status) == (score, status)


def test_reasons_name_the_gravest_first() -> None:
    summary = summarise([event("WARNING"), event("CRITICAL", "AGENT_FAILURE", "bill"), event("WARNING")], 60)
    assert summary.reasons == (
        Reason(25.0, "bill: 1 CRITICAL AGENT_FAILURE"),
        Reason(6.0, "api: 2 WARNING ERROR_SPIKE"),
    )
    assert summary.by_kind["ERROR_SPIKE"] == 2


def test_healing_gives_points_back_to_its_own_story_alone() -> None:
    healing = event("INFO", "SELF_HEALING_ACTION", correlation_id="a")
    one, other = event("CRITICAL", correlation_id="a"), event("CRITICAL", correlation_id="b")
    summary = summarise([healing, other, one], 60)  # the newest first
    assert summary.score == 70
    assert summary.reasons == (Reason(30.0, "api: 2 CRITICAL ERROR_SPIKE, 1 of them healed"),)


def test_an_incident_after_the_healing_is_not_healed_by_it() -> None:
    healing = event("INFO", "SELF_HEALING_ACTION", correlation_id="a")
    incident = event("CRITICAL", correlation_id="a")
    assert summarise([incident, healing], 60).score == 75
    assert summarise([healing, incident], 60).score == 95


def test_a_failed_healing_heals_nothing() -> None:
    failed = event("WARNING", "SELF_HEALING_ACTION", correlation_id="a", details={"outcome": "failed"})
    assert summarise([failed, event("CRITICAL", correlation_id="a")], 60).score == 72


async def test_the_summary_looks_back_the_minutes_asked_for() -> None:
    clock = Clock()
    service = ImmuneService(clock=clock)
    for _ in range(700):  # more than one read of the store
        await service.publish_event(event("WARNING"))
    clock.advance(30 * 60)
    await service.publish_event(event("CRITICAL"))
    assert service.health_summary().total == 701
    assert service.health_summary(minutes=30).total == 701
    assert service.health_summary(minutes=29).total == 1
    assert service.health_summary(minutes=29).score == 75
    clock.advance(31 * 60)
    assert service.health_summary().total == 1
    for bad in (0, -1, float("nan")):
        with pytest.raises(InvalidInput, match="minutes"):
            service.health_summary(minutes=bad)


def test_beside_an_open_critical_threat_no_fleet_is_healthy() -> None:
    summary = summarise([], 60, FleetState({Severity.CRITICAL: 1}))
    assert (summary.score, summary.status) == (70, HealthStatus.DEGRADED)
    assert summary.reasons == (Reason(30.0, "1 CRITICAL threat is open"),)


async def test_there_is_no_score_before_anything_is_known() -> None:
    state = FleetState()
    clock = Clock()
    service = ImmuneService(clock=clock, fleet=lambda since: state)
    assert (service.health_summary().score, service.health_summary().status) == (None, HealthStatus.NO_DATA)
    state = FleetState(open_threats={})
    assert (service.health_summary().score, service.health_summary().status) == (100, HealthStatus.HEALTHY)
    state = FleetState()
    await service.publish_event(event("INFO"))
    clock.advance(86_400)
    assert service.health_summary().score == 100
