"""The one score that the immune plug-in and the metrics share."""

from __future__ import annotations

from brain.charter import HealthKind, HealthSeverity
from brain.kit.health_score import HealthRecord, Reason, score_health

SPIKE = HealthRecord(HealthSeverity.CRITICAL, HealthKind.ERROR_SPIKE, "api", "", "a")


def healing(outcome: str, correlation_id: str | None = "a") -> HealthRecord:
    return HealthRecord(HealthSeverity.INFO, HealthKind.SELF_HEALING_ACTION, "api", outcome, correlation_id)


def test_no_events_are_perfect_health() -> None:
    assert (score_health([]).score, score_health([]).reasons) == (100, ())


def test_only_a_later_action_with_the_same_correlation_id_that_did_not_fail_heals() -> None:
    assert score_health([healing("healed"), SPIKE]).score == 95
    assert score_health([SPIKE, healing("healed")]).score == 75
    assert score_health([healing("failed"), SPIKE]).score == 75
    assert score_health([healing("healed", "b"), SPIKE]).score == 75


def test_one_noisy_part_costs_a_bounded_number_of_points() -> None:
    found = score_health([SPIKE] * 50 + [SPIKE._replace(module="db")])
    assert found.score == 15
    assert found.reasons == (Reason(60.0, "api: 50 CRITICAL ERROR_SPIKE"), Reason(25.0, "db: 1 CRITICAL ERROR_SPIKE"))
