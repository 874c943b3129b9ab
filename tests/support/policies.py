"""A rule and a context that it matches."""

from __future__ import annotations

from typing import Any

from brain import Condition, Rule

CONTEXT: dict[str, Any] = {
    "agent_id": "agent-7",
    "agent_role": "guest",
    "action": "delete",
    "resource": "orders",
    "environment": {},
    "params": {},
}


def guests_rule(**changes: Any) -> Rule:
    """Guests may not delete."""
    usual: dict[str, Any] = {
        "id": "guests",
        "name": "Guests may not delete",
        "effect": "DENY",
        "conditions": [Condition(field="agent_role", operator="==", value="guest")],  # type: ignore[arg-type]
        "priority": 10,
    }
    return Rule(**{**usual, **changes})
