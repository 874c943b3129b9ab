"""The texts of a ticket: its title, its description, and comments with the timeline's further entries."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, func, or_, select

from brain.incidents.models import Incident
from brain.incidents.tables import decisions, threats, timeline
from brain.text import clip_text

_COMMENTED_KINDS = ("state", "severity", "owner", "note", "threat", "health", "event")
_LINES = 20
"""Entries of the timeline that one comment shows; it counts the others."""
_DECISIONS = 10


def title(incident: Incident) -> str:
    """The ticket's title, of at most 200 characters."""
    return clip_text(" ".join(f"Incident {incident.number}: {incident.title}".split()), 200)


def description(db: Connection, incident: Incident, upto: int) -> str:
    """The ticket's description, with the timeline up to this entry."""
    parts = [
        f"{incident.title}\nSeverity {incident.severity}, opened {_time(incident.opened_at)} by BRAiN EventStream.\n"
        f"Incident {incident.id}, correlation id {incident.correlation_id}."
    ]
    if incident.previous:
        parts.append(f"The same correlation id had the incident {incident.previous} before.")
    mine = select(threats).where(threats.c.correlation_id == incident.correlation_id)
    if rows := db.execute(mine.order_by(threats.c.detected_at).limit(_LINES)).all():
        parts.append(_list("Threats", [f"{row.threat}: {row.type} from {row.source}, {row.severity}" for row in rows]))
    behind = select(decisions).where(decisions.c.incident == incident.id).order_by(decisions.c.at.desc())
    if rows := db.execute(behind.limit(_DECISIONS)).all():
        parts.append(_list("The last policy decisions", [_decision(row) for row in rows]))
    parts.append(_list("Timeline", _entries(db, incident, 0, upto, None)[0]))
    return "\n\n".join(parts)


def comment(db: Connection, incident: Incident, after: int, upto: int, *, system: str) -> str | None:
    """The entries after one and up to another, for the ticket in this system; None when there are none.

    Entries that came from the system itself are left out.
    """
    lines, more = _entries(db, incident, after, upto, system)
    if not lines:
        return None
    if more:
        lines.append(f"and {more} more")
    return "\n".join(lines)


def last_reason(db: Connection, incident: Incident) -> str:
    """The reason of the incident's last move."""
    mine = (timeline.c.incident == incident.id) & (timeline.c.kind == "state")
    found = db.execute(select(timeline.c.text).where(mine).order_by(timeline.c.id.desc()).limit(1)).scalar()
    return str(found or incident.state)


def _entries(db: Connection, incident: Incident, after: int, upto: int, system: str | None) -> tuple[list[str], int]:
    """The first entries in this range as lines, and how many more there are."""
    where = [timeline.c.incident == incident.id, timeline.c.id > after, timeline.c.id <= upto]
    if system is None:
        where.append(timeline.c.kind != "ticket")
    else:
        where += [timeline.c.kind.in_(_COMMENTED_KINDS), or_(timeline.c.by.is_(None), timeline.c.by != system)]
    total = db.execute(select(func.count()).select_from(timeline).where(*where)).scalar_one()
    rows = db.execute(select(timeline).where(*where).order_by(timeline.c.id).limit(_LINES)).all()
    return [_line(row) for row in rows], total - len(rows)


def _line(row: Row[Any]) -> str:
    by = f" ({row.by})" if row.by else ""
    times = f" [{row._mapping['count']} times]" if row._mapping["count"] > 1 else ""
    return clip_text(f"{_time(row.at)} {row.text}{by}{times}", 500)


def _decision(row: Row[Any]) -> str:
    rule = f" by rule {row.rule_id}" if row.rule_id else ""
    text = f"{_time(row.at)} {row.effect}{rule}: {row.agent} {row.action} {row.resource} ({row.event_id})"
    return clip_text(text, 500)


def _list(heading: str, lines: Sequence[str]) -> str:
    return "\n".join([f"{heading}:", *(f"- {line}" for line in lines)])


def _time(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(seconds))
