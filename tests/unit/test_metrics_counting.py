"""What events add to the series: against a plain recount, in any batches, with late events and bounded labels."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brain.charter import Event
from brain.metrics import series
from brain.metrics.accumulate import LABEL_CHARACTERS, text
from brain.metrics.prune import prune
from brain.metrics.ranked import DENIAL, LIMIT, Row, add_ranked, fits
from support.metrics_tables import contents, counted, folded, open_tables, total
from support.metrics_traffic import START, Traffic

LEVELS = (series.TOTAL, *series.STEPS)


def start_of(event: Event, step: int) -> int:
    return int(event.timestamp) // step * step if step else 0


def test_every_step_equals_a_plain_recount_of_the_events() -> None:
    events = Traffic(seed=1).events(3000)
    engine = folded(open_tables(), events, batch=700)
    decisions = [event for event in events if event.type == "policy.rule_evaluated"]
    for step in LEVELS:
        types = Counter((start_of(event, step), event.type) for event in events)
        assert {key: count for key, (count, _) in counted(engine, series.EVENTS_BY_TYPE, step).items()} == types
        actions = Counter((start_of(event, step), event.payload["action"]) for event in decisions)
        denied = Counter(
            (start_of(event, step), event.payload["action"]) for event in decisions if event.payload["effect"] == "DENY"
        )
        assert counted(engine, series.DECISIONS_BY_ACTION, step) == {
            key: (count, denied[key]) for key, count in actions.items()
        }
        took = [event for event in events if event.type == "threat.mitigated"]
        stages = Counter[int]()
        for event in took:
            stages[start_of(event, step)] += round(event.payload["duration_seconds"] * 1e6)
        found = counted(engine, series.STAGE, step).items()
        assert {at: total for (at, stage), (_, total) in found if stage == series.MITIGATE} == stages


@pytest.mark.parametrize(("seed", "batch"), [(1, 3), (2, 17), (3, 64)])
def test_how_events_are_batched_changes_nothing(seed: int, batch: int) -> None:
    events = Traffic(seed, agents=300).events(300)
    assert contents(folded(open_tables(), events, batch)) == contents(folded(open_tables(), events, 300))


def test_batches_change_nothing_where_labels_are_more_than_are_told_apart() -> None:
    chance = Random(3)
    events = []
    for _ in range(2500):
        agent = "hot" if chance.random() < 0.1 else f"agent-{chance.randrange(1500)}"
        payload = {"agent_id": agent, "action": "read", "effect": chance.choice(("ALLOW", "DENY"))}
        at = START + chance.random() * 25
        events.append(Event(type="policy.rule_evaluated", source="policy_service", timestamp=at, payload=payload))
    whole = folded(open_tables(), events, 2500)
    assert contents(folded(open_tables(), events, 83)) == contents(whole)
    for step in LEVELS:
        found = counted(whole, series.DECISIONS_BY_AGENT, step)
        assert sum(count for count, _ in found.values()) == 2500
        assert sum(denied for _, denied in found.values()) == sum(event.payload["effect"] == "DENY" for event in events)
        labels = Counter(bucket for bucket, label in found if label != series.OTHER)
        assert max(labels.values()) == LIMIT
        assert all((bucket, "hot") in found for bucket in labels), "the frequent one keeps its row"


@given(st.lists(st.tuples(st.sampled_from("abcdefghij"), st.integers(0, 1)), max_size=200), st.integers(1, 6))
def test_ranked_rows_keep_what_is_frequent_and_lose_nothing(observations: list[tuple[str, int]], limit: int) -> None:
    rows: dict[str, Row] = {}
    add_ranked(rows, observations, limit)
    assert len(rows.keys() - {series.OTHER}) <= limit
    assert sum(row.count for row in rows.values()) == len(observations)
    assert sum(row.sum for row in rows.values()) == sum(value for _, value in observations)
    true = Counter[str]()
    for label, value in observations:
        true[label] += DENIAL if value else 1
    for label, weight in true.items():
        if weight * limit > true.total():
            row = rows[label]
            assert row.weight - row.error <= weight <= row.weight
    if fits({}, true, limit):
        assert {label: row.weight for label, row in rows.items()} == true


def test_late_events_land_in_their_buckets_until_those_are_gone() -> None:
    keep = {10: 3600.0, 60: 7200.0, 3600: 86_400.0}
    engine = folded(open_tables(), Traffic(seed=4).events(200))
    now = START + 30 * 3600
    with engine.begin() as connection:
        assert prune(connection, keep, now) > 0
        assert prune(connection, keep, now - 1e6) == 0, "a clock set back brings nothing back"
    for hours_ago, steps in ((0.5, {10, 60, 3600}), (1.5, {60, 3600}), (20, {3600}), (29, set())):
        kind = f"late{int(hours_ago * 10)}.event"
        folded(engine, [Event(type=kind, source="late_service", timestamp=now - hours_ago * 3600, payload={})])
        found = {
            step for step in LEVELS if any(label == kind for _, label in counted(engine, series.EVENTS_BY_TYPE, step))
        }
        assert found == steps | {series.TOTAL}


@pytest.mark.parametrize(
    ("value", "label"),
    [
        (None, series.NONE),
        ("", series.NONE),
        ("agent-7", "agent-7"),
        (7, "7"),
        ({"a": 1}, '{"a":1}'),
        ("a\0b", "a\N{REPLACEMENT CHARACTER}b"),
        ("x" * 1000, "x" * LABEL_CHARACTERS),
    ],
)
def test_any_value_makes_a_label(value: object, label: str) -> None:
    assert text(value) == label


@settings(max_examples=20)
@given(
    st.dictionaries(
        st.sampled_from(
            [
                "severity",
                "kind",
                "module",
                "details",
                "threat_id",
                "new_status",
                "changed_at",
                "detected_at",
                "metadata",
                "duration_seconds",
                "effect",
                "agent_id",
                "action",
                "evaluation_time_us",
            ]
        ),
        st.recursive(
            st.none()
            | st.booleans()
            | st.integers(-(2**70), 2**70)
            | st.floats(allow_nan=False)
            | st.text(max_size=5)
            | st.sampled_from(["DENY", "CRITICAL", "MITIGATED", "SELF_HEALING_ACTION"]),
            lambda inner: (
                st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["outcome", "first_seen"]), inner)
            ),
            max_leaves=4,
        ),
    ),
    st.sampled_from(
        [
            "policy.rule_evaluated",
            "immune.event_published",
            "threat.detected",
            "threat.status_changed",
            "threat.mitigated",
        ]
    ),
)
def test_no_payload_can_stop_the_counting(payload: dict[str, object], kind: str) -> None:
    event = Event(type=kind, source="vendor_service", timestamp=START, payload=payload)
    before = total(_shared)
    folded(_shared, [event])
    assert total(_shared) == before + 1


_shared = open_tables()
