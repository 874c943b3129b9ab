"""Inhibition never goes round in a circle: of whatever explains what, somebody is told of something."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from brain.alerting import repository
from brain.alerting.inhibition import Inhibition, inhibited
from brain.alerting.matchers import parse_matchers
from brain.alerting.models import Alert
from brain.alerting.muting import muted
from brain.alerting.tables import ALERTS as ROWS
from brain.alerting.tables import make_tables
from brain.charter import Severity
from brain.kit.database import open_database


def alert(id: str, **labels: str) -> Alert:
    return Alert(
        id=id,
        key=id,
        name="n",
        severity=Severity(labels.pop("severity", "HIGH")),
        labels={"kind": "threat", **labels},
        summary="",
        event="threat.detected",
        correlation_id=labels.get("story", "s"),
        latest_correlation_id="s",
        first_at=0.0,
        fired_at=0.0,
        last_at=0.0,
    )


def rule(name: str, source: str, target: str, *equal: str) -> Inhibition:
    return Inhibition(name, parse_matchers([source]), parse_matchers([target]), equal)


def labels(*alerts: Alert) -> dict[str, dict[str, str]]:
    return {alert.id: alert.all_labels for alert in alerts}


def test_two_rules_that_go_in_a_circle_leave_the_first_ones_source() -> None:
    a, b = alert("a", kind="health"), alert("b", kind="threat")
    rules = [rule("1", "kind=threat", "kind=health"), rule("2", "kind=health", "kind=threat")]
    assert inhibited(labels(a, b), rules) == {"a": "b"}
    assert inhibited(labels(a, b), rules[::-1]) == {"b": "a"}


def test_alerts_that_are_both_sides_of_one_rule_leave_each_other_alone() -> None:
    alerts = [alert("a"), alert("b"), alert("c", kind="health")]
    assert inhibited(labels(*alerts), [rule("1", "kind=threat", "kind=~threat|health")]) == {"c": "a"}


def test_an_empty_label_is_not_shared() -> None:
    alerts = [alert("a", kind="health", agent=""), alert("b", agent="")]
    assert inhibited(labels(*alerts), [rule("1", "kind=health", "kind=threat", "agent")]) == {}


MATCHERS = st.sampled_from(["x=1", "x=2", "y=1", "y!=1", "severity=HIGH", "severity!=LOW", "z=~1|2"])
ALERTS = st.lists(
    st.tuples(st.sampled_from("012"), st.sampled_from("012"), st.sampled_from("012"), st.sampled_from([*Severity])),
    min_size=1,
    max_size=8,
)
RULES = st.lists(
    st.tuples(MATCHERS, MATCHERS, st.sampled_from([(), ("z",), ("severity",), ("z", "severity")])), max_size=6
)


@given(ALERTS, RULES)
def test_whoever_is_inhibited_is_so_by_someone_who_is_told(
    values: list[tuple[str, str, str, str]], rules: list[tuple[str, str, tuple[str, ...]]]
) -> None:
    alerts = [alert(str(n), x=x, y=y, z=z, severity=severity) for n, (x, y, z, severity) in enumerate(values)]
    made = [rule(str(n), source, target, *equal) for n, (source, target, equal) in enumerate(rules)]
    found = inhibited(labels(*alerts), made)
    assert len(found) < len(alerts)
    for target in found:
        seen = {target}
        while (source := found.get(target)) is not None:
            assert source not in seen, "a circle"
            seen.add(source)
            target = source


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> sa.Engine:
    folder: Path = tmp_path_factory.mktemp("alerting")
    engine = open_database(f"sqlite:///{folder}/alerts.db")
    make_tables(engine)
    return engine


@settings(max_examples=60)
@given(values=ALERTS, rules=RULES, shown=st.sets(st.integers(0, 7), min_size=1))
def test_what_mutes_a_page_is_worked_out_from_its_rows_as_from_all(
    database: sa.Engine,
    values: list[tuple[str, str, str, Severity]],
    rules: list[tuple[str, str, tuple[str, ...]]],
    shown: set[int],
) -> None:
    alerts = [alert(str(n), x=x, y=y, z=z, severity=severity) for n, (x, y, z, severity) in enumerate(values)]
    made = [rule(str(n), source, target, *equal) for n, (source, target, equal) in enumerate(rules)]
    page = [alerts[n] for n in sorted(shown) if n < len(alerts)]
    with database.begin() as db:
        db.execute(sa.delete(ROWS))
        repository.save_alerts(db, alerts, [])
        of_all = muted(alerts, [], made, 1.0)
        assert repository.muted_now(db, page, made, 1.0) == {one.id: of_all[one.id] for one in page if one.id in of_all}
