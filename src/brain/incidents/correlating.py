"""Which correlation id each event belongs to, looked up for a batch at once."""

from __future__ import annotations

from collections.abc import Sequence, Set

from sqlalchemy import Connection, select

from brain.charter import Event
from brain.incidents import tables
from brain.incidents.models import CORRELATION_CHARACTERS, correlation_of
from brain.kit.sql import one_of
from brain.text import clip_text

__all__ = ["correlation_ids"]


def correlation_ids(db: Connection, events: Sequence[Event]) -> list[str]:
    """The correlation id that each of these events, in stream order, belongs to; clipped."""
    wanted = {
        cause
        for event in events
        if not event.correlation_id and isinstance(cause := event.meta.get("causation_id"), str)
    }
    if not wanted:
        return [clip_text(event.correlation_id or event.id, CORRELATION_CHARACTERS) for event in events]
    causes = _causes(db, wanted)
    return [
        causes.setdefault(event.id, clip_text(correlation_of(event, causes), CORRELATION_CHARACTERS))
        for event in events
    ]


def _causes(db: Connection, event_ids: Set[str]) -> dict[str, str]:
    """The correlation ids of the incidents that these events are linked to."""
    links, incidents = tables.links, tables.incidents
    rows = db.execute(
        select(links.c.event_id, incidents.c.correlation_id)
        .join(incidents, incidents.c.id == links.c.incident)
        .where(one_of(db, links.c.event_id, event_ids))
    )
    return {row.event_id: row.correlation_id for row in rows}
