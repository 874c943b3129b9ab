"""What `brain policy check` finds in rules that are valid, and that it claims nothing that is not so."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brain.policy import Condition, Rule
from brain.policy.analysis import analyse, misspelt_fields
from brain.policy.implication import excludes, implies, matches_everything
from brain.policy.predicates import holds
from brain.policy.values import MISSING
from support.policy_strategies import conditions, values


def rule(rule_id: str, effect: str, *held: tuple[str, str, Any], priority: int = 0, **more: Any) -> Rule:
    made = [Condition(*one) for one in held]
    return Rule(id=rule_id, name=rule_id, effect=effect, conditions=made, priority=priority, **more)


def found(*rules: Rule, **more: Any) -> list[tuple[str, str, str | None]]:
    return [(one.kind, one.rule_id, one.other_id) for one in analyse(rules, 1000.0, **more)]


GUEST = ("agent_role", "==", "guest")


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [
        ([], [GUEST]),
        ([GUEST], [GUEST, ("action", "==", "read")]),
        ([("agent.role", "in", ["guest", "admin"])], [GUEST]),
        ([("params.n", ">", 5)], [("params.n", ">", 10), GUEST]),
        ([("params.n", "<", 5)], [("params.n", "==", 4)]),
        ([("params.n", "!=", 5)], [("params.n", ">", 5)]),
        ([("resource", "matches", "db/")], [("resource", "matches", "db/users.*")]),
        ([("resource", "matches", ".*")], [("resource", "matches", "db$")]),
    ],
)
def test_a_rule_that_never_wins(wide: list[Any], narrow: list[Any]) -> None:
    first, second = rule("first", "DENY", *wide, priority=2), rule("second", "ALLOW", *narrow, priority=1)
    assert ("never-wins", "second", "first") in found(first, second)
    assert ("never-wins", "second", "first") in found(second, first)
    for weaker in ({"enabled": False}, {"mode": "shadow"}, {"expires_at": 2000.0}, {"not_before": 500.0}):
        other = rule("first", "DENY", *wide, priority=2, **weaker)
        assert "never-wins" not in [kind for kind, *_ in found(other, second)]


def test_a_narrow_exception_above_a_wide_rule_is_fine() -> None:
    assert (
        found(rule("exception", "ALLOW", GUEST, ("action", "==", "read"), priority=2), rule("wide", "DENY", GUEST))
        == []
    )


def test_contradictions() -> None:
    allow = rule("allow", "ALLOW", GUEST)
    assert found(allow, rule("deny", "DENY", ("action", "==", "read"))) == [("contradiction", "allow", "deny")]
    assert found(allow, rule("deny", "DENY", GUEST)) == [
        ("never-wins", "allow", "deny"),
        ("contradiction", "allow", "deny"),
    ]
    assert found(allow, rule("deny", "DENY", ("agent_role", "==", "admin"))) == []
    assert found(allow, rule("deny", "DENY", ("action", "==", "read"), priority=1)) == []
    assert found(allow, rule("warn", "WARN", ("action", "==", "read"))) == []


def test_duplicates() -> None:
    one = rule("one", "ALLOW", GUEST, ("action", "==", "x"))
    assert found(one, rule("two", "ALLOW", ("action", "==", "x"), GUEST)) == [("duplicate", "two", "one")]
    assert found(one, rule("two", "ALLOW", ("action", "==", "x"), GUEST, mode="shadow")) == []


def test_an_allow_or_a_denial_that_wants_an_approval_asks_nobody() -> None:
    wanted = {"requires_approval": True}
    for effect in ("ALLOW", "DENY"):
        assert found(rule("a", effect, GUEST, metadata=wanted)) == [("never-asks", "a", None)]
    assert found(rule("a", "AUDIT", GUEST, metadata=wanted), rule("b", "ALLOW", ("action", "==", "x"))) == []


def test_single_rules() -> None:
    assert found(rule("a", "DENY", ("acton", "==", "x"))) == [("unused-field", "a", None)]
    assert "did you mean action?" in analyse([rule("a", "DENY", ("acton", "==", "x"))], 0)[0].message
    assert "did you mean agent_role?" in analyse([rule("a", "DENY", ("agent.rol", "==", "x"))], 0)[0].message
    assert found(rule("a", "DENY", ("tenant", "==", "x")), fields=["tenant"]) == []
    assert found(rule("a", "DENY", ("agent.team", "==", "x"))) == []
    assert found(rule("a", "DENY", ("resource", "matches", ".*"))) == [("matches-everything", "a", None)]
    assert found(rule("a", "DENY", ("action", "in", []))) == [("never-matches", "a", None)]
    assert found(rule("a", "DENY", ("action", "==", "x"), ("action", "==", "y"))) == [("never-matches", "a", None)]
    assert found(rule("a", "DENY", ("params.n", ">", 5), ("params.n", "<", 5))) == [("never-matches", "a", None)]
    assert found(rule("a", "DENY", GUEST, expires_at=10.0)) == [("expired", "a", None)]


@pytest.mark.parametrize(
    ("pattern", "everything"),
    [("", True), (".*", True), ("^", True), ("(?s).*", True), ("a*", True), (".", False), ("a", False), ("$", False)],
)
def test_patterns_that_match_everything(pattern: str, everything: bool) -> None:
    assert matches_everything(pattern) is everything


@settings(max_examples=10 * settings().max_examples)
@given(one=conditions(), other=conditions(), value=st.one_of(values, st.just(MISSING)))
def test_what_is_claimed_of_conditions_is_so(one: Condition, other: Condition, value: Any) -> None:
    other = Condition(one.field, other.operator, other.value)
    if holds(one, value) and implies(one, other):
        assert holds(other, value)
    if excludes(one, other):
        assert not (holds(one, value) and holds(other, value))


def test_ten_thousand_rules_are_analysed_in_seconds() -> None:
    rules = [
        rule(
            f"r{n}",
            "DENY" if n % 3 else "ALLOW",
            ("agent_role", "==", f"role{n % 100}"),
            ("action", "==", f"a{n // 100}"),
        )
        for n in range(10_000)
    ]
    rules.append(rule("again", "ALLOW", ("agent_role", "==", "role1"), ("action", "==", "a0")))
    started = time.monotonic()
    assert ("contradiction", "again", "r1") in found(*rules)
    assert time.monotonic() - started < 60  # every rule against every other would take an hour


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        ({"agent_id": "a1", "action": "read", "tenant": "t1", "params": {"rows": 3}}, []),
        ({"agentid": "a1"}, [("agentid", "agent_id")]),
        ({"params": {"amuont": 3, "rows": 1}}, [("params.amuont", "params.amount")]),
        ({"enviroment": {}, "tennant": "t"}, [("enviroment", "environment"), ("tennant", "tenant")]),
        ({"agent": {"role": "x"}, "params": "text"}, []),
    ],
)
def test_misspelt_fields_of_a_context(context: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    conditions = [Condition("params.amount", ">", 1), Condition("tenant", "==", "t")]
    rules = [Rule(id="r", name="r", effect="DENY", conditions=conditions)]
    assert misspelt_fields(context, rules) == expected
