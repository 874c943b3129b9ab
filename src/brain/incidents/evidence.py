"""The policy decisions behind an incident.

Those of the last while are kept aside as they come by. When an incident opens, those of its story and those of its
agents shortly before become its own; further decisions of its story are added as they come.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, and_, delete, func, or_, select

from brain.charter import Event
from brain.incidents.models import Incident, plain
from brain.incidents.tables import decisions, recent
from brain.incidents.transaction import insert_or_ignore

DECISION = "policy.rule_evaluated"
AGENT = 200
"""Characters of an agent's id that are kept, for the index over it."""
MOST = 100
"""Decisions that one incident keeps."""
_OF_ONE_BATCH = 50
"""Decisions of one agent that are kept aside from one batch of events: the last ones."""


class Evidence:
    """Decisions in one transaction; `window` is how many seconds before an event its agents' decisions count."""

    def __init__(self, db: Connection, window: float) -> None:
        self._db = db
        self._window = window
        self._counts: dict[str, int] = {}

    def remember(self, events: Sequence[tuple[Event, str]]) -> None:
        """Keep the decisions among these events (each with its story) aside, and forget those older than the window."""
        kept: list[dict[str, Any]] = []
        agents: Counter[str] = Counter()
        for event, story in reversed(events):
            if event.type == DECISION:
                row = _row(event, story)
                agents[row["agent"]] += 1
                if agents[row["agent"]] <= _OF_ONE_BATCH:
                    kept.append(row)
        if kept:
            self._db.execute(insert_or_ignore(self._db, recent), kept)
            self._db.execute(delete(recent).where(recent.c.at < min(row["at"] for row in kept) - self._window))

    def gather(self, incident: Incident, agents: Sequence[str], at: float) -> None:
        """Give the incident the decisions of its story, and those of these agents in the window before `at`."""
        room = MOST - self._count(incident.id)
        if room <= 0:
            return
        before = and_(
            recent.c.agent.in_([plain(agent, AGENT) for agent in agents]), recent.c.at.between(at - self._window, at)
        )
        found = self._db.execute(
            select(recent)
            .where(or_(recent.c.story == incident.story, before))
            .order_by(recent.c.at.desc(), recent.c.event_id)
            .limit(room)
        ).all()
        self._give(incident, [dict(row._mapping) for row in found])

    def add(self, incident: Incident, event: Event) -> None:
        """Give it one decision of its story."""
        if self._count(incident.id) < MOST:
            self._give(incident, [_row(event, incident.story)])

    def _give(self, incident: Incident, rows: Sequence[Mapping[str, Any]]) -> None:
        if not rows:
            return
        values = [
            {"incident": incident.id, **{name: value for name, value in row.items() if name != "story"}} for row in rows
        ]
        self._db.execute(insert_or_ignore(self._db, decisions), values)
        self._counts.pop(incident.id, None)

    def _count(self, incident: str) -> int:
        if incident not in self._counts:
            mine = select(func.count()).select_from(decisions).where(decisions.c.incident == incident)
            self._counts[incident] = self._db.execute(mine).scalar_one()
        return self._counts[incident]


def _row(event: Event, story: str) -> dict[str, Any]:
    payload = event.payload
    rule = payload.get("rule_id")
    return {
        "event_id": event.id,
        "story": story,
        "agent": plain(payload.get("agent_id"), AGENT),
        "action": plain(payload.get("action")),
        "resource": plain(payload.get("resource")),
        "effect": plain(payload.get("effect"), 20),
        "rule_id": None if rule is None else plain(rule),
        "reason": plain(payload.get("reason")),
        "at": event.timestamp,
    }
