"""The policy decisions that explain an incident.

The decisions of the last minutes are kept aside as they come. When an incident opens, it gets those of its correlation
id and those of its agents shortly before. What comes later is added: decisions of its correlation id, and those of its
agents from that time, since what is published and what is written with a change have no common order on the stream.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, and_, delete, func, or_, select

from brain.charter import Event
from brain.incidents.models import Incident
from brain.incidents.source_events import DECISION
from brain.incidents.tables import decisions, recent, windows
from brain.kit.sql import chunks, insert_into, insert_missing_tuples
from brain.text import clip_text

AGENT_CHARACTERS = 200
"""Characters of an agent's id that are kept, for the index over it."""
MOST = 100
"""Decisions that one incident keeps."""
LATE = 7 * 86_400.0
"""Seconds after an event of an incident up to which decisions from before it are added."""
_OF_ONE_BATCH = 50
"""Decisions of one agent that are kept aside from one batch of events: the last ones."""
_RECENT = tuple(column.name for column in recent.columns)
"""What `_row` gives, by its names in the database."""


class Evidence:
    """Decisions in one transaction; `window` is how many seconds before an event its agents' decisions count."""

    def __init__(self, db: Connection, window: float) -> None:
        self._db = db
        self._window = window
        self._counts: dict[str, int] = {}

    def remember(self, events: Sequence[tuple[Event, str]]) -> None:
        """Keep the decisions among these events (each with its correlation id), and delete those before the window."""
        kept: list[dict[str, Any]] = []
        agents: Counter[str] = Counter()
        for event, correlation_id in reversed(events):
            if event.type == DECISION:
                row = _row(event, correlation_id)
                agents[row["agent"]] += 1
                if agents[row["agent"]] <= _OF_ONE_BATCH:
                    kept.append(row)
        if kept:
            insert_missing_tuples(self._db, recent, _RECENT, [tuple(row.values()) for row in kept])
            oldest = min(row["at"] for row in kept)
            self._db.execute(delete(recent).where(recent.c.at < oldest - self._window))
            self._add_late(kept, oldest)

    def gather(self, incident: Incident, agents: Sequence[str], at: float) -> None:
        """Give the incident the decisions of its correlation id, and of these agents in the window before `at`."""
        room = MOST - self._count(incident.id)
        if room <= 0:
            return
        self._watch(incident, agents, at)
        names = [clip_text(agent, AGENT_CHARACTERS) for agent in agents]
        before = and_(recent.c.agent.in_(names), recent.c.at.between(at - self._window, at))
        columns = [column.label(column.key) for column in recent.c]
        found = self._db.execute(
            select(*columns)
            .where(or_(recent.c.correlation_id == incident.correlation_id, before))
            .order_by(recent.c.at.desc(), recent.c.event_id)
            .limit(room)
        ).all()
        self._give(incident.id, [dict(row._mapping) for row in found])

    def add(self, incident: Incident, event: Event) -> None:
        """Give the incident one decision of its correlation id."""
        if self._count(incident.id) < MOST:
            self._give(incident.id, [_row(event, incident.correlation_id)])

    def _watch(self, incident: Incident, agents: Sequence[str], at: float) -> None:
        """Note whose decisions before `at` belong to the incident."""
        rows = [{"agent": clip_text(agent, AGENT_CHARACTERS), "at": at, "incident": incident.id} for agent in agents]
        if not rows:
            return
        self._db.execute(insert_into(self._db, windows).on_conflict_do_nothing(), rows)
        self._db.execute(delete(windows).where(windows.c.at < at - LATE))

    def _add_late(self, rows: Sequence[dict[str, Any]], oldest: float) -> None:
        """Give decisions to the incidents whose window they lie in."""
        columns = (windows.c.agent, windows.c.at, windows.c.incident)
        for agents in chunks(sorted({row["agent"] for row in rows})):
            watching = select(*columns).where(windows.c.agent.in_(agents), windows.c.at >= oldest)
            for agent, at, incident in self._db.execute(watching).all():
                late = [row for row in rows if row["agent"] == agent and at - self._window <= row["at"] <= at]
                self._give(incident, late[: max(0, MOST - self._count(incident))])

    def _give(self, incident: str, rows: Sequence[Mapping[str, Any]]) -> None:
        if not rows:
            return
        values = [
            {"incident": incident, **{name: value for name, value in row.items() if name in decisions.c}}
            for row in rows
        ]
        self._db.execute(insert_into(self._db, decisions).on_conflict_do_nothing(), values)
        self._counts.pop(incident, None)

    def _count(self, incident: str) -> int:
        if incident not in self._counts:
            mine = select(func.count()).select_from(decisions).where(decisions.c.incident == incident)
            self._counts[incident] = self._db.execute(mine).scalar_one()
        return self._counts[incident]


def _row(event: Event, correlation_id: str) -> dict[str, Any]:
    payload = event.payload
    rule = payload.get("rule_id")
    return {
        "event_id": event.id,
        "correlation_id": correlation_id,
        "agent": clip_text(payload.get("agent_id"), AGENT_CHARACTERS),
        "action": clip_text(payload.get("action")),
        "resource": clip_text(payload.get("resource")),
        "effect": clip_text(payload.get("effect"), 20),
        "rule_id": None if rule is None else clip_text(rule),
        "reason": clip_text(payload.get("reason")),
        "at": event.timestamp,
    }
