"""Agents whose ids look like secrets: events name the mark of such an id, and who is contained by that is the agent.

A threat, and so its containment, has the agent from events (brain/redaction.py). Rules see the id as it is. While a
containment names a mark, each agent with an id that holds a secret is asked for by its marks, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from brain.policy.compiler import DECISION, Find, RuleEntry
from brain.policy.models import CONTAINMENT, Rule
from brain.policy.normalisation import unwrap
from brain.redaction import MARK, is_clean, redacted, redacted_text

_FIELD = "agent_id"


def names_mark(rule: Rule) -> bool:
    """Whether it contains an agent that is known by the mark of its id."""
    return CONTAINMENT in rule.tags and MARK in str(rule.metadata.get(_FIELD, ""))


def masked(context: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The context with the agent's id as events have it: nothing for an id in which there is no secret."""
    agent_id = unwrap(context.get(_FIELD))
    if isinstance(agent_id, str) and not is_clean(agent_id):
        # Under this name, and under others: a number that may be a card's is none in an id.
        for mark in {redacted(agent_id, _FIELD), redacted_text(agent_id)} - {agent_id}:
            yield {**context, _FIELD: mark}


def as_named(rule: Rule, context: Mapping[str, Any]) -> Mapping[str, Any]:
    """The context as this rule looks at it: by the mark of the agent's id where that is what it contains."""
    if not names_mark(rule):
        return context
    return next((one for one in masked(context) if one[_FIELD] == rule.metadata[_FIELD]), context)


def or_by_mark(first: Find, nothing: RuleEntry) -> Find:
    """What `first` decides, and where it decides `nothing`, what a containment of the agent's mark does."""

    def find(context: Mapping[str, Any]) -> RuleEntry:
        entry = first(context)
        if entry is not nothing:
            return entry
        for shown in masked(context):
            found = first(shown)
            if (found[DECISION].rule_id or "").startswith(f"{CONTAINMENT}:"):  # the kill switch lets the id itself by
                return found
        return nothing

    return find
