"""Whether a notifier's service takes our messages: one event when it does not any more, one when it does again."""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa

from brain.alerting.events import CONNECTION_LOST, CONNECTION_RESTORED
from brain.alerting.tables import CONNECTIONS, CONSUMER
from brain.connectors.sender import NotYet, TryLater
from brain.kit.outbox import OutboxRow, put_event
from brain.kit.sql import insert_into

LONG = 600.0
"""Seconds that a message waits for its service before that is a lost connection, whatever the reason."""
_TRIES = 3
"""Tries before that: a message may have waited long for us, while we did not run."""


def note_lost(db: sa.Connection, row: OutboxRow, error: Exception, now: float) -> None:
    """Note that somebody must look at the notifier's connection, if the error or the wait says so.

    Announced when it is news.
    """
    if not isinstance(error, TryLater) or not (error.about_connection or _waits_long(row, error, now)):
        return
    words = str(error)[:1000]
    new = insert_into(db, CONNECTIONS).on_conflict_do_nothing()
    if db.execute(new, {"notifier": row.channel, "since": now, "error": words}).rowcount == 1:
        event = CONNECTION_LOST.event({"notifier": row.channel, "message": words, "severity": "HIGH"})
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


def _waits_long(row: OutboxRow, error: TryLater, now: float) -> bool:
    return not isinstance(error, NotYet) and row.attempts >= _TRIES and now - row.created_at >= LONG
