"""The policy decisions that explain an incident.

Where the decisions of the last minutes are in the stream is kept aside as they come. When an incident opens, it gets
those of its correlation id and those of its agents shortly before. What comes later is added: decisions of its
correlation id, and those of its agents from that time, since what is published and what is written with a change have
no common order on the stream.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, delete, func, insert, or_, select

from brain.charter import Event
from brain.errors import EnvelopeError
from brain.incidents.correlating import correlation_ids
from brain.incidents.evidence_page import EvidencePage, pack_marks, pack_positions
from brain.incidents.models import Incident
from brain.incidents.source_events import DECISION
from brain.incidents.tables import decided, decisions, windows
from brain.kit.sql import insert_into, one_of
from brain.text import clip_text

AGENT_CHARACTERS = 200
"""Characters of an agent's id that are kept, for the index over it."""
MOST = 100
"""Decisions that one incident keeps."""
LATE = 7 * 86_400.0
"""Seconds after an event of an incident up to which decisions from before it are added."""
LOOKED_THROUGH = 1_000_000
"""Of how many decisions, the last ones, is known where they are: looking through them takes some milliseconds."""
_PAGES = 64  # read at once

Reference = tuple[str, Event, str]
"""An event's position, the event, and the correlation id that it belongs to."""


class Evidence:
    """Decisions in one transaction; `window` is how many seconds before an event its agents' decisions count.

    `event_at` gives the bytes of the stream at a position, None where retention deleted them. Raises Unavailable.
    """

    def __init__(self, db: Connection, window: float, event_at: Callable[[str], bytes | None]) -> None:
        self._db = db
        self._window = window
        self._event_at = event_at
        self._counts: dict[str, int] = {}

    def remember(self, events: Sequence[Reference]) -> None:
        """Keep where the decisions among these events are, and forget those before the window."""
        kept = [one for one in events if one[1].type == DECISION]
        if not kept:
            return
        positions, made, belong = zip(*kept, strict=True)
        agents = [_agent(event) for event in made]
        times = [event.timestamp for event in made]
        oldest = min(times)
        number = (self._db.scalar(select(func.max(decided.c.number))) or 0) + len(kept)
        row = {
            "number": number,
            "at": oldest,
            "until": max(times),
            "positions": pack_positions(positions),
            "agents": pack_marks(agents),
            "correlation_ids": pack_marks(belong),
        }
        self._db.execute(insert(decided), row)
        old = or_(decided.c.until < oldest - self._window, decided.c.number < number - LOOKED_THROUGH)
        self._db.execute(delete(decided).where(old))
        self._add_late(made, agents, oldest)

    def gather(self, incident: Incident, agents: Sequence[str], at: float) -> None:
        """Give the incident the decisions of its correlation id, and of these agents in the window before `at`."""
        room = MOST - self._count(incident.id)
        if room <= 0:
            return
        self._watch(incident, agents, at)
        names = [clip_text(agent, AGENT_CHARACTERS) for agent in agents]
        found: list[dict[str, Any]] = []
        for event in self._found(incident.correlation_id, names, at):
            agent, made = _agent(event), event.timestamp
            if (agent in names and at - self._window <= made <= at) or self._belongs(event, incident.correlation_id):
                found.append(_row(event))
                if len(found) >= room:
                    break
        self._give(incident.id, found)

    def add(self, incident: Incident, event: Event) -> None:
        """Give the incident one decision of its correlation id."""
        if self._count(incident.id) < MOST:
            self._give(incident.id, [_row(event)])

    def _found(self, correlation_id: str, agents: Sequence[str], at: float) -> Iterator[Event]:
        """The decisions that may be meant, the last first: of agents only where some are of the window before `at`."""
        newest = select(decided).order_by(decided.c.number.desc()).limit(_PAGES)
        before = None
        while True:
            rows = self._db.execute(newest if before is None else newest.where(decided.c.number < before)).all()
            for _, earliest, latest, *page in rows:
                near = earliest <= at and latest >= at - self._window
                for position in EvidencePage(*page).find(correlation_id, agents if near else ()):
                    event = _decoded(self._event_at(position))
                    if event is not None:
                        yield event
            if len(rows) < _PAGES:
                return
            before = rows[-1].number

    def _belongs(self, event: Event, correlation_id: str) -> bool:
        return correlation_ids(self._db, [event]) == [correlation_id]

    def _watch(self, incident: Incident, agents: Sequence[str], at: float) -> None:
        """Note whose decisions before `at` belong to the incident."""
        rows = [{"agent": clip_text(agent, AGENT_CHARACTERS), "at": at, "incident": incident.id} for agent in agents]
        if not rows:
            return
        self._db.execute(insert_into(self._db, windows).on_conflict_do_nothing(), rows)
        self._db.execute(delete(windows).where(windows.c.at < at - LATE))

    def _add_late(self, made: Sequence[Event], agents: Sequence[str], oldest: float) -> None:
        """Give decisions to the incidents whose window they lie in, the last of each batch first."""
        columns = (windows.c.agent, windows.c.at, windows.c.incident)
        watching = select(*columns).where(one_of(self._db, windows.c.agent, set(agents)), windows.c.at >= oldest)
        for agent, at, incident in self._db.execute(watching).all():
            late = [
                event
                for event, its_agent in zip(made, agents, strict=True)
                if its_agent == agent and at - self._window <= event.timestamp <= at
            ]
            room = max(0, MOST - self._count(incident))
            self._give(incident, [_row(event) for event in late[::-1][:room]])

    def _give(self, incident: str, rows: Sequence[Mapping[str, Any]]) -> None:
        if not rows:
            return
        values = [{"incident": incident, **row} for row in rows]
        self._db.execute(insert_into(self._db, decisions).on_conflict_do_nothing(), values)
        self._counts.pop(incident, None)

    def _count(self, incident: str) -> int:
        if incident not in self._counts:
            mine = select(func.count()).select_from(decisions).where(decisions.c.incident == incident)
            self._counts[incident] = self._db.execute(mine).scalar_one()
        return self._counts[incident]


def _agent(event: Event) -> str:
    return clip_text(event.payload.get("agent_id"), AGENT_CHARACTERS)


def _decoded(data: bytes | None) -> Event | None:
    """The decision in the bytes; None for anything else, such as what another line of the stream has there."""
    try:
        event = Event.decode(data) if data is not None else None
    except EnvelopeError:
        return None
    return event if event is not None and event.type == DECISION else None


def _row(event: Event) -> dict[str, Any]:
    payload = event.payload
    rule = payload.get("rule_id")
    return {
        "event_id": event.id,
        "agent": _agent(event),
        "action": clip_text(payload.get("action")),
        "resource": clip_text(payload.get("resource")),
        "effect": clip_text(payload.get("effect"), 20),
        "rule_id": None if rule is None else clip_text(rule),
        "reason": clip_text(payload.get("reason")),
        "at": event.timestamp,
    }
