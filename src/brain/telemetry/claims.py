"""Who holds a source: one connection at a time, on whichever server; the row of the source says which.

A connection that comes while another one holds the source waits to see whether that one still sends. If it does, there
are two live connections of one source: the second is refused, and a threat is reported. If it does not, it is taken
over; should it wake and send all the same, the threat is reported then.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from brain.kit.outbox import put_event
from brain.kit.sql import insert_missing
from brain.redaction import redacted_text
from brain.telemetry import announce, tables
from brain.telemetry.plugin import PLUGIN
from brain.telemetry.samples import CLOSED, LIVE, publish_rest

PATIENCE = 2.0
"""Seconds without a sample after which a connection that holds a source may be taken over."""

_NEW: dict[str, Any] = {
    "run": "",
    "seq": 0,
    "connection": "",
    "state": CLOSED,
    "connected_at": 0.0,
    "seen_at": 0.0,
    "measured_at": 0.0,
    "expected": 0.0,
    "samples": 0,
    "lost": 0,
    "repeated": 0,
    "window_at": 0.0,
    "window": "{}",
    "crossed": "{}",
}


@dataclass(frozen=True)
class Wanted:
    """Who wants to hold a source; `run` names one numbering of its samples, `expected` is in seconds."""

    source: str
    run: str
    expected: float
    connection: str

    @classmethod
    def of(cls, source: str, run: str, expected: float) -> Wanted:
        """With a new name for the connection; what looks like a secret in a name is replaced by its mark."""
        source, run = (redacted_text(name)[: tables.NAME] for name in (source, run))
        return cls(source, run, expected, f"con_{secrets.token_hex(12)}")


@dataclass(frozen=True)
class Held:
    """Whether the source is held now, and from which number on; else by whom, and when that one was seen last."""

    mine: bool
    seq: int
    holder: str = ""
    seen_at: float = 0.0


def claim(db: sa.Connection, wanted: Wanted, over: str, now: float) -> Held:
    """Hold the source, unless another connection does; that of the name `over` is taken over."""
    sources = tables.sources
    insert_missing(db, sources, [{"id": wanted.source, **_NEW}])
    row = db.execute(sa.select(sources).where(sources.c.id == wanted.source)).one()
    if row.connection and row.connection != over and now - row.seen_at < PATIENCE:
        return Held(False, row.seq, row.connection, row.seen_at)
    seq = row.seq if wanted.run == row.run else 0
    changes: dict[str, Any] = {"run": wanted.run, "seq": seq, "connection": wanted.connection, "connected_at": now}
    if wanted.run != row.run:
        changes |= {"samples": 0, "lost": 0, "repeated": 0}
    if row.state == CLOSED:
        changes |= {"state": LIVE, "seen_at": now}
    db.execute(sa.update(sources).where(sources.c.id == wanted.source).values(**changes, expected=wanted.expected))
    if row.connection:
        put_event(
            db,
            PLUGIN.name,
            announce.disconnected(wanted.source, row.connection, row.connected_at, "replaced", now),
            now,
        )
    put_event(db, PLUGIN.name, announce.connected(wanted.source, wanted.connection, seq, now), now)
    return Held(True, seq)


def release(db: sa.Connection, wanted: Wanted, reason: str, over: bool, now: float) -> bool:
    """Let go of the source, if it is still held; `over` when it said good-bye, so that it is not missed."""
    sources = tables.sources
    row = db.execute(sa.select(sources).where(sources.c.id == wanted.source)).one_or_none()
    if row is None or row.connection != wanted.connection:
        return False
    if over:
        publish_rest(db, row, now)
    changes = {"connection": "", "state": CLOSED if over else row.state}
    db.execute(sa.update(sources).where(sources.c.id == wanted.source).values(changes))
    event = announce.disconnected(wanted.source, wanted.connection, row.connected_at, reason, now)
    put_event(db, PLUGIN.name, event, now)
    return True
