"""The tickets that an incident has in other systems, and the rows of the outbox that update them.

A row says only which ticket to update. The update is worked out from the incident as it is when the row is sent. So a
thousand changes while a system is down are one comment, and a row that is sent twice finds nothing to do.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable

from sqlalchemy import Connection, insert, select, update

from brain.charter import IncidentState
from brain.incidents import tables
from brain.incidents.models import CONSUMER
from brain.kit.outbox import Message, OutboxState, cancel, outbox, put
from brain.lifecycle import OPEN_INCIDENT
from brain.times import due_after

REFUSED_FOR = 14 * 86_400.0
"""Seconds after the last change of an incident that is over for which a refused update of its ticket is tried again."""


def add_tickets(db: Connection, incident: str, systems: Iterable[str]) -> None:
    """Note that the incident needs a ticket in each of these systems."""
    for system in systems:
        db.execute(
            insert(tables.mirrors).values(
                incident=incident,
                system=system,
                generation=1,
                shown=IncidentState.NEW.value,
                queued=False,
                commented=0,
                commented_at=0.0,
                polled_at=0.0,
            )
        )


def enqueue(
    db: Connection, incident: str, now: float, comment_seconds: float, *, urgent: bool, system: str | None = None
) -> None:
    """Put the incident's tickets (or the one in this system) into the outbox, to be updated.

    `urgent`: at once; else when the next comment is due, `comment_seconds` after the last. A ticket whose row waits
    needs no second row; an urgent row takes the place of one that waits for its time.
    """
    table = tables.mirrors
    mirrors = select(table).where(table.c.incident == incident, ~table.c.ended)
    for mirror in db.execute(mirrors if system is None else mirrors.where(table.c.system == system)).all():
        if mirror.queued and not urgent:
            continue
        if mirror.queued:
            cancel(db, consumer=CONSUMER, channel=mirror.system, key=incident, now=now)
        put(
            db,
            Message(
                consumer=CONSUMER,
                channel=mirror.system,
                key=incident,
                dedup=f"ticket {incident} {secrets.token_hex(8)}",
                body={"incident": incident},
                due_at=now if urgent else max(now, due_after(mirror.commented_at, comment_seconds, now)),
            ),
            now,
        )
        mine = (table.c.incident == incident) & (table.c.system == mirror.system)
        db.execute(update(table).where(mine).values(queued=True))


def enqueue_refused(db: Connection, now: float, systems: Collection[str]) -> int:
    """Put the tickets whose last update was refused into the outbox once more; how many they are.

    What refused them may be mended: a permission, a workflow, a field that is not demanded any more.
    """
    mirrors, incidents, rows = tables.mirrors, tables.incidents, outbox
    is_fresh = incidents.c.updated_at >= now - REFUSED_FOR
    matters = incidents.c.state.in_([state.value for state in OPEN_INCIDENT]) | is_fresh
    of_ticket = (
        (rows.c.consumer == CONSUMER) & (rows.c.channel == mirrors.c.system) & (rows.c.key == mirrors.c.incident)
    )
    last = select(rows.c.state).where(of_ticket).order_by(rows.c.id.desc()).limit(1).correlate(mirrors)
    refused = last.scalar_subquery() == OutboxState.REFUSED.value
    found = db.execute(
        select(mirrors.c.incident, mirrors.c.system)
        .join(incidents, incidents.c.id == mirrors.c.incident)
        .where(mirrors.c.system.in_(list(systems)), mirrors.c.error.is_not(None), ~mirrors.c.ended, matters, refused)
    ).all()
    for incident, system in found:
        enqueue(db, incident, now, 0.0, urgent=True, system=system)
    return len(found)
