"""Which tickets in other systems an incident has, and the rows of the outbox that bring them up to date.

A row says only "look at this incident's ticket": what it then sends is read from the incident as it is at that time.
So a thousand changes while a system is down are one comment, and a row that comes twice finds nothing to do.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from sqlalchemy import Connection, insert, select, update

from brain.charter import IncidentState as State
from brain.incidents import tables
from brain.incidents.announcing import CONSUMER
from brain.kit.outbox import cancel, put


def new_mirrors(db: Connection, incident: str, systems: Sequence[str]) -> None:
    """A ticket to be created in each system."""
    for system in systems:
        db.execute(
            insert(tables.mirrors).values(
                incident=incident,
                system=system,
                generation=1,
                shown=State.NEW.value,
                pending=False,
                noted=0,
                noted_at=0.0,
                polled_at=0.0,
            )
        )


def enqueue(
    db: Connection, incident: str, now: float, comment_seconds: float, *, urgent: bool, system: str | None = None
) -> None:
    """Put up the incident's tickets (or that in one system) to be brought up to date.

    `urgent`: at once; else when the next comment is due, `comment_seconds` after the last. A ticket whose
    row still waits needs no second one; an urgent change takes the place of one that waits for its time.
    """
    table = tables.mirrors
    mirrors = select(table).where(table.c.incident == incident)
    for mirror in db.execute(mirrors if system is None else mirrors.where(table.c.system == system)).all():
        if mirror.pending and not urgent:
            continue
        if mirror.pending:
            cancel(db, consumer=CONSUMER, channel=mirror.system, key=incident, now=now)
        put(
            db,
            consumer=CONSUMER,
            channel=mirror.system,
            key=incident,
            dedup=f"ticket {incident} {secrets.token_hex(8)}",
            body={"incident": incident},
            now=now,
            due_at=now if urgent else max(now, mirror.noted_at + comment_seconds),
        )
        mine = (table.c.incident == incident) & (table.c.system == mirror.system)
        db.execute(update(table).where(mine).values(pending=True))
