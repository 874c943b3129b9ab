"""The compiled engine decides as the naive reference does, on random rules and contexts, also after a change."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brain.policy import Effect, PolicyEngine
from brain.policy.compiler import DECISION
from brain.policy.ruleset import RuleSet
from brain.policy.values import spread_agent
from support.policy_reference import decide
from support.policy_strategies import contexts, rule_sets

CASES = (20 if settings().max_examples > 100 else 4) * settings().max_examples
"""100; in the profile `long`, 100,000."""


def outcome(engine: PolicyEngine, context: dict[str, Any]) -> tuple[str, str | None]:
    decision = engine.evaluate(context)
    assert decision.allowed is (decision.effect != "DENY")
    return decision.effect, decision.rule_id


@pytest.mark.timeout(7200)
@settings(max_examples=CASES)
@given(data=st.data())
def test_engine_equals_reference(data: st.DataObject) -> None:
    rules = data.draw(rule_sets())
    odd = data.draw(st.booleans())
    asked = data.draw(st.lists(contexts(rules, odd=odd), min_size=4, max_size=8))
    default = data.draw(st.sampled_from(list(Effect)))
    mismatch = data.draw(st.sampled_from(["unknown", "unknown", "false"]))
    engine = PolicyEngine(default_effect=default, mismatch=mismatch)
    for rule in rules:
        engine.add_rule(rule)
    at_once = RuleSet.of(rules, 1.0, default, mismatch)
    for context in asked:
        expected = decide(rules, context, default, mismatch)
        assert outcome(engine, context) == expected
        loaded = at_once.find(spread_agent(context))[DECISION]
        assert (loaded.effect, loaded.rule_id) == expected
    explained = engine.explain(asked[0])
    assert explained.decision == engine.evaluate(asked[0])
    assert [rule.rule_id for rule in explained.rules if rule.outcome == "won"] == [
        rule_id for rule_id in [explained.decision.rule_id] if rule_id is not None
    ]
    if rules:
        gone = data.draw(st.sampled_from(rules))
        engine.delete_rule(gone.id)
        left = [rule for rule in rules if rule is not gone]
        for context in asked:
            assert outcome(engine, context) == decide(left, context, default, mismatch)
