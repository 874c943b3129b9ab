"""Correlations by event time: windows that slide, late events, one hit and a count for a flood, and the same again."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest

from brain.detections.engine import Engine, Hit, MemoryStates
from support.detecting import engine_of, feed, loaded, problems, record, rule

BASE = rule("bad", what="bad") + "---\n" + rule("good", what="good") + "---\n" + rule("ugly", what="ugly")


def correlation(**values: Any) -> str:
    given = {"timespan": "1m", "group-by": ["who"], **values}
    return BASE + "---\n" + msgspec.json.encode({"title": "c", "name": "c", "correlation": given}).decode()


def own(**values: Any) -> str:
    return (
        BASE
        + "---\n"
        + msgspec.json.encode({"title": "c", "name": "c", "brain": {"group-by": ["who"], **values}}).decode()
    )


def event(at: float, what: str = "bad", who: str = "a", **more: Any) -> tuple[float, dict[str, Any]]:
    return at, {"what": what, "who": who, **more}


def found(text: str, *events: tuple[float, dict[str, Any]]) -> list[tuple[float, int]]:
    """When the hits of the correlation opened, and how many events each has."""
    engine = engine_of(text)
    hits = [*feed(engine, events)]
    engine.watermark += 100_000
    engine.end_windows()
    return sorted({hit.id: (hit.opened_at, hit.count) for hit in [*hits, *engine.drain()]}.values())


TEN = {"type": "event_count", "rules": ["bad"], "condition": {"gte": 10}}


def test_ten_over_a_boundary_are_ten() -> None:
    assert found(correlation(**TEN), *[event(55.0 + n) for n in range(10)]) == [(64.0, 10)]


def test_nine_and_ten_too_far_apart_are_none() -> None:
    assert found(correlation(**TEN), *[event(n) for n in range(9)]) == []
    assert found(correlation(**TEN), *[event(n * 7) for n in range(30)]) == []


def test_a_flood_is_one_hit_with_a_count_and_the_next_one_another() -> None:
    flood = [event(n * 0.5) for n in range(1000)]
    later = [event(2000 + n) for n in range(12)]
    assert found(correlation(**TEN), *flood, *later) == [(4.5, 1000), (2009.0, 12)]


def test_groups_do_not_mix_and_without_a_group_nothing_counts() -> None:
    engine = engine_of(correlation(**TEN))
    events = [event(n, who="ab"[n % 2]) for n in range(18)] + [(n, {"what": "bad"}) for n in range(30)]
    assert feed(engine, events) == []
    assert dict(engine.dropped) == {("c", "no_group"): 30}


def test_late_events_count_where_they_belong_and_too_late_ones_are_counted_as_dropped() -> None:
    times = [100, 101, 102, 103, 104, 105, 106, 107, 90, 95]  # ten between 90 and 107
    assert found(correlation(**TEN), *[event(at) for at in times]) == [(95.0, 10)]
    engine = engine_of(correlation(**TEN))
    feed(engine, [event(1000.0), event(1000.0 - 61)])
    assert dict(engine.dropped) == {("c", "late"): 1}


@pytest.mark.parametrize(
    ("condition", "values", "hits"),
    [
        ({"type": "value_count", "condition": {"field": "v", "gte": 3}}, ["x", "x", "y", "y", "z"], 1),
        ({"type": "value_count", "condition": {"field": "v", "gte": 3}}, ["x", "x", "y", "y", None], 0),
        ({"type": "value_count", "condition": {"field": ["v", "what"], "gte": 2}}, ["x", "x"], 0),
        ({"type": "value_sum", "condition": {"field": "v", "gt": 10}}, [4, "6", 0.5], 1),
        ({"type": "value_sum", "condition": {"field": "v", "gt": 10}}, [4, 6, "none"], 0),
        ({"type": "value_avg", "condition": {"field": "v", "gte": 5}}, [1, 9], 1),
        ({"type": "value_avg", "condition": {"field": "v", "gte": 5}}, [1, 8.9], 0),
        ({"type": "value_median", "condition": {"field": "v", "gte": 5}}, [1, 2, 5, 6, 7], 1),
        ({"type": "value_percentile", "condition": {"field": "v", "gte": 9, "percentile": 90}}, [*range(1, 10), 90], 1),
        (
            {"type": "value_percentile", "condition": {"field": "v", "gte": 100, "percentile": 90}},
            [*range(1, 10), 90],
            0,
        ),
        ({"type": "event_count", "condition": {"lt": 3}}, ["x", "y"], 1),
        ({"type": "event_count", "condition": {"lt": 3}}, ["x", "y", "z"], 0),
        ({"type": "event_count", "condition": {"eq": 3}}, ["x", "y", "z"], 1),
        ({"type": "event_count", "condition": {"neq": 3}}, ["x", "y", "z"], 0),
        ({"type": "value_count", "condition": {"field": "v", "lte": 2}}, ["x", "y", "x"], 1),
        ({"type": "value_avg", "condition": {"field": "v", "lt": 2}}, [1, 1, 3], 1),
    ],
)
def test_each_kind_of_count(condition: dict[str, Any], values: list[Any], hits: int) -> None:
    events = [event(n, v=value) for n, value in enumerate(values)]
    assert len(found(correlation(rules=["bad"], **condition), *events)) == hits


@pytest.mark.parametrize(
    ("given", "whats", "hits"),
    [
        ({"type": "temporal", "rules": ["bad", "good"]}, ["good", "bad"], 1),
        ({"type": "temporal", "rules": ["bad", "good"]}, ["bad", "bad"], 0),
        ({"type": "temporal", "rules": ["bad", "good", "ugly"], "condition": {"gte": 2}}, ["ugly", "bad"], 1),
        ({"type": "temporal", "condition": "bad and (good or ugly)"}, ["ugly", "bad"], 1),
        ({"type": "temporal", "condition": "bad and (good or ugly)"}, ["ugly", "good"], 0),
        ({"type": "temporal_ordered", "rules": ["bad", "good"]}, ["bad", "good"], 1),
        ({"type": "temporal_ordered", "rules": ["bad", "good"]}, ["good", "bad"], 0),
        ({"type": "temporal_ordered", "rules": ["bad", "good", "ugly"]}, ["bad", "ugly", "good", "ugly"], 1),
        ({"type": "temporal_ordered", "rules": ["bad", "good", "ugly"]}, ["ugly", "good", "bad", "ugly"], 0),
    ],
)
def test_rules_together_and_in_order(given: dict[str, Any], whats: list[str], hits: int) -> None:
    assert len(found(correlation(**given), *[event(n, what) for n, what in enumerate(whats)])) == hits
    assert found(correlation(**given), *[event(n * 61, what) for n, what in enumerate(whats)]) == []


def test_a_correlation_on_a_correlation() -> None:
    inner = correlation(**{**TEN, "condition": {"gte": 3}})
    outer = {
        "title": "o",
        "name": "o",
        "correlation": {"type": "temporal_ordered", "rules": ["c", "good"], "group-by": ["who"], "timespan": "1m"},
    }
    text = inner + "\n---\n" + msgspec.json.encode(outer).decode()
    assert found(text, *[event(n) for n in range(3)], event(30, "good")) == [(30.0, 2)]
    flood = [event(n) for n in range(200)]  # the login comes long after the flood began, and soon after its end
    assert len(found(text, *flood, event(230, "good"))) == 1
    assert found(text, *[event(n) for n in range(2)], event(30, "good")) == []


def test_a_field_may_have_another_name_in_another_rule() -> None:
    text = correlation(
        type="temporal",
        rules=["bad", "good"],
        **{"group-by": ["actor"]},
        aliases={"actor": {"bad": "who", "good": "user"}},
    )
    assert len(found(text, (1.0, {"what": "bad", "who": "ann"}), (2.0, {"what": "good", "user": "ann"}))) == 1
    assert found(text, (1.0, {"what": "bad", "who": "ann"}), (2.0, {"what": "good", "user": "bob"})) == []


SEQUENCE = {"type": "sequence", "rules": ["bad", "good"], "counts": [3, 1], "timespan": "1m"}


@pytest.mark.parametrize(
    ("whats", "hits"),
    [
        (["bad", "bad", "bad", "good"], 1),
        (["bad", "bad", "good"], 0),
        (["bad", "bad", "good", "bad", "good"], 1),
        (["bad", "bad", "bad", "ugly", "good"], 0),
        (["bad", "ugly", "bad", "bad", "bad", "good"], 1),
        (["good", "bad", "bad", "bad"], 0),
    ],
)
def test_a_sequence_needs_its_counts_and_ends_at_what_undoes_it(whats: list[str], hits: int) -> None:
    assert len(found(own(**SEQUENCE, unless="ugly"), *[event(n, what) for n, what in enumerate(whats)])) == hits


@pytest.mark.parametrize(
    ("group", "source"), [(["resource", "agent_id"], "agent-7"), (["resource", "what"], "db, bad"), (["who"], "a")]
)
def test_a_hit_of_several_fields_is_about_the_one_who_acts(group: list[str], source: str) -> None:
    engine = engine_of(own(**SEQUENCE | {"group-by": group, "rules": ["bad", "bad"]}))
    events = [event(n, resource="db", agent_id="agent-7") for n in range(4)]
    assert {hit.source for hit in [*feed(engine, events), *engine.drain()]} == {source}


def test_a_value_is_new_only_after_learning() -> None:
    text = own(type="first_seen", rules=["bad"], field="tool", learn="1h")
    learned = [event(n * 600, tool="ls") for n in range(12)]
    assert found(text, *learned, event(7300, tool="ls")) == []
    assert found(text, event(0, tool="ls"), event(60, tool="cat")) == []
    assert found(text, *learned, event(7300, tool="rm"), event(7301, tool="rm")) == [(7300.0, 1)]


def test_a_rate_above_what_was_learned() -> None:
    text = own(type="rate", rules=["bad"], bucket="1m", learn=10, least=20)
    usual = [event(minute * 60 + n) for minute in range(30) for n in range(5)]
    assert found(text, *usual, *[event(1800 + n) for n in range(15)]) == []
    burst = [event(1800 + n / 10) for n in range(100)]
    [(_, count)] = found(text, *usual, *burst)
    assert count == 80  # all beyond the least of 20
    assert found(text, *[event(n / 10) for n in range(100)]) == []  # nothing was learned yet


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({**TEN, "window": "sliding"}, "unknown keys window"),
        ({**TEN, "rules": ["nobody"]}, "refers to 'nobody'"),
        ({**TEN, "timespan": "1h30m"}, "1h30m"),
        ({**TEN, "type": "value_percentile", "condition": {"field": "v", "gte": 3}}, "percentile"),
        ({**TEN, "type": "value_count"}, "field"),
        ({**TEN, "type": "temporal", "rules": ["bad", "good"], "condition": "bad and not good"}, "`not`"),
        ({**TEN, "rules": ["c"]}, "refers"),
    ],
)
def test_what_is_wrong_with_a_correlation_is_said(given: dict[str, Any], expected: str) -> None:
    assert any(expected in problem for problem in problems(correlation(**given))), problems(correlation(**given))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"type": "nonsense", "rules": ["bad"]}, "nonsense"),
        ({"type": "first_seen", "rules": ["bad"]}, "field"),
        ({**SEQUENCE, "counts": [1]}, "counts"),
        ({**SEQUENCE, "rules": ["bad"], "counts": [1]}, "two rules"),
        ({**SEQUENCE, "colour": "red"}, "brain.colour"),
        ({"type": "rate", "rules": ["bad"], "factor": -1}, "factor"),
    ],
)
def test_what_is_wrong_with_a_document_of_our_own_is_said(given: dict[str, Any], expected: str) -> None:
    assert any(expected in problem for problem in problems(own(**given)))


def test_what_is_referred_to_reports_only_where_it_is_to() -> None:
    quiet, loud = loaded(correlation(**TEN)), loaded(correlation(**TEN, generate=True))
    assert {one.about.name for one in quiet.detections if one.about.reports} == {"c", "good", "ugly"}
    assert {one.about.name for one in loud.detections if one.about.reports} == {"c", "bad", "good", "ugly"}


class Rewritten(MemoryStates):
    """States that go through JSON between any two events, as they do in a database."""

    def get(self, key: Any) -> Any:
        memory = super().get(key)
        again = msgspec.json.decode(msgspec.json.encode(memory))
        memory.clear()
        memory.update(again)
        return memory


def test_states_that_are_stored_between_events_give_the_same() -> None:
    chance = random.Random(5)
    text = (
        correlation(**TEN)
        + "\n---\n"
        + own(**SEQUENCE).partition("---\n")[2].rpartition("---\n")[2].replace('"c"', '"s"')
    )
    text += "\n---\n" + own(type="first_seen", rules=["good"], field="v", learn="1m").rpartition("---\n")[2].replace(
        '"c"', '"f"'
    )
    text += "\n---\n" + correlation(type="event_count", rules=["ugly"], condition={"lt": 3}).rpartition("---\n")[
        2
    ].replace('"c"', '"l"')
    at, events = 0.0, []
    for _ in range(3000):
        at += chance.expovariate(0.5)
        late = chance.random() < 0.1
        events.append(
            event(
                at - late * chance.uniform(0, 40),
                chance.choice(["bad", "good", "ugly"]),
                chance.choice("abc"),
                v=chance.randrange(30),
            )
        )

    def run(states: MemoryStates, step: int) -> tuple[list[Hit], dict[Any, int]]:
        engine = Engine(loaded(text), states)
        hits: dict[str, Hit] = {}
        for number, (when, data) in enumerate(events):
            engine.feed(record(when, number, **data))
            if number % step == 0:
                engine.end_windows()
                hits.update({hit.id: hit for hit in engine.drain()})
        engine.end_windows()
        hits.update({hit.id: hit for hit in engine.drain()})
        return sorted(hits.values(), key=lambda hit: hit.id), dict(engine.dropped)

    plain = run(MemoryStates(), 1)
    assert len(plain[0]) > 30
    assert {hit.detection for hit in plain[0]} == {"c", "s", "f", "l"}
    assert run(Rewritten(), 1) == plain
    assert run(MemoryStates(), 500) == plain
