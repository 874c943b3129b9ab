"""The events of limits and breakers: a change of their rules, in their own words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from brain.policy.events import BREAKER_CHANGED, LIMIT_CHANGED, BreakerChange, LimitChange
from brain.policy.flow.state import BREAKER, LIMIT
from brain.policy.history import Change
from brain.stream.announcer import EventDraft


def flow_drafts(change: Change, by: str | None, note: str) -> Iterator[EventDraft[Any]]:
    """The event that tells of a breaker or a limit, where the changed rule is one."""
    rule, gone = change.rule, change.new is None
    until = None if gone else rule.expires_at
    reason = rule.description if change.new is not None else note
    known = rule.metadata
    if BREAKER in rule.tags and isinstance(known.get(BREAKER), str):
        state = "closed" if gone else str(known.get("state", "open"))
        moved: BreakerChange = {
            "name": known[BREAKER],
            "state": state,
            "rule_id": rule.id,
            "until": until,
            "reason": reason,
        }
        yield EventDraft(BREAKER_CHANGED, moved if by is None else {**moved, "by": by})
    elif LIMIT in rule.tags and isinstance(known.get(LIMIT), str):
        agents = [one.value for one in rule.conditions if one.field == "agent_id"]
        set_to: LimitChange = {
            "name": known[LIMIT],
            "calls": None if gone else int(known.get("calls", 0)),
            "window": str(known.get("window", "minute")),
            "agent_id": str(agents[0]) if agents else None,
            "rule_id": rule.id,
            "until": until,
            "reason": reason,
        }
        yield EventDraft(LIMIT_CHANGED, set_to if by is None else {**set_to, "by": by})
