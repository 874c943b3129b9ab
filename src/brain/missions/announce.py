"""The events of one transaction, written with the changes that they tell of.

Many of them share a row of the outbox, an event a line, so that a group of a hundred calls is not a hundred rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from brain.charter import VERSION, Event, EventType
from brain.charter.envelope import mint_id
from brain.kit.outbox import put_encoded
from brain.missions.plugin import PLUGIN
from brain.stream.outbox_rows import encoded

_ROW_BYTES = 1 << 18
"""About how large a row becomes at most; what ships them holds 64 at once."""


class Announcements:
    """Collects events; `put` writes them in the caller's transaction."""

    def __init__(self, now: float) -> None:
        self._now = now
        self._lines: list[bytes] = []

    def add(
        self, declared: EventType[Any], payload: Mapping[str, Any], target: str, correlation_id: str | None = None
    ) -> None:
        """Announce this. Raises EnvelopeError for a payload that does not fit the declaration, or that is too large."""
        event = Event(
            id=mint_id(declared.module, self._now),
            type=declared.name,
            source=declared.source,
            target=target,
            timestamp=self._now,
            payload=declared.check(payload),
            meta={"correlation_id": correlation_id, "version": VERSION},
        )
        self._lines.append(encoded(event))

    def put(self, db: sa.Connection) -> None:
        """Write what was collected, in order."""
        lines, rows, size = [], [], 0
        for line in self._lines:
            lines.append(line)
            size += len(line)
            if size >= _ROW_BYTES:
                rows.append(b"\n".join(lines))
                lines, size = [], 0
        if lines:
            rows.append(b"\n".join(lines))
        if rows:
            put_encoded(db, PLUGIN.name, rows, self._now)
        self._lines.clear()
