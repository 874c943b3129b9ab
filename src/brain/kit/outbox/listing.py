"""The rows of the outbox for people to look at."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, select

from brain.kit.outbox.table import OutboxState, outbox


@dataclass(frozen=True, slots=True)
class Listed:
    """One row; without its body and the service's answer, which may be long. Times in Unix seconds."""

    id: int
    consumer: str
    channel: str
    key: str
    dedup: str
    state: str
    attempts: int
    created_at: float
    due_at: float
    sent_at: float | None
    last_error: str | None


def listing(
    db: Connection, *, consumer: str | None = None, state: OutboxState | None = None, limit: int = 1000
) -> list[Listed]:
    """At most `limit` rows, the latest put first."""
    columns = [outbox.c[name] for name in Listed.__slots__]
    query = select(*columns).order_by(outbox.c.id.desc()).limit(limit)
    if consumer is not None:
        query = query.where(outbox.c.consumer == consumer)
    if state is not None:
        query = query.where(outbox.c.state == state.value)
    return [Listed(*row) for row in db.execute(query)]
