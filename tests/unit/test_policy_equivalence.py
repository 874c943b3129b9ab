"""The compiled engine decides as the naive reference does, on random rules and contexts, also while rules change."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brain.policy import Condition, Effect, PolicyEngine, Rule
from brain.policy.ruleset import RuleSet
from brain.policy.values import spread_agent
from support.policy_reference import decide

WORDS = ["", "a", "b", "ab", "guest", "admin", "delete", "read", "db/x", "1", "ÄÖ", "a\nb"]
FIELDS = [
    "agent_id",
    "agent_role",
    "agent.role",
    "agent.team.name",
    "action",
    "resource",
    "params",
    "params.amount",
    "params.deep.er.still",
    "environment.zone",
    "tenant",
]
PATTERNS = ["a", "a.*", "ab$", "(a|b)+$", "[a-z]+", "db/.*", "^guest$", r"db\/x", "", ".*e$", "(?i)A", "Ä"]

scalars = st.one_of(
    st.sampled_from(WORDS),
    st.integers(-2, 2),
    st.sampled_from([0.0, 1.0, -1.5, 0.5, 2.0]),
    st.booleans(),
    st.none(),
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "amount"]), inner, max_size=2)
    ),
    max_leaves=4,
)


@st.composite
def conditions(draw: st.DrawFn) -> Condition:
    field = draw(st.sampled_from(FIELDS))
    operator = draw(st.sampled_from(["==", "==", "==", "!=", ">", "<", "contains", "matches", "in", "in"]))
    by_operator: dict[str, st.SearchStrategy[Any]] = {
        ">": st.one_of(st.integers(-2, 2), st.sampled_from(WORDS), st.just(0.5)),
        "matches": st.sampled_from(PATTERNS),
        "in": st.lists(values, max_size=4),
    }
    by_operator["<"] = by_operator[">"]
    return Condition(field, operator, draw(by_operator.get(operator, values)))


@st.composite
def rule_sets(draw: st.DrawFn) -> list[Rule]:
    made = draw(
        st.lists(
            st.tuples(
                st.lists(conditions(), max_size=3), st.sampled_from(list(Effect)), st.integers(-1, 1), st.booleans()
            ),
            max_size=8,
        )
    )
    return [
        Rule(id=f"r{n}", name=f"rule {n}", effect=effect, conditions=held, priority=priority, enabled=on or n % 3 > 0)
        for n, (held, effect, priority, on) in enumerate(made)
    ]


@st.composite
def contexts(draw: st.DrawFn) -> dict[str, Any]:
    context: dict[str, Any] = {}
    for field in ("agent_id", "agent_role", "action", "resource", "tenant", "params", "environment"):
        if draw(st.booleans()):
            context[field] = draw(values)
    if draw(st.booleans()):
        context["params"] = {"amount": draw(values), "deep": {"er": {"still": draw(scalars)}}}
    if draw(st.integers(0, 3)) == 0:
        context["environment"] = {"zone": draw(values)}
    if draw(st.integers(0, 3)) == 0:
        context["agent_team"] = {"name": draw(scalars)}
    return context


def outcome(engine: PolicyEngine, context: dict[str, Any]) -> tuple[str, str | None]:
    decision = engine.evaluate(context)
    assert decision.allowed is (decision.effect != "DENY")
    assert engine.explain(context).decision is decision
    return decision.effect, decision.rule_id


@pytest.mark.timeout(3600)
@settings(max_examples=20 * settings().max_examples)  # 2,000; in the profile `long` 100,000
@given(rules=rule_sets(), asked=st.lists(contexts(), min_size=1, max_size=3), data=st.data())
def test_engine_equals_reference(rules: list[Rule], asked: list[dict[str, Any]], data: st.DataObject) -> None:
    default = data.draw(st.sampled_from(list(Effect)))
    engine = PolicyEngine(default_effect=default)
    for rule in rules:
        engine.add_rule(rule)
    at_once = RuleSet.of(rules, 1.0, default)
    for context in asked:
        expected = decide(rules, context, default)
        assert outcome(engine, context) == expected
        loaded = at_once.find(spread_agent(context)).decision
        assert (loaded.effect, loaded.rule_id) == expected
    if rules:
        gone = data.draw(st.sampled_from(rules))
        engine.delete_rule(gone.id)
        left = [rule for rule in rules if rule is not gone]
        for context in asked:
            assert outcome(engine, context) == decide(left, context, default)
