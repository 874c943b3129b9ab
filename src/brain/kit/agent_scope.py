"""For whom decisions are asked: keys of evaluators are bound to agents, and registered agents prove who they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from brain.charter import current_principal
from brain.errors import Forbidden

IDENTITY = "identity"
PROVED, DELEGATED, ASSERTED = "proved", "delegated", "asserted"
_IDS = (str, type(None))


def may_ask_for(agent_id: object) -> bool:
    """Whether whoever acts here may ask a decision for this agent."""
    who = current_principal()
    return who is None or who.agents is None or (type(agent_id) in _IDS and agent_id in who.agents)


def identity_of(agent_id: object) -> str:
    """What the server makes `environment.identity` of a context: `proved` where whoever acts has proven to be this
    agent, by its own key; `delegated` where that agent lets it ask in its place; else `asserted`."""
    who = current_principal()
    if who is None or who.proves is None:
        return ASSERTED
    if who.proves == agent_id:
        return PROVED
    return DELEGATED if type(agent_id) is str and agent_id in who.delegated else ASSERTED


def identities() -> Callable[[object], str | None]:
    """`identity_of` for many agents that the same one asks for; it gives None where `may_ask_for` says no."""
    who = current_principal()
    if who is None or (who.agents is None and who.proves is None):
        return lambda agent_id: ASSERTED
    return lambda agent_id: identity_of(agent_id) if may_ask_for(agent_id) else None


def check_agent(context: Mapping[str, Any]) -> str:
    """The identity of the agent of this context, as `identity_of`.

    Raises Forbidden when whoever acts here may not ask a decision for it.
    """
    nested = context.get("agent")
    named = [context[name] for name in ("agent_id",) if context.get(name) is not None]
    named += [nested[name] for name in ("id",) if isinstance(nested, Mapping) and nested.get(name) is not None]
    for agent_id in named or [None]:
        if not may_ask_for(agent_id):
            shown = "no agent" if agent_id is None else repr(agent_id)[:100]
            raise Forbidden(f"agent_id: this key may not ask for {shown}; use the agent's own")
    found = {identity_of(one) for one in named}
    return found.pop() if len(found) == 1 else ASSERTED


def identified(context: Mapping[str, Any], identity: str) -> dict[str, Any]:
    """The context with this identity in its environment, whatever its sender wrote there."""
    environment = context.get("environment", {})
    if not isinstance(environment, Mapping):  # it has no members that a rule could ask for
        return dict(context)
    return {**context, "environment": {**environment, IDENTITY: identity}}
