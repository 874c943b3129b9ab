"""The one score that the immune plug-in and the metrics share."""

from __future__ import annotations

import pytest

from brain.charter import HealthKind, HealthSeverity, Severity
from brain.kit.health_score import DecisionCounts, HealthRecord, Reason, score_health

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


@pytest.mark.parametrize(("agents", "failures", "score"), [(1, 3, 81), (3, 3, 44), (6, 12, 0)])
def test_failures_that_were_healed_still_cost_within_the_hour(agents: int, failures: int, score: int) -> None:
    """As docs/immune.md says; the last is what the demo comes to."""
    known = [
        one
        for agent in range(agents)
        for failure in range(failures)
        for one in (
            healing("healed", f"{agent} {failure}"),
            *(
                HealthRecord(severity, kind, f"agent-{agent}", "", f"{agent} {failure}")
                for severity, kind in (
                    (HealthSeverity.CRITICAL, HealthKind.AGENT_FAILURE),
                    (HealthSeverity.WARNING, HealthKind.ERROR_SPIKE),
                    (HealthSeverity.WARNING, HealthKind.PERFORMANCE_DEGRADATION),
                )
            ),
        )
    ]
    assert score_health(known).score == score


@pytest.mark.parametrize(
    ("threats", "points"),
    [
        ({Severity.CRITICAL: 1}, 30),
        ({Severity.CRITICAL: 5}, 60),
        ({Severity.HIGH: 1, Severity.MEDIUM: 2, Severity.LOW: 3}, 28),
        ({Severity.LOW: 1000}, 5),
        ({Severity.CRITICAL: 0}, 0),
    ],
)
def test_open_threats_cost_points_by_their_severity(threats: dict[Severity, int], points: int) -> None:
    assert score_health([], threats).score == 100 - points


def test_a_high_share_of_denials_costs_points_and_a_usual_one_none() -> None:
    def score(decisions: int, denials: int) -> int:
        return score_health([], decisions=DecisionCounts(decisions, denials)).score

    assert [score(1000, denials) for denials in (0, 50, 100, 325, 550, 1000)] == [100, 100, 100, 90, 80, 60]
    assert score(19, 19) == 100  # too few to tell
    assert score_health([], decisions=DecisionCounts(300, 150)).reasons == (
        Reason(17.8, "150 of 300 decisions were denials (50%)"),
    )
