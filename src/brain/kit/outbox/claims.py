"""Which row is next, who sends it, and what became of it: single statements, safe among several processes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, and_, case, func, or_, select, update

from brain.kit.outbox.table import OutboxRow, OutboxState, kept_error, outbox, row_of

SKEW = 5.0
"""Seconds by which the clocks of two machines may differ without any notice."""
_CANDIDATES = 8  # rows looked at when others take the first ones away


_earlier = outbox.alias("earlier")
_HELD_BACK = (
    select(_earlier.c.id)
    .where(
        _earlier.c.consumer == outbox.c.consumer,
        _earlier.c.channel == outbox.c.channel,
        _earlier.c.state == OutboxState.WAITING.value,
        _earlier.c.key == outbox.c.key,
        _earlier.c.id < outbox.c.id,
    )
    .correlate(outbox)
    .exists()
)
"""An earlier row of the same key waits."""


def due_channels(db: Connection, consumer: str) -> dict[str, float]:
    """Each channel with rows that wait, and the Unix time from which the first of them may be sent."""
    ready = func.min(func.coalesce(outbox.c.claimed_until, outbox.c.due_at)).label("ready")
    found = db.execute(
        select(outbox.c.channel, ready)
        .where(outbox.c.consumer == consumer, outbox.c.state == OutboxState.WAITING.value, ~_HELD_BACK)
        .group_by(outbox.c.channel)
    )
    return {row.channel: row.ready for row in found}


def claim(db: Connection, consumer: str, channel: str, token: str, now: float, lease: float) -> OutboxRow | None:
    """Take the next row that is due, for `lease` seconds, under `token`; None when there is none.

    A row is next when no earlier one of its key waits. A claim that ran out (its process died) is taken over.
    """
    free = or_(outbox.c.claimed_until.is_(None), outbox.c.claimed_until <= now)
    candidates = db.execute(
        select(outbox)
        .where(
            outbox.c.consumer == consumer,
            outbox.c.channel == channel,
            outbox.c.state == OutboxState.WAITING.value,
            outbox.c.due_at <= now,
            free,
            ~_HELD_BACK,
        )
        .order_by(outbox.c.due_at, outbox.c.id)
        .limit(_CANDIDATES)
    ).all()
    for found in candidates:
        taken = db.execute(
            update(outbox)
            .where(outbox.c.id == found.id, outbox.c.state == OutboxState.WAITING.value, free)
            .values(claimed_by=token, claimed_until=now + lease, attempts=outbox.c.attempts + 1)
        )
        if taken.rowcount == 1:
            return row_of(found)
    return None


def bound_times(db: Connection, consumer: str, now: float, longest: float, lease: float) -> int:
    """Bring nearer what no clock like this one has set: it was set back since, or another machine's is ahead.

    A row is not put after now, waits for its next try at most `longest` seconds, and belongs to its sender for at most
    `lease`. How many were changed.
    """
    mine = and_(outbox.c.consumer == consumer, outbox.c.state == OutboxState.WAITING.value)
    put_ahead = outbox.c.created_at > now + SKEW
    late = and_(outbox.c.attempts > 0, outbox.c.due_at > now + longest + SKEW)
    held = outbox.c.claimed_until > now + lease + SKEW
    if db.execute(select(outbox.c.id).where(mine, or_(put_ahead, late, held)).limit(1)).first() is None:
        return 0
    waits = case((outbox.c.attempts > 0, 0.0), else_=outbox.c.due_at - outbox.c.created_at)
    ahead = db.execute(update(outbox).where(mine, put_ahead).values(created_at=now, due_at=now + waits)).rowcount
    again = db.execute(update(outbox).where(mine, late).values(due_at=now)).rowcount
    return ahead + again + db.execute(update(outbox).where(mine, held).values(claimed_until=now + lease)).rowcount


def mark_sent(db: Connection, row: OutboxRow, token: str, answer: Mapping[str, Any], now: float) -> bool:
    """Note that the service accepted the row; False when the claim was lost meanwhile."""
    return _settle(db, row, token, {"state": OutboxState.SENT.value, "answer": dict(answer), "sent_at": now})


def mark_refused(db: Connection, row: OutboxRow, token: str, error: str) -> bool:
    """Note that the service will never accept the row; False when the claim was lost meanwhile."""
    return _settle(db, row, token, {"state": OutboxState.REFUSED.value, "last_error": kept_error(error)})


def postpone(db: Connection, row: OutboxRow, token: str, error: str, due_at: float) -> bool:
    """Give the row back, to be tried again from `due_at`; False when the claim was lost meanwhile."""
    return _settle(db, row, token, {"due_at": due_at, "last_error": kept_error(error)})


def _settle(db: Connection, row: OutboxRow, token: str, values: Mapping[str, object]) -> bool:
    mine = and_(outbox.c.id == row.id, outbox.c.claimed_by == token, outbox.c.state == OutboxState.WAITING.value)
    changed = db.execute(update(outbox).where(mine).values(claimed_by=None, claimed_until=None, **values))
    return changed.rowcount == 1
