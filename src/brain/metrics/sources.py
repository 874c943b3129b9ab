"""Where `brain metrics verify` recounts from: the stream, or the audit log."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sqlalchemy import Connection, RowMapping, select

from brain.charter import Event
from brain.errors import Conflict, EnvelopeError, NotFound, Unavailable
from brain.kit.positions import IDS, POSITIONS
from brain.kit.projection import REMEMBERED
from brain.kit.protocols import AuditedEvent, AuditEvents
from brain.logs import Log
from brain.metrics import series, tables
from brain.metrics.accumulate import bucket_of, text
from brain.metrics.plugin import PLUGIN
from brain.plugins import PluginContext
from brain.stream.backends import Backend, position_key

log: Log = Log("brain.metrics")

GROUP = PLUGIN.group
_PAGE = 2000


class StreamSource:
    """The events that the stream still keeps, up to where the projection stood in `stored`.

    Raises NotFound when the projection has not begun.
    """

    same_positions = True

    def __init__(self, backend: Backend, stored: Connection) -> None:
        self._backend = backend
        self._until = projected_to(stored)
        self._after = ""
        self._seen: dict[str, None] = {}
        self._origin = stored.execute(select(tables.origin.c.event_id)).scalar_one_or_none()
        self._whole = False
        oldest = backend.read("", 1, GROUP)
        self.begins_after: str = _before(oldest[0].position) if oldest else backend.tail()
        """The position after which the stream's events come."""
        self._from = position_key(oldest[0].position if oldest else backend.tail())

    def events(self) -> Iterator[tuple[str, Event]]:
        """Every event once, as the projection takes them: one that comes again within REMEMBERED is left out.

        Called again after `go_on_to`, it gives those that follow.
        """
        until, seen = position_key(self._until), self._seen
        while entries := self._backend.read(self._after, _PAGE, GROUP):
            for position, data in entries:
                if position_key(position) > until:
                    return
                self._after = position
                event = _decoded(position, data)
                if event is not None and event.id not in seen:
                    self._whole = self._whole or text(event.id) == self._origin
                    seen[event.id] = None
                    yield position, event
            while len(seen) > REMEMBERED:
                del seen[next(iter(seen))]

    def go_on_to(self, position: str) -> None:
        """There are events up to this position, too."""
        self._until = position

    def has_epoch(self, after: str) -> bool:
        """Whether the stream still holds all events after this position."""
        return self._whole or position_key(after) >= position_key(self.begins_after)

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
    """The events of the audit log, from the first to the last that is counted in `stored`.

    Payloads that retention has deleted cannot be counted again: the comparison leaves out all that they were part of.
    Raises NotFound when nothing is counted, Conflict when the log begins later than the metrics, and Unavailable when
    the log lags behind the metrics.
    """

    same_positions = False

    def __init__(self, log: AuditEvents, stored: Connection) -> None:
        projected_to(stored)
        self._log = log
        first = log.last_index(list(stored.execute(select(tables.origin.c.event_id)).scalars()))
        newest = select(IDS.c.last_id).where(IDS.c.name == GROUP).order_by(IDS.c.applied.desc()).limit(1)
        last = log.last_index(list(stored.execute(newest).scalars()))
        if first is None:
            raise Conflict("metrics verify: the audit log begins after the first counted event; use --source stream")
        if last is None:
            raise Unavailable("metrics verify: the audit log lags behind the metrics; try again in a moment")
        self._first, self._last = first, last
        self._deleted_buckets: set[tuple[int, int]] = set()
        self._deleted_threats: set[str] = set()  # as the log keeps them
        self._deleted_ids: set[str] = set()

    def events(self) -> Iterator[tuple[str, Event]]:
        """Every entry's event, with the entry's index as its position."""
        for entry in self._log.between(self._first, self._last):
            if entry.data is None:
                self._note_deleted(entry)
            elif entry.event is not None:
                if entry.threat in self._deleted_threats:
                    self._deleted_buckets.update(_buckets(entry.event.timestamp))
                yield str(entry.index), entry.event

    def _note_deleted(self, entry: AuditedEvent) -> None:
        if not entry.type:  # bytes that were no event were never counted
            return
        self._deleted_buckets.update(_buckets(entry.at))
        if entry.threat is not None:
            self._deleted_threats.add(entry.threat)
        if entry.type == "immune.event_published" and entry.event_id is not None:
            self._deleted_ids.add(entry.event_id)

    def has_epoch(self, after: str) -> bool:
        """Never: the log has no positions of the stream, by which a definition begins."""
        return False

    def has_bucket(self, step: int, bucket: int, first_position: str) -> bool:
        """Whether no event of the bucket was deleted."""
        return (step, bucket) not in self._deleted_buckets

    def has_threat(self, row: RowMapping) -> bool:
        """Whether no event of the threat was deleted."""
        return row["threat_id"] not in {text(threat) for threat in self._deleted_threats}

    def has_health_event(self, row: RowMapping) -> bool:
        """Whether the health event was not deleted."""
        return row["event_id"] not in self._deleted_ids


def audit_source(context: PluginContext) -> Callable[[Connection], AuditSource]:
    """What opens an AuditSource on a view of the tables. Raises NotFound when no plug-in provides the audit log."""
    log = context.find(AuditEvents)
    if log is None:
        raise NotFound("metrics verify: no installed plug-in provides the audit log; use --source stream")
    return lambda stored: AuditSource(log, stored)


def _before(position: str) -> str:
    """The position before this one, whether or not there ever was an event."""
    head, dash, number = position.rpartition("-")
    if int(number) > 0 or not dash:
        return f"{head}{dash}{int(number) - 1}"
    return f"{int(head) - 1}-{(1 << 64) - 1}"  # Redis counts that far within a millisecond


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


def projected_to(stored: Connection) -> str:
    """The position up to which events are counted. Raises NotFound when nothing is."""
    position = stored.execute(select(POSITIONS.c.position).where(POSITIONS.c.name == GROUP)).scalar_one_or_none()
    if not position:
        raise NotFound("metrics verify: nothing is counted yet; run `brain serve` or `brain worker metrics` first")
    return str(position)
