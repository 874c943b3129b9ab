"""Adds what a batch of events amounts to to the stored points, a step at a time."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Collection, Iterable

from sqlalchemy import Connection, select

from brain.kit.sql import chunks, delete_tuples, upsert, upsert_tuples
from brain.metrics import series, tables
from brain.metrics.accumulate import Cell, Increments
from brain.metrics.defined_rows import LARGEST
from brain.metrics.ranked import Row, add_ranked, fits
from brain.stream.backends import position_key

MOST_ROWS = 60_000
"""Rows that are kept: some 10 MB."""
_COLUMNS = ("step", "series", "bucket", "label", "count", "sum", "error")

Point = tuple[int, str]
"""A series within one bucket: the bucket and the series."""
Rows = dict[str, Row]
Places = defaultdict[str, Rows]
"""The rows of one bucket, by series and label."""


class PointCounter:
    """Counts in the points, and keeps the rows that it wrote last.

    Who counts must know that the database still has them: else `forget` comes first.
    """

    def __init__(self) -> None:
        self._buckets: OrderedDict[tuple[int, int], Places] = OrderedDict()  # by step and bucket

    def forget(self) -> None:
        """Read the rows again."""
        self._buckets.clear()

    def count(
        self, connection: Connection, increments: Increments, depends_on: dict[int, str], step: int, since: int
    ) -> None:
        """Add the increments to the points of this step; not in buckets older than `since`."""
        added = _by_point(increments, step, since)
        self._load(connection, step, {bucket for bucket, _ in added})
        removed: list[tuple[object, ...]] = []
        changed: list[tuple[object, ...]] = []
        for (bucket, name), cells in added.items():
            rows = self._buckets[step, bucket][name]
            if name in series.RANKED and not fits(rows, cells):
                before = set(rows)
                _rank(rows, (bucket, name), increments, step)
                removed += [(step, name, bucket, label) for label in before - rows.keys()]
                touched: Iterable[str] = rows
            else:
                _add(rows, cells)
                touched = cells
            changed += [(step, name, bucket, label, *_figures(rows[label])) for label in touched]
        delete_tuples(connection, tables.points, removed)
        upsert_tuples(connection, tables.points, _COLUMNS, changed)
        _note_first(connection, step, _first_positions((increments.first, depends_on), step, since))

    def shrink(self) -> None:
        """Let go of what is too much, the buckets that were not used for the longest time first."""
        kept = sum(sum(map(len, places.values())) for places in self._buckets.values())
        while kept > MOST_ROWS:
            _, places = self._buckets.popitem(last=False)
            kept -= sum(map(len, places.values()))

    def _load(self, connection: Connection, step: int, wanted: Collection[int]) -> None:
        missing = []
        for bucket in wanted:
            if (step, bucket) in self._buckets:
                self._buckets.move_to_end((step, bucket))
            else:
                self._buckets[step, bucket] = defaultdict(dict)
                missing.append(bucket)
        table = tables.points.c
        columns = (table.bucket, table.series, table.label, table.count, table.sum, table.error)
        for some in chunks(sorted(missing)):
            query = select(*columns).where(table.step == step, table.bucket.in_(some))
            for bucket, name, label, *figures in connection.execute(query):
                self._buckets[step, bucket][name][label] = Row(*figures)


def _by_point(increments: Increments, step: int, since: int) -> dict[Point, dict[str, Cell]]:
    """What is added, by the points of this step; without the buckets that are older than their retention."""
    added: defaultdict[Point, dict[str, Cell]] = defaultdict(dict)
    for (at, name, label), cell in increments.cells.items():
        bucket = start_of(at, step)
        if bucket >= since:
            cells = added[bucket, name]
            sums = cells.get(label)
            if sums is None:
                cells[label] = Cell(cell.count, cell.sum)
            else:
                sums.count += cell.count
                sums.sum += cell.sum
    return added


def _add(rows: Rows, cells: dict[str, Cell]) -> None:
    """Add the cells to the rows of their point."""
    for label, cell in cells.items():
        row = rows.get(label)
        if row is None:
            row = rows[label] = Row()
        row.count += cell.count
        row.sum += cell.sum


def _rank(rows: Rows, point: Point, increments: Increments, step: int) -> None:
    """Add the single observations in order, where not all labels find room."""
    bucket, name = point
    observed = increments.ranked[name]
    buckets = {at for at, _, _ in observed}
    inside = {at for at in buckets if start_of(at, step) == bucket}
    if inside == buckets:
        here = [(label, value) for _, label, value in observed]
    else:
        here = [(label, value) for at, label, value in observed if at in inside]
    add_ranked(rows, here)


def _first_positions(found: Iterable[dict[int, str]], step: int, since: int) -> dict[int, str]:
    """The earliest position of each bucket of this step, from those of its buckets of 10 s."""
    first: dict[int, str] = {}
    for positions in found:
        for at, position in positions.items():
            bucket = start_of(at, step)
            if bucket >= since:
                first[bucket] = min(first.get(bucket, position), position, key=position_key)
    return first


def start_of(bucket: int, step: int) -> int:
    """The start of the bucket of this step that a bucket of 10 s lies in."""
    return bucket // step * step if step else 0


def _figures(row: Row) -> tuple[int, int, int]:
    return row.count, min(row.sum, LARGEST), min(row.error, LARGEST)


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
