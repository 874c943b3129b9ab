"""Incidents as they are shown: plain JSON values, lists with the newest first, times in Unix seconds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Engine, Row, select

from brain.charter import IncidentState as State
from brain.incidents import tables
from brain.incidents.models import STORY, plain
from brain.incidents.transaction import incident_of
from brain.kit.database import readable_rows


def listing(engine: Engine, states: Sequence[State], story: str | None, limit: int) -> list[dict[str, Any]]:
    """Those in these states and of this story (each when given), the latest opened first."""
    table = tables.incidents
    query = select(table).order_by(table.c.opened_at.desc(), table.c.number.desc()).limit(limit)
    if states:
        query = query.where(table.c.state.in_([state.value for state in states]))
    if story is not None:
        query = query.where(table.c.story == plain(story, STORY))
    with engine.begin() as db:
        heads = readable_rows(db, query, table.c.id, _head)
        mirrors = _mirrors(db, [head["id"] for head in heads])
    return [{**head, "mirrors": mirrors.get(head["id"], [])} for head in heads]


def incident(engine: Engine, id: str) -> dict[str, Any] | None:
    """One with all that belongs to it, or None."""
    with engine.begin() as db:
        row = db.execute(select(tables.incidents).where(tables.incidents.c.id == plain(id))).first()
        if row is None:
            return None
        decisions = _decisions(db, row.id)
        threats = _threats(db, row.story)
        health = _health(db, row.story)
        agents = {decision["agent"] for decision in decisions} | {problem["module"] for problem in health}
        return {
            **_head(row),
            "mirrors": _mirrors(db, [row.id]).get(row.id, []),
            "threats": threats,
            "health": health,
            "agents": sorted(agents - {""}),
            "timeline": _timeline(db, row.id),
            "events": _events(db, row.id),
            "decisions": decisions,
        }


def id_of(engine: Engine, number: int) -> str | None:
    """The id of the incident with that number, or None."""
    query = select(tables.incidents.c.id).where(tables.incidents.c.number == min(number, 2**31 - 1))
    with engine.begin() as db:
        return db.execute(query).scalar()


def _head(row: Row[Any]) -> dict[str, Any]:
    found = incident_of(row)
    return {
        "id": found.id,
        "number": found.number,
        "title": found.title,
        "severity": found.severity.value,
        "state": found.state.value,
        "allowed_states": [state.value for state in found.allowed_states],
        "owner": found.owner,
        "correlation_id": found.story,
        "previous": found.previous,
        "opened_at": found.opened_at,
        "updated_at": found.updated_at,
        "resolved_at": found.resolved_at,
    }


def _timeline(db: Connection, id: str) -> list[dict[str, Any]]:
    table = tables.timeline
    rows = db.execute(select(table).where(table.c.incident == id).order_by(table.c.id.desc()))
    names = ("at", "last_at", "kind", "text", "by", "event_id", "count")
    return [{name: row._mapping[name] for name in names} for row in rows]


def _events(db: Connection, id: str) -> list[dict[str, Any]]:
    table = tables.links
    rows = db.execute(select(table).where(table.c.incident == id).order_by(table.c.at.desc(), table.c.event_id))
    return [{"id": row.event_id, "type": row.type, "at": row.at} for row in rows]


def _threats(db: Connection, story: str) -> list[dict[str, Any]]:
    table = tables.threats
    rows = db.execute(select(table).where(table.c.story == story).order_by(table.c.detected_at.desc(), table.c.threat))
    names = ("type", "severity", "source", "status", "detected_at")
    return [{"id": row.threat, **{name: row._mapping[name] for name in names}} for row in rows]


def _health(db: Connection, story: str) -> list[dict[str, Any]]:
    table = tables.health
    rows = db.execute(select(table).where(table.c.story == story).order_by(table.c.at.desc(), table.c.number.desc()))
    return [{name: row._mapping[name] for name in ("number", "kind", "module", "state", "at")} for row in rows]


def _decisions(db: Connection, id: str) -> list[dict[str, Any]]:
    table = tables.decisions
    rows = db.execute(select(table).where(table.c.incident == id).order_by(table.c.at.desc(), table.c.event_id))
    names = ("event_id", "agent", "action", "resource", "effect", "rule_id", "reason", "at")
    return [{**{name: row._mapping[name] for name in names}, "proof": None} for row in rows]


def _mirrors(db: Connection, ids: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    table = tables.mirrors
    found: dict[str, list[dict[str, Any]]] = {}
    for row in db.execute(select(table).where(table.c.incident.in_(ids)).order_by(table.c.system)):
        shown = {name: row._mapping[name] for name in ("system", "key", "url", "error")}
        found.setdefault(row.incident, []).append({**shown, "state": row.remote})
    return found
