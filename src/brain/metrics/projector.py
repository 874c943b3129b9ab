"""The projector: counts events in the tables, for every step at once. A recount uses it too.

Rows are loaded, changed and written back within the projection's transaction. Two processes may count the same events
at once: one of them gets the position, and the other's transaction is rolled back.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from sqlalchemy import Connection, literal, select, union_all, update

from brain.charter import Event
from brain.kit.projection import Item
from brain.kit.sql import chunks, insert_missing, upsert
from brain.metrics import series, tables
from brain.metrics.accumulate import Increments, accumulate, bucket_of, exemplar_of, text
from brain.metrics.compiled import CompiledMetrics
from brain.metrics.defined_projector import DefinedCounter
from brain.metrics.epochs import active_epochs
from brain.metrics.point_counter import PointCounter
from brain.metrics.threat_stages import ThreatRow, advance, threat_id_of
from brain.stream.backends import position_key

_VERSION, _MARK = -1, -2
"""In the place of a step: the version of what users define, and a mark; read with one query, with what is kept."""


class EventCounter:
    """Counts events in all tables, those of the metrics that users define included.

    These are read again when their version has changed, within the transaction: who changes them holds the lock on the
    projection's position. Without any, counting asks the database no question more. With some, each batch leaves a mark
    beside them; while it is still there, the rows that were written under it need not be read again.
    """

    def __init__(self) -> None:
        self._version = 0
        self._mark: int | None = None
        self._points = PointCounter()
        self._defined = DefinedCounter(CompiledMetrics(()))

    def apply(self, connection: Connection, items: Sequence[Item]) -> None:
        """Count the items; bytes that are no event are not counted."""
        self.count(connection, [(item.position, item.event) for item in items if item.event is not None])

    def count(self, connection: Connection, events: Sequence[tuple[str, Event]]) -> None:
        """Count the events, given with their positions in stream order."""
        if not events:
            return
        since, version, mark = _standing(connection)
        if version != self._version:
            self._defined = DefinedCounter(CompiledMetrics(active_epochs(connection)))
            self._version = version
        if mark is None or mark != self._mark:  # another process counted, or our last transaction was rolled back
            self._defined.forget()
            self._points.forget()
        self._mark = None
        count_events(connection, events, since, self._defined, self._points)
        if self._defined.metrics:
            self._mark = leave_mark(connection)


def count_events(
    connection: Connection,
    events: Sequence[tuple[str, Event]],
    since: Mapping[int, int] | None = None,
    defined: DefinedCounter | None = None,
    points: PointCounter | None = None,
) -> None:
    """Count the events, given with their positions in stream order, in all tables, and for these defined metrics.

    `since` is what `kept_since` gives, when it is known; `points` has the rows that were written before.
    """
    if not events:
        return
    insert_missing(connection, tables.origin, [{"id": 1, "event_id": text(events[0][1].id)}])
    increments = accumulate(events)
    depends_on = _update_threats(connection, increments)
    since = kept_since(connection) if since is None else since
    points = PointCounter() if points is None else points
    for step in (series.TOTAL, *series.STEPS):
        points.count(connection, increments, depends_on, step, since.get(step, 0))
    points.shrink()
    upsert(
        connection,
        tables.exemplars,
        [
            {"series": name, "label": label, **asdict(exemplar_of(event, value))}
            for (name, label), (event, value) in increments.latest.items()
        ],
    )
    upsert(connection, tables.health, [asdict(row) for row in increments.health])
    if defined is not None and defined.metrics:
        defined.count(connection, events, since)


def leave_mark(connection: Connection) -> int:
    """Mark that the rows of defined metrics have changed: who keeps some under another mark reads them again."""
    mark = secrets.randbits(62)
    connection.execute(update(tables.definitions).values(counted=mark))
    return mark


def kept_since(connection: Connection) -> dict[int, int]:
    """For each step that was pruned, the bucket before which there are none."""
    return {row.step: row.since for row in connection.execute(select(tables.kept))}


def _standing(connection: Connection) -> tuple[dict[int, int], int, int | None]:
    """What `kept_since` gives; the version of what users define, 0 for nothing; and the mark of the last batch."""
    kept = select(tables.kept.c.step, tables.kept.c.since)
    version = select(literal(_VERSION), tables.definitions.c.version)
    mark = select(literal(_MARK), tables.definitions.c.counted).where(tables.definitions.c.counted.is_not(None))
    found: dict[int, int] = dict(map(tuple, connection.execute(union_all(kept, version, mark))))
    return found, found.pop(_VERSION, 0), found.pop(_MARK, None)


def _update_threats(connection: Connection, increments: Increments) -> dict[int, str]:
    """Bring the threats up to date; for each bucket of 10 s with such events, the position it depends on."""
    if not increments.threats:
        return {}
    ids = sorted({threat_id_of(event) for _, event in increments.threats})
    rows: dict[str, ThreatRow] = {}
    for some in chunks(ids):
        found = connection.execute(select(tables.threats).where(tables.threats.c.threat_id.in_(some)))
        rows |= {row["threat_id"]: ThreatRow(**row) for row in found.mappings()}
    depends_on: dict[int, str] = {}
    for position, event in increments.threats:
        earliest = advance(rows, position, event, increments)
        bucket = bucket_of(event.timestamp)
        depends_on[bucket] = min(depends_on.get(bucket, earliest), earliest, key=position_key)
    upsert(connection, tables.threats, [asdict(row) for row in rows.values()])
    return depends_on
