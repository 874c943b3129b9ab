"""Metrics that users define: against a plain recount, in any batches, with bounded labels; what a change begins."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
import sqlalchemy as sa
from pydantic import ValidationError

from brain.charter import Event, Pattern
from brain.errors import Conflict, InvalidInput
from brain.kit import positions
from brain.metrics import series, tables
from brain.metrics.columns import EventBatch
from brain.metrics.compiled import CompiledMetric, Epoch
from brain.metrics.definition_store import SETTINGS, define, read_defined
from brain.metrics.definitions import DefinitionSet, MetricDefinition
from brain.metrics.fields import SEPARATOR
from brain.metrics.observed import Observed
from brain.metrics.projector import EventCounter, count_events
from brain.metrics.prune import prune
from brain.metrics.ranked import LIMIT
from brain.metrics.schema import changing_tables
from support.metrics_defined import TWENTY, counting, defined, points
from support.metrics_tables import contents, open_tables
from support.metrics_traffic import START, Traffic
from support.sizes import sizes

LEVELS = (series.TOTAL, *series.STEPS)


def event(at: float = START, type: str = "task.failed", **payload: Any) -> Event:
    return Event(type=type, source="missions_service", timestamp=at, payload=payload, meta={"tenant": "north"})


def start_of(at: float, step: int) -> int:
    return int(at) // step * step if step else 0


def metric(**definition: Any) -> CompiledMetric:
    return CompiledMetric(Epoch(1, "m", 1, MetricDefinition.model_validate({"events": "task.*", **definition})))


def observed(compiled: CompiledMetric, one: Event) -> Observed:
    return compiled.observe(EventBatch([("1", one)]).of(Pattern("*")))


def test_every_step_equals_a_plain_recount_of_the_events() -> None:
    engine = open_tables()
    defined(engine, TWENTY)
    events = Traffic(seed=4).events(1500)
    counting(engine, events, batch=400)
    decisions = [one for one in events if one.type == "policy.rule_evaluated"]
    numbers = [
        (one.timestamp, one.payload["evaluation_time_us"])
        for one in decisions
        if type(one.payload["evaluation_time_us"]) in (int, float)
    ]
    timed = [(at, value) for at, value in numbers if value >= 0]
    for step in LEVELS:
        denied = Counter((start_of(one.timestamp, step), "") for one in decisions if one.payload["effect"] == "DENY")
        assert {key: row["count"] for key, row in points(engine, "denied", step).items()} == denied
        sums, lowest = Counter[tuple[int, str]](), dict[tuple[int, str], float]()
        latest: dict[tuple[int, str], tuple[float, float]] = {}
        for at, value in timed:
            key = (start_of(at, step), "")
            sums[key] += round(value * 1000)
        for at, value in numbers:
            key = (start_of(at, step), "")
            lowest[key] = min(value, lowest.get(key, value))
            latest[key] = max((at, value), latest.get(key, (0.0, 0.0)), key=lambda one: one[0])
        assert {key: row["sum"] for key, row in points(engine, "microseconds", step).items()} == sums
        gauge = points(engine, "last_time", step)
        assert {key: row["low"] for key, row in gauge.items()} == lowest
        assert {key: (row["last_at"], row["last"]) for key, row in gauge.items()} == latest
        bins = Counter[tuple[int, int]]()
        for at, value in timed:
            bins[start_of(at, step), sum(value > bound for bound in (1, 10, 100, 1000))] += 1
        for (bucket, _), row in points(engine, "how_long", step).items():
            assert row["bins"] == " ".join(str(bins[bucket, place]) for place in range(5))


@pytest.mark.parametrize("batch", [23, 300])
def test_how_events_are_batched_changes_nothing(batch: int) -> None:
    chance = Random(5)
    events = [
        event(START + chance.random() * 15, cost=chance.randrange(9), user=chance.randrange(400)) for _ in range(500)
    ]
    about = {"events": "task.*", "value": "cost", "labels": ["user"]}

    def found(size: int) -> dict[str, set[tuple[Any, ...]]]:
        engine = open_tables()
        bounds = {"bounds": [2, 4]}
        of_kind = {"counter": about, "gauge": about, "histogram": {**about, **bounds}}
        defined(engine, {f"by_{kind}": {"kind": kind, **more} for kind, more in of_kind.items()})
        return contents(counting(engine, events, size))

    assert found(batch) == found(500)


def test_rows_in_memory_are_those_of_the_database(tmp_path: Path) -> None:
    """Two processes count by turns, and transactions are rolled back, while each keeps the rows that it wrote."""
    events = [(str(place), one) for place, one in enumerate(Traffic(8, agents=300, hours=0.02).events(1200), 1)]
    alone, shared = open_tables(), open_tables(f"sqlite:///{tmp_path}/shared.db")
    for engine in (alone, shared):
        defined(engine, TWENTY)
    with alone.begin() as connection:
        EventCounter().count(connection, events)
    counters = [EventCounter(), EventCounter()]
    chance = Random(9)
    for start in range(0, len(events), 100):
        counter = counters[chance.random() < 0.3]
        if chance.random() < 0.3:
            with shared.connect() as connection, connection.begin() as lost:
                counter.count(connection, events[start : start + 130])
                lost.rollback()
        with shared.begin() as connection:
            counter.count(connection, events[start : start + 100])
    assert contents(shared) == contents(alone)


@pytest.mark.parametrize("values", sizes(3000, 100_000))
def test_a_label_of_any_number_of_values_keeps_its_bound_and_its_sums_are_exact(values: int) -> None:
    engine = open_tables()
    defined(engine, {"tokens": {"kind": "counter", "events": "usage.*", "value": "tokens", "labels": ["user"]}})
    chance = Random(6)
    names = [*range(values), *chance.choices(range(values), k=values // 2)]
    chance.shuffle(names)
    events = [event(START + chance.random() * 25, "usage.seen", user=f"u{name}", tokens=name % 97) for name in names]
    for place in range(0, len(events), 20):
        events[place] = event(events[place].timestamp, "usage.seen", user="heavy", tokens=1000)
    counting(engine, events, 5000)
    expected = sum(one.payload["tokens"] for one in events)
    for step in LEVELS:
        found = points(engine, "tokens", step)
        assert sum(row["sum"] for row in found.values()) == expected * 10**6
        assert sum(row["count"] for row in found.values()) == len(events)
        rows = Counter(bucket for bucket, _ in found)
        assert max(rows.values()) == LIMIT + 1
        assert all((bucket, "heavy") in found for bucket in rows), "the heavy one keeps its row"
    print(f"{values:,} values: at most {max(rows.values())} rows a bucket, sums exact")


def test_fields_conditions_and_values() -> None:
    where = [
        {"field": "code", "operator": ">=", "value": 500},
        {"field": "payload.tags", "operator": "contains", "value": "slow"},
        {"field": "meta.tenant", "value": "north"},
        {"field": "retried", "operator": "!=", "value": True},
        {"field": "details.at.all", "operator": "exists", "value": False},
    ]
    counter = metric(kind="counter", where=where, value="cost", labels={"agent": "agent_id", "kind": "type"})
    right: dict[str, Any] = {"code": 503, "tags": ["slow"], "cost": 0.1, "agent_id": "a\x1f1"}
    found = observed(counter, event(**right))
    assert (found.labels, found.units) == ([f"a 1{SEPARATOR}task.failed"], [100_000])
    for wrong in (
        {"code": "503"},
        {"code": True},
        {"tags": "a slow"[:2]},
        {"retried": True},
        {"details": {"at": {"all": None}}},
        {"cost": "1"},
        {"cost": -1},
        {"cost": True},
        {"cost": float("nan")},
        {"cost": None},
        {"cost": 10**400},
    ):
        assert observed(counter, event(**{**right, **wrong})).buckets == [], wrong
    assert observed(metric(kind="counter", labels=["agent_id"]), event()).labels == [series.NONE]
    gauge = observed(metric(kind="gauge", value="level"), event(level=-2.5))
    assert (gauge.units, gauge.values, gauge.times) == ([-2_500_000], [-2.5], [START])


@pytest.mark.parametrize(
    ("wrong", "place"),
    [
        ({"kind": "gauge", "events": "a"}, "value"),
        ({"kind": "histogram", "events": "a", "value": "x"}, "bounds"),
        ({"kind": "histogram", "events": "a", "value": "x", "bounds": [2, 1]}, "bounds"),
        ({"kind": "counter", "events": "NO SUCH"}, "events"),
        ({"kind": "counter", "events": []}, "events"),
        ({"kind": "counter", "events": "a", "value": "a..b"}, "value"),
        ({"kind": "counter", "events": "a", "labels": ["a", "b", "c", "d"]}, "labels"),
        ({"kind": "counter", "events": "a", "labels": {"le": "a"}}, "labels"),
        ({"kind": "counter", "events": "a", "where": [{"field": "a", "operator": "in", "value": 1}]}, "where"),
        ({"kind": "counter", "events": "a", "valu": "x"}, "valu"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(wrong: dict[str, Any], place: str) -> None:
    with pytest.raises(ValidationError, match=place):
        DefinitionSet.model_validate({"definitions": {"m": wrong}})


def test_a_changed_definition_begins_a_new_series_and_the_former_is_kept() -> None:
    engine = open_tables()
    with changing_tables(engine) as connection:
        positions.begin(connection, "brain.metrics")
    at(engine, "0")
    failures: dict[str, Any] = {"kind": "counter", "events": "task.failed"}
    everything: dict[str, Any] = {"kind": "counter", "events": "*"}
    defined(engine, {"failures": failures, "all": everything})
    counting(engine, [event() for _ in range(3)])
    at(engine, "3")
    changed = defined(
        engine, {"failures": {**failures, "labels": ["agent_id"]}, "all": {"kind": "counter", "events": "*"}}
    )
    assert changed.version == 2
    counting(engine, [event(agent_id="a") for _ in range(2)], first=4)
    assert {label: row["count"] for (_, label), row in points(engine, "failures").items()} == {"a": 2}
    assert points(engine, "all")[0, ""]["count"] == 5
    with engine.begin() as connection:
        known = connection.execute(sa.select(tables.epochs).order_by(tables.epochs.c.id)).mappings().all()
    assert [(one["name"], one["number"], one["after_position"], one["until_position"]) for one in known] == [
        ("all", 1, "0", None),
        ("failures", 1, "0", "3"),
        ("failures", 2, "3", None),
    ]
    helped = defined(engine, {"failures": {**failures, "labels": ["agent_id"], "help": "Tasks that failed"}})
    assert helped.version == 3
    assert points(engine, "failures")[0, "a"]["count"] == 2, "another help is no other metric"
    assert defined(engine, {"failures": {**failures, "labels": ["agent_id"], "help": "Tasks that failed"}}).version == 3
    with engine.begin() as connection:
        prune(connection, {10: 3600, 60: 3600, 3600: 3600}, START + 10 * 86_400)
        left = connection.execute(sa.select(tables.epochs.c.number)).scalars().all()
        steps = connection.execute(sa.select(tables.defined.c.step).distinct()).scalars().all()
    assert (left, steps) == ([2], [series.TOTAL]), "what is over and too old goes"


def test_a_database_of_the_first_version_keeps_its_position() -> None:
    engine = open_tables()
    with changing_tables(engine) as connection:
        positions.begin(connection, "metrics")
    at(engine, "7")
    defined(engine, {"all": {"kind": "counter", "events": "*"}})
    with engine.begin() as connection:
        assert connection.execute(sa.select(positions.POSITIONS.c.name)).scalars().all() == ["metrics"]
        assert connection.execute(sa.select(tables.epochs.c.after_position)).scalars().all() == ["7"]


def at(engine: sa.Engine, position: str) -> None:
    """The projection stands there."""
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE consumer_positions SET position = :at"), {"at": position})


def test_what_does_not_fit_together_is_refused() -> None:
    engine = open_tables()
    counter: dict[str, Any] = {"kind": "counter", "events": "*"}
    gauge: dict[str, Any] = {"kind": "gauge", "events": "*", "value": "x"}
    for given, place in (
        ({"denials": counter}, "definitions.denials"),
        ({"limits": {"m": {"metric": "nothing", "above": 1}}}, "limits.m.metric"),
        ({"limits": {"m": {"metric": "denials", "by": "colour", "above": 1}}}, "limits.m.by"),
        ({"limits": {"m": {"metric": "denials", "statistic": "mean", "above": 1}}}, "limits.m.statistic"),
        ({"slos": {"m": {"total": "g", "bad": "c", "objective": 0.9}}}, "slos.m.total"),
    ):
        more = {name: given.get(name, {}) for name in ("limits", "slos")}
        extra = {"denials": counter} if "denials" in given else {}
        with pytest.raises(InvalidInput, match=place):
            defined(engine, {"c": counter, "g": gauge, **extra}, **more)
    defined(engine, {"c": counter})
    with changing_tables(engine) as connection:
        with pytest.raises(InvalidInput, match=r"definitions\.c: is defined in brain\.toml and by the API"):
            define(connection, SETTINGS, DefinitionSet.model_validate({"definitions": {"c": gauge}}), START)
        with pytest.raises(Conflict, match="version: is 1 by now, not 0"):
            define(connection, "api", DefinitionSet(), START, expected=0)
        assert read_defined(connection).version == 1


@contextmanager
def statements(engine: sa.Engine) -> Iterator[list[str]]:
    """What the database is asked inside the block."""
    found: list[str] = []

    def note(conn: Any, cursor: Any, statement: str, *rest: Any) -> None:
        found.append(statement)

    sa.event.listen(engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        sa.event.remove(engine, "before_cursor_execute", note)


def test_without_definitions_counting_asks_the_database_no_question_more() -> None:
    events = Traffic(7).events(500)
    plain, engine = open_tables(), open_tables()
    with statements(plain) as before, plain.begin() as connection:
        count_events(connection, [(str(number), one) for number, one in enumerate(events, 1)])
    with statements(engine) as now:
        counting(engine, events)
    assert len(now) == len(before)
    assert [one for one in now if "metrics_defined" in one or "metrics_epochs" in one] == []
    assert contents(engine) == contents(plain)
