"""Whether a ticket system knows our account: one event when it does not any more, one when it does again."""

from __future__ import annotations

from sqlalchemy import Connection, delete, select

from brain.connectors.sender import TryLater
from brain.errors import BrainError
from brain.incidents.events import CONNECTION_LOST, CONNECTION_RESTORED
from brain.incidents.models import CONSUMER
from brain.incidents.tables import connections
from brain.kit.outbox import put_event
from brain.kit.sql import insert_into


def note_lost(db: Connection, system: str, error: BrainError, now: float) -> None:
    """Note that the system does not know our account, if that is the error; announced when it is news."""
    if not isinstance(error, TryLater) or not error.about_connection:
        return
    words = str(error)[:1000]
    new = insert_into(db, connections).on_conflict_do_nothing()
    if db.execute(new, {"system": system, "since": now, "error": words}).rowcount == 1:
        event = CONNECTION_LOST.event({"system": system, "message": words, "severity": "HIGH"})
        put_event(db, CONSUMER, event, now)


def note_found(db: Connection, system: str, now: float) -> None:
    """Note that the system has answered us; announced when it had not known our account before."""
    since = db.execute(select(connections.c.since).where(connections.c.system == system)).scalar()
    if since is None:
        return
    if db.execute(delete(connections).where(connections.c.system == system)).rowcount == 1:
        event = CONNECTION_RESTORED.event({"system": system, "duration_seconds": max(0.0, now - since)})
        put_event(db, CONSUMER, event, now)
