"""Keys of evaluators are bound to agents: they ask decisions for these alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from brain.charter import current_principal
from brain.errors import Forbidden


def may_ask_for(agent_id: object) -> bool:
    """Whether whoever acts here may ask a decision for this agent."""
    who = current_principal()
    return who is None or who.agents is None or (type(agent_id) is str and agent_id in who.agents)


def check_agent(context: Mapping[str, Any]) -> None:
    """Raises Forbidden when whoever acts here may not ask a decision for the agent of this context."""
    nested = context.get("agent")
    named = [context[name] for name in ("agent_id",) if context.get(name) is not None]
    named += [nested[name] for name in ("id",) if isinstance(nested, Mapping) and nested.get(name) is not None]
    for agent_id in named or [None]:
        if not may_ask_for(agent_id):
            shown = "no agent" if agent_id is None else repr(agent_id)[:100]
            raise Forbidden(f"agent_id: this key may not ask for {shown}; use a key that names the agent")
