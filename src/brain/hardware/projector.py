"""Follows measures and stops: a contained agent's leases end, and stops that another process recorded hold here too."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from brain.charter import Event
from brain.hardware.events import EMERGENCY_STOP
from brain.hardware.leases import RobotLeases
from brain.hardware.tables import ROBOTS
from brain.kit.projection import Item

CONTAINMENT, KILL_SWITCH = "containment", "kill-switch"
"""The tags of the rules that measures are."""


class ToHalt(NamedTuple):
    """What is to be done to robots once the transaction is committed."""

    ended: Collection[str]
    """Those whose lease ended."""
    stopped: Collection[str]
    """Those that an emergency stop holds."""


class MeasureProjector:
    """Applies events of rules and of stops. `halt` is called before the transaction's commit, if there is anything."""

    def __init__(self, clock: Callable[[], float], halt: Callable[[ToHalt], None]) -> None:
        self._clock = clock
        self._leases = RobotLeases(clock)
        self._halt = halt

    def apply(self, db: sa.Connection, items: Sequence[Item]) -> None:
        """Apply one batch of events, in stream order."""
        robots: set[str] = set()
        events = [item.event for item in items if item.event is not None]
        for event in events:
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
        stopped: Sequence[str] = ()
        if any(event.type == EMERGENCY_STOP.name for event in events):
            stopped = db.execute(sa.select(ROBOTS.c.robot).where(ROBOTS.c.stopped_at.is_not(None))).scalars().all()
        if robots or stopped:
            self._halt(ToHalt(robots, stopped))

    def _measure(self, event: Event) -> Mapping[str, Any] | None:
        """The rule of the event while it is in force."""
        rule = event.payload.get("rule")
        if not isinstance(rule, Mapping) or not rule.get("enabled", True):
            return None
        expires_at = rule.get("expires_at")
        return rule if expires_at is None or expires_at > self._clock() else None
