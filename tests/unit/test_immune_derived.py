"""Health that is derived: error spikes, denials and slowness from events, failures from missing heartbeats."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import sqlalchemy as sa

from brain.charter import Event
from brain.immune import heartbeats
from brain.immune.derived import DerivedHealth
from brain.immune.tables import make_tables, samples, series
from brain.kit.database import open_database
from brain.kit.outbox.reports import reports
from brain.stream.decoded import DecodedEvent

T0 = 1_700_000_100.0
STEP = 300.0


@pytest.fixture
def database() -> Iterator[sa.Engine]:
    engine = open_database("memory://")
    make_tables(engine)
    yield engine
    engine.dispose()


def item(number: int, type: str, at: float, **payload: Any) -> DecodedEvent:
    id = f"evt_test_{int(at * 1000)}_{number:016x}"
    event = Event(id=id, type=type, source="test_service", timestamp=at, payload=payload)
    return DecodedEvent(str(number), b"", event)


def failures(numbers: Sequence[tuple[float, int]]) -> list[DecodedEvent]:
    """So many failed tasks of one agent at each of these times."""
    times = [at for at, count in numbers for _ in range(count)]
    return [item(n, "task.failed", at, agent_id="a1") for n, at in enumerate(times)]


def apply(database: sa.Engine, items: Sequence[DecodedEvent], batch: int = 1000, *, restarts: bool = False) -> None:
    health = DerivedHealth()
    for start in range(0, len(items), batch):
        health = DerivedHealth() if restarts else health
        with database.begin() as db:
            health.apply(db, items[start : start + batch])


def reported(database: sa.Engine) -> list[tuple[str, str, str, str]]:
    with database.begin() as db:
        found = db.execute(sa.select(reports).order_by(reports.c.id)).all()
    return [(row.report["severity"], row.report["kind"], row.report["module"], row.report["message"]) for row in found]


def test_many_errors_are_a_spike_before_anything_is_known(database: sa.Engine) -> None:
    apply(database, failures([(T0, 19)]))
    assert reported(database) == []
    apply(database, failures([(T0, 120)])[19:])
    said = "a1: {} errors in 5 min; what is usual is not known yet"
    assert reported(database) == [
        ("WARNING", "ERROR_SPIKE", "a1", said.format(20)),
        ("CRITICAL", "ERROR_SPIKE", "a1", said.format(100)),
    ]


def usual_days(days: float, each: int = 2) -> list[tuple[float, int]]:
    return [(T0 + n * STEP, each + n % 3) for n in range(int(days * 288))]


def test_errors_beyond_the_usual_are_a_spike_in_their_own_step_and_reported_once(database: sa.Engine) -> None:
    end = T0 + 1.5 * 86_400
    apply(database, failures([*usual_days(1.5), (end + 10, 40), (end + STEP, 40), (end + 2 * STEP, 40)]))
    (only,) = reported(database)
    assert only[:3] == ("WARNING", "ERROR_SPIKE", "a1")
    assert "usually at most" in only[3]


def test_usual_errors_and_few_errors_are_no_spike(database: sa.Engine) -> None:
    apply(database, failures([*usual_days(2, each=1), (T0 + 2 * 86_400, 4)]))
    assert reported(database) == []


def test_the_same_events_in_other_batches_and_after_restarts_give_the_same(database: sa.Engine) -> None:
    end = T0 + 1.3 * 86_400
    events = failures([*usual_days(1.3), (end, 30), (end + 7200, 90), (end + 7500, 1)])
    apply(database, events)
    other = open_database("memory://")
    make_tables(other)
    apply(other, events, batch=97, restarts=True)
    for table in (series, samples):
        with database.begin() as one, other.begin() as two:
            assert one.execute(sa.select(table)).all() == two.execute(sa.select(table)).all()
    assert reported(database) == reported(other) != []
    other.dispose()


def test_slowness_is_found_at_the_end_of_a_step(database: sa.Engine) -> None:
    times = [(T0 + n * STEP + k, 100 if n < 320 else 900) for n in range(326) for k in range(6)]
    apply(database, [item(n, "task.completed", at, agent_id="a1", duration_ms=ms) for n, (at, ms) in enumerate(times)])
    (first, *more) = reported(database)
    assert first[:3] in (
        ("WARNING", "PERFORMANCE_DEGRADATION", "a1"),
        ("CRITICAL", "PERFORMANCE_DEGRADATION", "a1"),
    )
    assert all(one[0] == "CRITICAL" for one in more)


def test_denials_are_a_violation(database: sa.Engine) -> None:
    apply(database, [item(n, "policy.action_denied", T0 + n, agent_id="a1") for n in range(150)])
    assert [one[:3] for one in reported(database)] == [("WARNING", "POLICY_VIOLATION", "a1")]


def test_as_many_series_as_allowed_are_kept(database: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("brain.immune.derived.MOST_SERIES", 3)
    apply(database, [item(n, "task.failed", T0 + n * STEP, agent_id=f"a{n}") for n in range(5)])
    apply(database, [item(9, "task.failed", T0 + 9 * STEP, agent_id="a9")])
    with database.begin() as db:
        assert len(db.execute(sa.select(series)).all()) <= 5
        assert "a0" not in db.execute(sa.select(series.c.agent)).scalars().all()


def beat(database: sa.Engine, at: float, interval: float | None = 10.0, **resources: float) -> heartbeats.Heartbeat:
    with database.begin() as db:
        return heartbeats.beat(db, "a1", at, interval, resources)


def silent(database: sa.Engine, at: float, since: float = 0.0) -> int:
    with database.begin() as db:
        return heartbeats.fail_silent(db, at, since)


def test_three_missed_heartbeats_are_a_failure_until_the_next_one(database: sa.Engine) -> None:
    assert beat(database, 1000.0).due_at == 1030.0
    assert [silent(database, 1029.0), silent(database, 1031.0), silent(database, 1060.0)] == [0, 1, 0]
    assert beat(database, 1100.0).failed_at is None
    assert [one[0] for one in reported(database)] == ["CRITICAL", "INFO"]


def test_an_interval_is_learned(database: sa.Engine) -> None:
    found = [beat(database, at, None) for at in (0.0, 10.0, 20.0, 30.0)]
    assert [one.due_at for one in found] == [None, None, None, 60.0]
    assert found[-1].interval_seconds == 10.0


def test_an_agent_that_fails_again_and_again_is_reported_as_that_and_no_more(database: sa.Engine) -> None:
    for start in range(0, 700, 100):
        beat(database, float(start))
        assert silent(database, start + 31.0) == 1
    critical = [one for one in reported(database) if one[0] == "CRITICAL"]
    assert len(critical) == 4
    assert "again and again" in critical[-1][3]


def test_nobody_has_failed_while_nobody_listened(database: sa.Engine) -> None:
    beat(database, 1000.0)
    assert silent(database, 5000.0, since=4980.0) == 0
    assert silent(database, 5011.0, since=4980.0) == 1


def test_a_scarce_resource_is_reported_once_until_it_is_in_order(database: sa.Engine) -> None:
    for at, share in enumerate((0.5, 0.92, 0.89, 0.93, 0.98, 0.99, 0.8, 0.91)):
        beat(database, 1000.0 + at, memory=share)
    found = [one[:2] for one in reported(database)]
    assert found == [(severity, "RESOURCE_EXHAUSTION") for severity in ("WARNING", "CRITICAL", "WARNING")]


def test_agents_are_forgotten_on_their_word(database: sa.Engine) -> None:
    beat(database, 1000.0)
    with database.begin() as db:
        assert [one.agent_id for one in heartbeats.listed(db)] == ["a1"]
        heartbeats.leave(db, "a1")
    assert silent(database, 5000.0) == 0
