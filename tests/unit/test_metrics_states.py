"""The stages of threats, the health score and the spans of time, event by event."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from brain.charter import Event
from brain.errors import InvalidInput
from brain.immune import HealthEvent, ImmuneService
from brain.metrics import series
from brain.metrics.settings import MetricsSettings
from brain.metrics.state import health_scores, open_threats_at, resolution_rate
from brain.metrics.time_range import TimeRange, time_range
from brain.testing import RecordingStream
from support.clock import Clock
from support.metrics_tables import counted, folded, open_tables

T = 1_703_000_000.0


def detected(id: str, at: float, **metadata: object) -> Event:
    payload = {"threat_id": id, "type": "scan", "severity": "HIGH", "detected_at": at, "metadata": metadata}
    return Event(type="threat.detected", source="threats_service", timestamp=at, payload=payload)


def moved(id: str, at: float, status: str) -> Event:
    payload = {"threat_id": id, "type": "scan", "severity": "HIGH", "new_status": status, "changed_at": at}
    return Event(type="threat.status_changed", source="threats_service", timestamp=at, payload=payload)


def stages(*events: Event) -> dict[str, tuple[int, float]]:
    """How often each stage was reached, and the seconds it took in sum."""
    found = counted(folded(open_tables(), list(events)), series.STAGE, series.TOTAL)
    return {stage: (count, total / 1e6) for (_, stage), (count, total) in found.items()}


def test_each_stage_is_timed_once() -> None:
    assert stages(
        detected("a", T, first_seen=T - 12.5),
        moved("a", T + 5, "INVESTIGATING"),
        moved("a", T + 8, "ESCALATED"),
        moved("a", T + 9, "INVESTIGATING"),
        moved("a", T + 20, "MITIGATED"),
        moved("a", T + 30, "RESOLVED"),
        detected("b", T),
    ) == {"detect": (1, 12.5), "investigate": (1, 5.0), "resolve": (1, 30.0)}


def test_a_move_that_was_stored_before_the_detection_is_timed_when_that_comes() -> None:
    assert stages(moved("a", T + 5, "INVESTIGATING"), detected("a", T)) == {"investigate": (1, 5.0)}
    assert stages(moved("a", T + 5, "INVESTIGATING")) == {}


def test_an_older_move_does_not_undo_a_newer_one() -> None:
    engine = folded(open_tables(), [detected("a", T), moved("a", T + 9, "MITIGATED"), moved("a", T + 5, "ESCALATED")])
    with engine.begin() as connection:
        assert [state.count for state in open_threats_at(connection, [T - 1, T + 4, T + 20])] == [0, 1, 0]


def test_open_threats_have_their_ages_and_ignored_ones_count_neither_way() -> None:
    engine = folded(
        open_tables(),
        [
            detected("waiting", T),
            detected("ignored", T + 10),
            moved("ignored", T + 20, "IGNORED"),
            detected("held", T + 30),
            moved("held", T + 40, "MITIGATED"),
            moved("held", T + 50, "RESOLVED"),
            detected("again", T + 60),
            moved("again", T + 70, "MITIGATED"),
            moved("again", T + 80, "INVESTIGATING"),
        ],
    )
    with engine.begin() as connection:
        state = open_threats_at(connection, [T + 100])[0]
        assert (state.count, state.oldest_id, state.oldest_age_seconds) == (2, "waiting", 100.0)
        assert state.mean_age_seconds == pytest.approx(70.0)
        assert resolution_rate(connection, T, T + 100) == pytest.approx(1 / 3)
        assert resolution_rate(connection, T + 1000, T + 2000) is None


async def test_the_health_score_is_the_one_of_the_immune_module_at_every_moment() -> None:
    clock, stream = Clock(T), RecordingStream()
    service = ImmuneService(stream, clock=clock)
    scores = []
    for severity, kind, details in (
        ("INFO", "ERROR_SPIKE", {}),
        ("WARNING", "ERROR_SPIKE", {}),
        ("CRITICAL", "AGENT_FAILURE", {}),
        ("INFO", "SELF_HEALING_ACTION", {"outcome": "healed"}),
        ("CRITICAL", "RESOURCE_EXHAUSTION", {}),
        ("WARNING", "SELF_HEALING_ACTION", {"outcome": "failed"}),
        *[("WARNING", "POLICY_VIOLATION", {})] * 8,
    ):
        story = "s1" if kind in ("AGENT_FAILURE", "SELF_HEALING_ACTION") else None
        await service.publish_event(HealthEvent(severity, kind, "billing", "", details, story))  # type: ignore[arg-type]
        clock.advance(300)
        scores.append((clock(), service.health_summary(60).score))
        clock.advance(1)
    assert len({score for _, score in scores}) > 5
    events = [
        Event(type=event.type, source=event.source, timestamp=event.payload["published_at"], payload=event.payload,
              meta=event.meta)
        for event in stream.get_events_by_type("immune.event_published")
    ]  # fmt: skip
    with folded(open_tables(), events).begin() as connection:
        assert list(health_scores(connection, [at for at, _ in scores])) == scores
        assert list(health_scores(connection, [clock() + 7200])) == [(clock() + 7200, 100)]


@pytest.mark.parametrize(
    ("since", "step", "expected"),
    [
        (T - 600, None, (10, 10)),
        (T - 3600, None, (20, 10)),
        (T - 7 * 86_400, None, (3600, 3600)),
        (T - 100, 7, (10, 10)),
        (T - 3600, 60, (60, 60)),
        (T - 2 * 86_400, 30, (60, 60)),
        (T - 60 * 86_400, 60, (3600, 3600)),
        (T - 5000 * 86_400, 86_400, (86_400, 3600)),
    ],
)
def test_spans_take_the_finest_points_that_are_kept(since: float, step: int | None, expected: tuple[int, int]) -> None:
    found = time_range(since, None, step, T, MetricsSettings())
    assert (found.step, found.stored) == expected
    assert found.since <= since < found.since + found.step
    assert found.until - found.step < T <= found.until
    assert found.since % found.step == found.until % found.step == 0


def test_a_span_that_makes_no_sense_is_refused() -> None:
    assert time_range(None, None, None, T, MetricsSettings()) == TimeRange(int(T) - 3600, int(T), 20, 10)
    with pytest.raises(InvalidInput, match="since"):
        time_range(T, T - 1, None, T, MetricsSettings())
    with pytest.raises(InvalidInput, match="11000"):
        time_range(T - 2e8, None, 3600, T, MetricsSettings())


def test_the_health_score_counts_what_was_open_and_denied_then_and_is_unknown_before() -> None:
    def decided(at: float, effect: str) -> Event:
        payload = {"agent_id": "a", "action": "read", "effect": effect, "evaluation_us": 1.0}
        return Event(type="policy.rule_evaluated", source="policy_service", timestamp=at, payload=payload)

    events = [detected("a", T + 600), moved("a", T + 1200, "MITIGATED")]
    events += [decided(T + 1800, "DENY" if number % 2 else "ALLOW") for number in range(40)]
    with folded(open_tables(), events).begin() as connection:
        moments = [T - 600, T + 660, T + 1260, T + 1980, T + 9000]
        assert [score for _, score in health_scores(connection, moments)] == [None, 85, 100, 82, 100]
    with open_tables().begin() as connection:
        assert list(health_scores(connection, [T])) == [(T, None)]


def test_steps_of_weeks_begin_on_mondays() -> None:
    week = 604_800
    for step in (week, 2 * week):
        found = time_range(T - 60 * 86_400, T, step, T, MetricsSettings())
        assert {datetime.fromtimestamp(start, UTC).isoweekday() for start in found.starts} == {1}
        assert {start % 86_400 for start in found.starts} == {0}
        assert found.since <= T - 60 * 86_400
        assert found.until >= T
    assert time_range(T - 86_400, T, 86_400, T, MetricsSettings()).since % 86_400 == 0
