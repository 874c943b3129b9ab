"""Adding what events say to the tables, for every step at once. The work of the projection, and of a recount.

Rows are loaded, changed and written back within the projection's transaction. Two processes that fold the same events
at once do no harm: one of them wins the position, and the other's transaction comes to nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import NamedTuple

from sqlalchemy import Connection, and_, bindparam, delete, select

from brain.charter import Event
from brain.kit.sql import chunks, insert_missing, upsert
from brain.metrics import series, tables
from brain.metrics.accumulate import Cell, Increments, accumulate, bucket_of, exemplar_of, text
from brain.metrics.lifecycle import ThreatRow, advance, threat_id_of
from brain.metrics.ranked import Row, add_ranked, fits
from brain.stream.backends import position_key

_DELETE_POINT = delete(tables.points).where(
    and_(*(tables.points.c[name] == bindparam(name) for name in ("step", "series", "bucket", "label")))
)
LARGEST = (1 << 63) - 1
"""What a BIGINT holds; sums stop there."""


class Point(NamedTuple):
    """A series within one bucket."""

    bucket: int
    series: str


def fold(connection: Connection, events: Sequence[tuple[str, Event]]) -> None:
    """Add the events, given with their positions in stream order, to all tables."""
    if not events:
        return
    insert_missing(connection, tables.origin, [{"id": 1, "event_id": text(events[0][1].id)}])
    increments = accumulate(events)
    depends_on = _fold_threats(connection, increments)
    since = kept_since(connection)
    for step in (series.TOTAL, *series.STEPS):
        _fold_step(connection, increments, depends_on, step, since.get(step, 0))
    upsert(
        connection,
        tables.exemplars,
        [
            {"series": name, "label": label, **asdict(exemplar_of(event, value))}
            for (name, label), (event, value) in increments.latest.items()
        ],
    )
    upsert(connection, tables.health, [asdict(row) for row in increments.health])


def kept_since(connection: Connection) -> dict[int, int]:
    """For each step that was pruned, the bucket before which there are none."""
    return {row.step: row.since for row in connection.execute(select(tables.kept))}


def _fold_threats(connection: Connection, increments: Increments) -> dict[int, str]:
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


def _fold_step(
    connection: Connection, increments: Increments, depends_on: dict[int, str], step: int, since: int
) -> None:
    def target(bucket: int) -> int:
        return bucket // step * step if step else 0

    added: defaultdict[Point, dict[str, Cell]] = defaultdict(dict)
    for (at, name, label), cell in increments.cells.items():
        bucket = target(at)
        if bucket < since:
            continue  # later than its retention
        sums = added[Point(bucket, name)].setdefault(label, Cell())
        sums.count += cell.count
        sums.sum += cell.sum
    stored = _load(connection, step, {point.bucket for point in added})
    gone: list[dict[str, object]] = []
    changed: list[dict[str, object]] = []
    for point, cells in added.items():
        rows = stored[point]
        before = set(rows)
        if point.series not in series.RANKED or fits(rows, cells):
            for label, cell in cells.items():
                row = rows.setdefault(label, Row())
                row.count += cell.count
                row.sum += cell.sum
            touched: Iterable[str] = cells
        else:
            ordered = increments.ranked[point.series]
            add_ranked(rows, ((label, value) for at, label, value in ordered if target(at) == point.bucket))
            gone += [_key(step, point, label) for label in before - rows.keys()]
            touched = rows
        for label in touched:
            row = rows[label]
            figures = {"count": row.count, "sum": min(row.sum, LARGEST), "error": min(row.error, LARGEST)}
            changed.append({**_key(step, point, label), **figures})
    if gone:
        connection.execute(_DELETE_POINT, gone)
    upsert(connection, tables.points, changed)
    first: dict[int, str] = {}
    for positions in (increments.first, depends_on):
        for at, position in positions.items():
            bucket = target(at)
            if bucket >= since:
                first[bucket] = min(first.get(bucket, position), position, key=position_key)
    _note_first(connection, step, first)


def _load(connection: Connection, step: int, wanted: set[int]) -> defaultdict[Point, dict[str, Row]]:
    stored: defaultdict[Point, dict[str, Row]] = defaultdict(dict)
    table = tables.points.c
    columns = (table.bucket, table.series, table.label, table.count, table.sum, table.error)
    for some in chunks(sorted(wanted)):
        for bucket, name, label, count, total, error in connection.execute(
            select(*columns).where(table.step == step, table.bucket.in_(some))
        ):
            stored[Point(bucket, name)][label] = Row(count, total, error)
    return stored


def _note_first(connection: Connection, step: int, first: dict[int, str]) -> None:
    table = tables.buckets.c
    for some in chunks(sorted(first)):
        for bucket, position in connection.execute(
            select(table.bucket, table.first_position).where(table.step == step, table.bucket.in_(some))
        ):
            if position_key(position) <= position_key(first[bucket]):
                del first[bucket]
    rows = [{"step": step, "bucket": bucket, "first_position": position} for bucket, position in first.items()]
    upsert(connection, tables.buckets, rows)


def _key(step: int, point: Point, label: str) -> dict[str, object]:
    return {"step": step, "series": point.series, "bucket": point.bucket, "label": label}
