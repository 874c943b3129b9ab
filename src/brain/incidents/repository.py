"""Reads of the tables of incidents, and the documents that are shown, in the shapes of http_models.

Documents are JSON values: lists have the newest first, times are in Unix seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import Column, ColumnElement, Connection, Engine, Row, Select, Table, literal, select, tuple_

from brain.charter import IncidentState
from brain.errors import InvalidInput
from brain.incidents import tables
from brain.incidents.models import CORRELATION_CHARACTERS, Incident
from brain.kit.database import readable_rows
from brain.text import clip_text
from brain.typed import ready

if TYPE_CHECKING:
    from pydantic import BaseModel

Document = dict[str, Any]

_LARGEST = 2**31 - 1  # of the databases' integers


def find_incident(db: Connection, id: str) -> Incident | None:
    """The incident with that id, locked until the transaction ends."""
    row = db.execute(select(tables.incidents).where(tables.incidents.c.id == id).with_for_update()).first()
    return None if row is None else incident_of(row)


def find_id(engine: Engine, number: int) -> str | None:
    """The id of the incident with that number, or None."""
    query = select(tables.incidents.c.id).where(tables.incidents.c.number == min(number, _LARGEST))
    with engine.begin() as db:
        return db.execute(query).scalar()


def incident_of(row: Row[Any]) -> Incident:
    """The incident in a row of its table."""
    return msgspec.convert(row, ready(Incident), from_attributes=True)


def list_documents(
    engine: Engine,
    states: Sequence[IncidentState],
    correlation_id: str | None,
    limit: int,
    before: str | None = None,
) -> list[Document]:
    """The IncidentSummary of each incident in these states and of this correlation id, the latest opened first.

    At most `limit`; with `before` those after the incident with that id. Raises InvalidInput when there is none.
    """
    table = tables.incidents
    query = select(table).limit(limit)
    if correlation_id is not None:
        query = query.where(table.c.correlation_id == clip_text(correlation_id, CORRELATION_CHARACTERS))
    with engine.begin() as db:
        if before is not None:
            query = query.where(tuple_(table.c.opened_at, table.c.number) < _place(db, before))
        # One query for each state: the database would sort all rows of several to find the newest.
        wanted = [table.c.state == state.value for state in dict.fromkeys(states)]
        found = [
            readable_rows(db, _newest_first(each), table.c.id, incident_of)
            for each in ([query.where(state) for state in wanted] or [query])
        ]
        incidents = sorted(chain(*found), key=lambda one: (one.opened_at, one.number), reverse=True)[:limit]
        tickets = _tickets(db, [incident.id for incident in incidents])
    return [{**_summary(incident), "mirrors": tickets.get(incident.id, [])} for incident in incidents]


def _newest_first(query: Select[Any]) -> Select[Any]:
    return query.order_by(tables.incidents.c.opened_at.desc(), tables.incidents.c.number.desc())


def _place(db: Connection, id: str) -> Any:
    """Where the incident stands in the list."""
    table = tables.incidents
    row = db.execute(select(table.c.opened_at, table.c.number).where(table.c.id == clip_text(id))).one_or_none()
    if row is None:
        raise InvalidInput(f"before: there is no incident {id[:100]!r}; give the id of the last one that you have")
    return tuple_(literal(row.opened_at), literal(row.number))


def find_document(engine: Engine, id: str) -> Document | None:
    """The IncidentView of one incident, or None."""
    with engine.begin() as db:
        row = db.execute(select(tables.incidents).where(tables.incidents.c.id == clip_text(id))).first()
        if row is None:
            return None
        found = incident_of(row)
        decisions, health = _decisions(db, found), _health(db, found)
        agents = {decision["agent"] for decision in decisions} | {event["module"] for event in health}
        return {
            **_summary(found),
            "mirrors": _tickets(db, [found.id]).get(found.id, []),
            "threats": _threats(db, found),
            "health": health,
            "agents": sorted(agents - {""}),
            "timeline": _timeline(db, found),
            "events": _events(db, found),
            "decisions": decisions,
        }


def _summary(incident: Incident) -> Document:
    values = {name: getattr(incident, name) for name in _shapes().IncidentSummary.model_fields if name != "mirrors"}
    return {**values, "allowed_states": list(incident.allowed_states)}


def _timeline(db: Connection, incident: Incident) -> list[Document]:
    table = tables.timeline
    query = select(*_columns(table, _shapes().TimelineEntry)).where(table.c.incident == incident.id)
    return _documents(db, query.order_by(table.c.id.desc()))


def _events(db: Connection, incident: Incident) -> list[Document]:
    table = tables.links
    query = select(*_columns(table, _shapes().LinkedEvent, id=table.c.event_id)).where(table.c.incident == incident.id)
    return _documents(db, query.order_by(table.c.at.desc(), table.c.event_id))


def _threats(db: Connection, incident: Incident) -> list[Document]:
    table = tables.threats
    mine = table.c.correlation_id == incident.correlation_id
    query = select(*_columns(table, _shapes().IncidentThreat, id=table.c.threat)).where(mine)
    return _documents(db, query.order_by(table.c.detected_at.desc(), table.c.threat))


def _health(db: Connection, incident: Incident) -> list[Document]:
    table = tables.health
    mine = table.c.correlation_id == incident.correlation_id
    query = select(*_columns(table, _shapes().IncidentHealth)).where(mine)
    return _documents(db, query.order_by(table.c.at.desc(), table.c.number.desc()))


def _decisions(db: Connection, incident: Incident) -> list[Document]:
    table = tables.decisions
    query = select(*_columns(table, _shapes().IncidentDecision)).where(table.c.incident == incident.id)
    found = _documents(db, query.order_by(table.c.at.desc(), table.c.event_id))
    return [{**decision, "proof": None} for decision in found]


def _tickets(db: Connection, incidents: Sequence[str]) -> dict[str, list[Document]]:
    """The tickets of these incidents, by the incident's id."""
    table = tables.mirrors
    columns = _columns(table, _shapes().TicketView, key=table.c.ticket_key, state=table.c.status)
    query = (
        select(table.c.incident, *columns)
        .where(table.c.incident.in_(incidents))
        .order_by(table.c.incident, table.c.system)
    )
    found: dict[str, list[Document]] = {}
    for ticket in _documents(db, query):
        found.setdefault(ticket.pop("incident"), []).append(ticket)
    return found


def _shapes() -> Any:
    """The models of the API, which are made when something is first shown: a server starts without them."""
    from brain.incidents import http_models

    return http_models


def _columns(table: Table, shape: type[BaseModel], **renamed: Column[Any]) -> list[ColumnElement[Any]]:
    """The columns for the fields of a shape; fields that the table has not are filled in by the caller."""
    columns = {**dict(table.c.items()), **renamed}
    return [columns[name].label(name) for name in shape.model_fields if name in columns]


def _documents(db: Connection, query: Any) -> list[Document]:
    return [{str(name): value for name, value in row._mapping.items()} for row in db.execute(query)]
