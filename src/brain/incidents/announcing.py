"""Events of our own, written to the outbox in the transaction that they tell of and published after its commit.

An event's id follows from the incident, its version and the event's type: published again after a crash, it is the
same event and readers drop it as a duplicate. `now` is the Unix time from which it may be published.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, cast

from sqlalchemy import Connection

from brain.charter import VERSION, Event, EventType
from brain.charter import IncidentState as State
from brain.incidents.events import CLOSED, OPENED, REOPENED, RESOLVED, UPDATED, AboutIncident
from brain.incidents.models import Incident
from brain.kit.outbox import put

CONSUMER = "incidents"
STREAM = "stream"
"""The channel of the outbox whose rows are events to be published."""


def announce_opened(
    db: Connection, now: float, incident: Incident, threats: list[str], reason: str, cause: str | None
) -> None:
    """Publish `incident.opened` after the commit."""
    payload = {"reason": reason, "previous": incident.previous, "opened_at": incident.opened_at}
    _announce(db, now, OPENED, incident, threats, payload, incident.opened_at, cause)


def announce_move(
    db: Connection,
    now: float,
    old: Incident,
    new: Incident,
    threats: list[str],
    reason: str,
    by: str | None,
    cause: str | None,
) -> None:
    """Publish what the move is: resolved, reopened, closed, or updated."""
    at = new.updated_at
    if new.state is State.RESOLVED:
        more = {"resolved_at": at, "duration_seconds": at - new.opened_at}
        _announce(db, now, RESOLVED, new, threats, {"reason": reason, "by": by, **more}, at, cause)
    elif old.state is State.RESOLVED and new.open:
        _announce(db, now, REOPENED, new, threats, {"reason": reason, "by": by, "reopened_at": at}, at, cause)
    elif new.state is State.CLOSED:
        _announce(db, now, CLOSED, new, threats, {"reason": reason, "by": by, "closed_at": at}, at, cause)
    else:
        announce_update(db, now, new, threats, {"state": (old.state, new.state)}, reason, by, cause)


def announce_update(
    db: Connection,
    now: float,
    incident: Incident,
    threats: list[str],
    changes: Mapping[str, tuple[str | None, str | None]],
    reason: str,
    by: str | None,
    cause: str | None,
) -> None:
    """Publish `incident.updated`; `changes` has the old and the new value by field."""
    told = {field: {"old": old, "new": new} for field, (old, new) in changes.items()}
    at = incident.updated_at
    payload = {"changes": told, "reason": reason, "by": by, "updated_at": at}
    _announce(db, now, UPDATED, incident, threats, payload, at, cause)


def _announce(
    db: Connection,
    now: float,
    declared: EventType[Any],
    incident: Incident,
    threats: list[str],
    more: Mapping[str, Any],
    at: float,
    cause: str | None,
) -> None:
    about: AboutIncident = {
        "incident_id": incident.id,
        "number": incident.number,
        "title": incident.title,
        "severity": incident.severity,
        "state": incident.state,
        "owner": incident.owner,
        "threats": threats,
        "summary": f"incident {incident.number} is {incident.state}: {incident.title}",
    }
    name = hashlib.sha256(f"{incident.id} {incident.version} {declared.name}".encode()).hexdigest()[:16]
    meta: dict[str, Any] = {"correlation_id": incident.story, "version": VERSION}
    event = Event(
        id=f"evt_{declared.module}_{int(at * 1000)}_{name}",
        type=declared.name,
        source=declared.source,
        target=incident.id,
        timestamp=at,
        payload=declared.check(cast("dict[str, Any]", {**about, **more})),
        meta={**meta, "causation_id": cause} if cause else meta,
    )
    put(
        db,
        consumer=CONSUMER,
        channel=STREAM,
        key=incident.id,
        dedup=event.id,
        body={"event": event.encode().decode()},
        now=now,
    )
