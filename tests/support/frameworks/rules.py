"""The engine that every framework's cases ask, and the calls that got through to a tool."""

from __future__ import annotations

from typing import Any

from brain.policy import Condition, Guard, PolicyEngine, Rule

LARGE = "denied by rule 'large' (large, priority 0)"
FORCED = "denied by rule 'forced' (forced, priority 0)"
ran: list[tuple[Any, ...]] = []
"""What the tools were really called with; a case empties it first."""


def new_engine() -> PolicyEngine:
    """No refund above 500, nothing closed by force, a person asked for a payout; all else is allowed."""
    engine = PolicyEngine(default_effect="ALLOW")
    for rule in (
        _rule("large", "DENY", Condition(field="params.amount", operator=">", value=500)),
        _rule("forced", "DENY", Condition(field="params.force", operator="==", value=True)),
        _rule("asked", "WARN", Condition(field="action", operator="==", value="payout"), requires_approval=True),
    ):
        engine.add_rule(rule)
    return engine


def new_guard(**options: Any) -> Guard:
    """A guard for agent a1, with no call recorded yet."""
    ran.clear()
    return Guard(new_engine(), **{"agent": "a1", "on_approval": "raise", **options})


def _rule(name: str, effect: str, condition: Condition, **metadata: Any) -> Rule:
    return Rule(id=name, name=name, effect=effect, conditions=[condition], metadata=metadata)
