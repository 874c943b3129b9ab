"""What policy's events mean for missions: a contained agent has no task, and an approval lets one go on or ends it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from brain.kit.projection import Item
from brain.missions.leases_lost import send_away
from brain.missions.moves import approve
from brain.missions.settings import MissionSettings
from brain.missions.tables import TASKS
from brain.missions.transaction import MissionTransaction

_CONTAINMENT, _KILL_SWITCH = "containment", "kill-switch"
"""Tags of policy's measures, as `policy.rule_created` shows them."""


class PolicyProjector:
    """Applies policy's events to missions. `clock` gives Unix seconds."""

    def __init__(self, settings: MissionSettings, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock

    def apply(self, db: sa.Connection, items: Sequence[Item]) -> None:
        """As Projection says."""
        change = MissionTransaction(db, self._clock(), self._settings)
        for event in [item.event for item in items if item.event is not None]:
            if event.type.startswith("policy.rule_"):
                _contain(change, event.payload.get("rule") or {})
            else:
                _answer(change, event.type, event.payload)
        change.finish()


def _contain(change: MissionTransaction, rule: Mapping[str, Any]) -> None:
    """End the leases of whom this measure stops; any other rule concerns only what is claimed next."""
    tags, about = rule.get("tags") or (), rule.get("metadata") or {}
    if not rule.get("enabled", True) or (rule.get("expires_at") or change.now) < change.now:
        return
    if _CONTAINMENT in tags and isinstance(about.get("agent_id"), str):
        send_away(change, [about["agent_id"]], "contained")
    elif _KILL_SWITCH in tags:
        send_away(change, None, "kill_switch", but=about.get("allow") or ())


def _answer(change: MissionTransaction, type: str, payload: Mapping[str, Any]) -> None:
    held = sa.select(TASKS.c.id).where(TASKS.c.approval == payload.get("approval_id"))
    for id in change.db.execute(held).scalars().all():
        words = type.rpartition("approval_")[2]
        why = f"approval {words}" + (f" by {payload['by']}" if payload.get("by") else "")
        approve(change, change.task(id), words == "granted", f"{why}: {payload.get('reason') or 'no reason given'}")
