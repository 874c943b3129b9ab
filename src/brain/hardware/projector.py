"""Follows the rules: when an agent is contained, or the kill switch is on, leases end and their robots are stopped."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from brain.charter import Event
from brain.hardware.leases import RobotLeases
from brain.kit.projection import Item

CONTAINMENT, KILL_SWITCH = "containment", "kill-switch"
"""The tags of the rules that measures are."""


class MeasureProjector:
    """Applies events of rules. `ended` is given the robots whose leases ended, before the transaction's commit."""

    def __init__(self, clock: Callable[[], float], ended: Callable[[Collection[str]], None]) -> None:
        self._clock = clock
        self._leases = RobotLeases(clock)
        self._ended = ended

    def apply(self, db: sa.Connection, items: Sequence[Item]) -> None:
        """Apply one batch of events, in stream order."""
        robots: set[str] = set()
        for event in (item.event for item in items if item.event is not None):
            rule = self._measure(event)
            if rule is None:
                continue
            tags, metadata = rule.get("tags") or (), rule.get("metadata") or {}
            if CONTAINMENT in tags:
                robots.update(self._leases.revoke(db, [str(metadata.get("agent_id"))], "contained"))
            elif KILL_SWITCH in tags:
                allowed = metadata.get("allow") or ()
                agents = {lease.holder for lease in self._leases.held(db)}.difference(allowed)
                robots.update(self._leases.revoke(db, sorted(agents), "kill_switch"))
        if robots:
            self._ended(robots)

    def _measure(self, event: Event) -> Mapping[str, Any] | None:
        """The rule of the event while it is in force."""
        rule = event.payload.get("rule")
        if not isinstance(rule, Mapping) or not rule.get("enabled", True):
            return None
        expires_at = rule.get("expires_at")
        return rule if expires_at is None or expires_at > self._clock() else None
