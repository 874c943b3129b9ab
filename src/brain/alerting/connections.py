"""Whether a notifier's service knows our account: one event when it does not any more, one when it does again."""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa

from brain.alerting.events import CONNECTION_LOST, CONNECTION_RESTORED
from brain.alerting.tables import CONNECTIONS, CONSUMER
from brain.connectors.sender import TryLater
from brain.kit.outbox import put_event
from brain.kit.sql import insert_into


def note_lost(db: sa.Connection, notifier: str, error: Exception, now: float) -> None:
    """Note that somebody must look at the notifier's connection, if that is the error; announced when it is news."""
    if not isinstance(error, TryLater) or not error.about_connection:
        return
    words = str(error)[:1000]
    new = insert_into(db, CONNECTIONS).on_conflict_do_nothing()
    if db.execute(new, {"notifier": notifier, "since": now, "error": words}).rowcount == 1:
        event = CONNECTION_LOST.event({"notifier": notifier, "message": words, "severity": "HIGH"})
        put_event(db, CONSUMER, event, now)


def note_found(db: sa.Connection, notifier: str, now: float) -> None:
    """Note that the service has accepted a message; announced when it had not known our account before."""
    mine = CONNECTIONS.c.notifier == notifier
    since = db.execute(sa.select(CONNECTIONS.c.since).where(mine)).scalar()
    if since is not None and db.execute(sa.delete(CONNECTIONS).where(mine)).rowcount == 1:
        event = CONNECTION_RESTORED.event({"notifier": notifier, "duration_seconds": max(0.0, now - since)})
        put_event(db, CONSUMER, event, now)


def forget_removed(db: sa.Connection, notifiers: Collection[str], now: float) -> None:
    """End what was noted of notifiers that are set up no longer: nobody could mend them."""
    for name in db.execute(sa.select(CONNECTIONS.c.notifier)).scalars().all():
        if name not in notifiers:
            note_found(db, name, now)
