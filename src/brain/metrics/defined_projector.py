"""Counts events for the metrics that users define, in the transaction of the projector, for every step at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, and_, bindparam, delete, select

from brain.charter import Event
from brain.kit.sql import chunks, upsert
from brain.metrics import series, tables
from brain.metrics.accumulate import bucket_of
from brain.metrics.compiled import CompiledMetrics
from brain.metrics.defined_rows import DefinedRow, Observation
from brain.metrics.ranked import fits, rank

_DELETE = delete(tables.defined).where(
    and_(*(tables.defined.c[name] == bindparam(name) for name in ("step", "epoch", "bucket", "label")))
)

Place = tuple[int, int]
"""A bucket, and the id of an epoch."""
Rows = dict[str, DefinedRow]


@dataclass(slots=True)
class _Added:
    """What some events add: rows by bucket of 10 s, epoch and label, and the single observations, in order."""

    cells: defaultdict[Place, Rows] = field(default_factory=lambda: defaultdict(dict))
    ordered: defaultdict[int, list[tuple[int, str, Observation]]] = field(default_factory=lambda: defaultdict(list))


def count_defined(
    connection: Connection, events: Iterable[tuple[str, Event]], metrics: CompiledMetrics, since: Mapping[int, int]
) -> None:
    """Count the events, with their positions, for these metrics; not in buckets older than `since` of their step."""
    added = _accumulate(events, metrics)
    if not added.cells:
        return
    for step in (series.TOTAL, *series.STEPS):
        _update_step(connection, added, metrics, step, since.get(step, 0))


def _accumulate(events: Iterable[tuple[str, Event]], metrics: CompiledMetrics) -> _Added:
    added = _Added()
    for position, event in events:
        for metric in metrics.wanting(event.type, position):
            found = metric.observe(event)
            if found is None:
                continue
            label, observation = found
            bucket = bucket_of(event.timestamp)
            rows = added.cells[bucket, metric.id]
            row = rows.get(label)
            if row is None:
                row = rows[label] = metric.empty_row()
            row.add(observation)
            if metric.labelled:
                added.ordered[metric.id].append((bucket, label, observation))
    return added


def _update_step(connection: Connection, added: _Added, metrics: CompiledMetrics, step: int, since: int) -> None:
    of_step: defaultdict[Place, list[Rows]] = defaultdict(list)
    for (at, epoch), rows in added.cells.items():
        bucket = at // step * step if step else 0
        if bucket >= since:
            of_step[bucket, epoch].append(rows)
    stored = _load(connection, step, of_step.keys(), metrics)
    removed: list[dict[str, Any]] = []
    changed: list[dict[str, Any]] = []
    for place, cells in of_step.items():
        rows = stored[place]
        before = set(rows)
        touched = _add_cells(rows, cells, place, added, metrics, step)
        key = {"step": step, "epoch": place[1], "bucket": place[0]}
        removed += [{**key, "label": label} for label in before - rows.keys()]
        changed += [{**key, "label": label, **rows[label].columns()} for label in touched]
    if removed:
        connection.execute(_DELETE, removed)
    upsert(connection, tables.defined, changed)


def _add_cells(
    rows: Rows, cells: Sequence[Rows], place: Place, added: _Added, metrics: CompiledMetrics, step: int
) -> Iterable[str]:
    """Add the cells to the rows of their place; the labels whose rows changed."""
    bucket, epoch = place
    make = metrics.metrics[epoch].empty_row
    labels = {label for cell in cells for label in cell}
    if not fits(rows, labels):
        ordered = added.ordered[epoch]
        here = ((label, one) for at, label, one in ordered if (at // step * step if step else 0) == bucket)
        rank(rows, here, make)
        return rows
    for cell in cells:
        for label, row in cell.items():
            known = rows.get(label)
            if known is None:
                known = rows[label] = make()
            known.absorb(row)
    return labels


def _load(
    connection: Connection, step: int, places: Collection[Place], metrics: CompiledMetrics
) -> defaultdict[Place, Rows]:
    """The stored rows of these places, and of others with the same buckets and epochs."""
    stored: defaultdict[Place, Rows] = defaultdict(dict)
    table = tables.defined.c
    epochs = sorted({epoch for _, epoch in places})
    for some in chunks(sorted({bucket for bucket, _ in places})):
        query = select(table.bucket, table.epoch, table.label, *tables.FIGURES).where(
            table.step == step, table.epoch.in_(epochs), table.bucket.in_(some)
        )
        for bucket, epoch, label, *figures in connection.execute(query):
            stored[bucket, epoch][label] = metrics.metrics[epoch].empty_row().fill(figures)
    return stored
