"""The events of one transaction, written with the changes that they tell of.

Many of them share a row of the outbox, an event a line, so that a group of a hundred calls is not a hundred rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

import msgspec
import sqlalchemy as sa

from brain.charter import VERSION, Event, EventType
from brain.charter.envelope import mint_id
from brain.charter.principal import whose
from brain.kit.outbox import put_encoded
from brain.missions.plugin import PLUGIN
from brain.redaction import redacted_event
from brain.stream.outbox_rows import encoded

_ROW_BYTES = 1 << 18
"""About how large a row becomes at most; what ships them holds 64 at once."""


P = TypeVar("P")
_SHORT = 2_000
"""Bytes of an event that has no need of all the checks: what is declared and flat and as short as that is right."""


class _Line(msgspec.Struct, gc=False):
    """An event's envelope, of what needs no check."""

    id: str
    type: str
    source: str
    target: str
    timestamp: float
    payload: Any
    meta: dict[str, Any]


_encode = msgspec.json.Encoder().encode


class Announcements:
    """Collects events; `put` writes them in the caller's transaction."""

    def __init__(self, now: float) -> None:
        self.whose: dict[str, Mapping[str, Any]] = {}
        """Who changes a task, by its id, where not all of the transaction is one request's."""
        self._now = now
        self._lines: list[bytes] = []

    def add(
        self, declared: EventType[Any], payload: Mapping[str, Any], target: str, correlation_id: str | None = None
    ) -> None:
        """Announce this. Raises EnvelopeError for a payload that does not fit the declaration, or that is too large."""
        self.add_typed(declared, declared.check(payload), target, correlation_id)

    def add_typed(self, declared: EventType[P], payload: P, target: str, correlation_id: str | None) -> None:
        """As `add`, for a payload that the type checker has seen."""
        who = self.whose[target] if target in self.whose else whose()
        meta = {"correlation_id": correlation_id, "version": VERSION, **who}
        id = mint_id(declared.module, self._now)
        line = _encode(_Line(id, declared.name, declared.source, target, self._now, payload, meta))
        if len(line) > _SHORT or b"null" in line:  # the encoder writes what is no number as null, for one
            event = Event(
                id=id,
                type=declared.name,
                source=declared.source,
                target=target,
                timestamp=self._now,
                payload=cast(dict[str, Any], payload),
                meta=meta,
            )
            line = encoded(event)
        self._lines.append(redacted_event(line))

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
