"""Where `brain metrics verify` recounts from: the stream, or the audit log."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, RowMapping, Select, func, select

from brain.audit.tables import entries
from brain.charter import Event
from brain.errors import Conflict, EnvelopeError, NotFound, Unavailable
from brain.kit.projection import POSITIONS, REMEMBERED, SEEN
from brain.kit.sql import chunks
from brain.logs import Log
from brain.metrics import series, tables
from brain.metrics.accumulate import bucket_of, text
from brain.metrics.tasks import GROUP
from brain.stream.backends import Backend, position_key

log = Log("brain.metrics")

_PAGE = 2000


class StreamSource:
    """The events that the stream still keeps, up to where the projection stood in `stored`.

    Raises NotFound when the projection has not begun.
    """

    same_positions = True

    def __init__(self, backend: Backend, stored: Connection) -> None:
        self._backend = backend
        self._until = _projected_to(stored)
        self._origin = stored.execute(select(tables.origin.c.event_id)).scalar_one_or_none()
        self._whole = False
        oldest = backend.read("", 1, GROUP)
        self._from = position_key(oldest[0].position if oldest else backend.tail())

    def events(self) -> Iterator[tuple[str, Event]]:
        """Every event once, as the projection takes them: one that comes again within REMEMBERED is left out."""
        until = position_key(self._until)
        seen: dict[str, None] = {}
        after = ""
        while entries := self._backend.read(after, _PAGE, GROUP):
            for position, data in entries:
                if position_key(position) > until:
                    return
                event = _decoded(position, data)
                if event is not None and event.id not in seen:
                    self._whole = self._whole or text(event.id) == self._origin
                    seen[event.id] = None
                    yield position, event
            while len(seen) > REMEMBERED:
                del seen[next(iter(seen))]
            after = entries[-1].position

    def has_bucket(self, step: int, bucket: int, first_position: str) -> bool:
        """Whether the stream still holds the first event that the bucket depends on."""
        return self._has(first_position)

    def has_threat(self, row: RowMapping) -> bool:
        """Whether the stream still holds the threat's first event."""
        return self._has(row["first_position"])

    def has_health_event(self, row: RowMapping) -> bool:
        """Whether the stream still holds the health event."""
        return self._has(row["position"])

    def _has(self, position: str) -> bool:
        return self._whole or position_key(position) >= self._from


class AuditSource:
    """The events of the audit log, from the first to the last that is counted in `stored`; both in its database.

    Payloads that retention has deleted cannot be counted again: what they were part of is left out of the comparison.
    Raises NotFound when nothing is counted, Conflict when the log begins later than the metrics, and Unavailable when
    it has not come as far yet.
    """

    same_positions = False

    def __init__(self, stored: Connection) -> None:
        _projected_to(stored)
        self._stored = stored
        self._first = self._index(select(tables.origin.c.event_id))
        newest = select(func.max(SEEN.c.number)).where(SEEN.c.name == GROUP).scalar_subquery()
        self._last = self._index(select(SEEN.c.event_id).where(SEEN.c.name == GROUP, SEEN.c.number == newest))
        if self._first is None:
            raise Conflict("the audit log does not go back to the first counted event; use --source stream")
        if self._last is None:
            raise Unavailable("the audit log has not come as far as the metrics yet; try again in a moment")
        self._deleted_buckets: set[tuple[int, int]] = set()
        self._deleted_threats: set[str] = set()  # as the log keeps them
        self._deleted_ids: set[str] = set()

    def _index(self, ids: Select[tuple[str]]) -> int | None:
        """The index of the last of these events in the log, None when one of them is not there."""
        wanted = list(self._stored.execute(ids).scalars())
        found: dict[str, int] = {}
        for some in chunks(wanted):
            query = select(entries.c.event_id, func.min(entries.c.idx)).where(entries.c.event_id.in_(some))
            found |= {row[0]: row[1] for row in self._stored.execute(query.group_by(entries.c.event_id))}
        return max(found.values()) if found and len(found) == len(wanted) else None

    def events(self) -> Iterator[tuple[str, Event]]:
        """Every entry's event, with the entry's index as its position."""
        index = self._first
        assert index is not None
        assert self._last is not None
        table = entries.c
        columns = (table.idx, table.payload, table.at, table.type, table.event_id, table.threat)
        while index <= self._last:
            page = select(*columns).where(table.idx >= index, table.idx < index + _PAGE, table.idx <= self._last)
            for row in self._stored.execute(page.order_by(table.idx)):
                if row.payload is None:
                    self._note_deleted(row.at, row.type, row.event_id, row.threat)
                    continue
                event = _decoded(str(row.idx), bytes(row.payload))
                if event is not None:
                    if row.threat in self._deleted_threats:
                        self._deleted_buckets.update(_buckets(event.timestamp))
                    yield str(row.idx), event
            index += _PAGE

    def _note_deleted(self, at: float, kind: str, event_id: str | None, threat: str | None) -> None:
        if kind:  # bytes that were no event were never counted
            self._deleted_buckets.update(_buckets(at))
            if threat is not None:
                self._deleted_threats.add(threat)
            if kind == "immune.event_published" and event_id is not None:
                self._deleted_ids.add(event_id)

    def has_bucket(self, step: int, bucket: int, first_position: str) -> bool:
        """Whether no event of the bucket was deleted."""
        return (step, bucket) not in self._deleted_buckets

    def has_threat(self, row: RowMapping) -> bool:
        """Whether no event of the threat was deleted."""
        return row["threat_id"] not in {text(threat) for threat in self._deleted_threats}

    def has_health_event(self, row: RowMapping) -> bool:
        """Whether the health event was not deleted."""
        return row["event_id"] not in self._deleted_ids


def _buckets(at: float) -> Iterator[tuple[int, int]]:
    yield series.TOTAL, 0
    for step in series.STEPS:
        yield step, bucket_of(at, step)


def _decoded(position: str, data: bytes) -> Event | None:
    try:
        return Event.decode(data)
    except EnvelopeError as error:
        log.warning("stored bytes are not an event", position=position, error=str(error))
        return None


def _projected_to(stored: Connection) -> str:
    """The position up to which events are counted. Raises NotFound when nothing is."""
    position = stored.execute(select(POSITIONS.c.position).where(POSITIONS.c.name == GROUP)).scalar_one_or_none()
    if not position:
        raise NotFound("no metrics have been kept yet; run `brain serve` or `brain worker metrics`")
    return str(position)
