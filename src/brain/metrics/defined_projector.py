"""Counts events for the metrics that users define, in the transaction of the projector, for every step at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection

from brain.charter import Event
from brain.kit.sql import delete_tuples, upsert_tuples
from brain.metrics import series, tables
from brain.metrics.compiled import CompiledMetric, CompiledMetrics
from brain.metrics.defined_cache import Place, RowCache, Rows
from brain.metrics.defined_rows import COLUMNS
from brain.metrics.observed import Figures, Observed
from brain.metrics.ranked import fits, rank

_KEY = ("step", "epoch", "bucket", "label")


class _Added(NamedTuple):
    """What the events of a batch add to one metric."""

    metric: CompiledMetric
    observed: Observed


class DefinedCounter:
    """Counts for these metrics, and keeps the rows that it wrote last.

    Who counts must know that the database still has them: else `forget` comes first.
    """

    def __init__(self, metrics: CompiledMetrics) -> None:
        self.metrics: CompiledMetrics = metrics
        self._cache = RowCache(metrics.metrics)

    def forget(self) -> None:
        """Read the rows again."""
        self._cache.clear()

    def count(self, connection: Connection, events: Sequence[tuple[str, Event]], since: Mapping[int, int]) -> None:
        """Count the events, with their positions in stream order; not in buckets older than `since` of their step."""
        added = [_Added(*found) for found in self.metrics.observe(events)]
        for step in (series.TOTAL, *series.STEPS) if added else ():
            self._update_step(connection, added, step, since.get(step, 0))
        self._cache.shrink()

    def _update_step(self, connection: Connection, added: Sequence[_Added], step: int, since: int) -> None:
        of_step = [
            (one, {bucket: figures for bucket, figures in one.observed.by_bucket(step).items() if bucket >= since})
            for one in added
        ]
        self._cache.load(
            connection, [Place(step, one.metric.id, bucket) for one, figures in of_step for bucket in figures]
        )
        removed: list[tuple[Any, ...]] = []
        changed: list[tuple[Any, ...]] = []
        for one, by_bucket in of_step:
            for bucket, figures in by_bucket.items():
                place = Place(step, one.metric.id, bucket)
                rows = self._cache.rows(place)
                if fits(rows, figures.counts):
                    touched: Iterable[str] = _add(rows, figures, one.metric)
                else:
                    touched, gone = _rank(rows, one, place)
                    removed += [(*place, label) for label in gone]
                changed += [(*place, label, *rows[label].figures()) for label in touched]
        delete_tuples(connection, tables.defined, removed)
        upsert_tuples(connection, tables.defined, (*_KEY, *COLUMNS), changed)


def _add(rows: Rows, figures: Figures, metric: CompiledMetric) -> Iterable[str]:
    """Add the figures to the rows; the labels whose rows changed."""
    sums, scale = figures.sums, metric.scale
    for label, count in figures.counts.items():
        row = rows.get(label)
        if row is None:
            row = rows[label] = metric.empty_row()
        row.count += count
        row.sum += sums[label] if sums else count * scale
    for (label, bin), count in figures.bins.items():
        bins = rows[label].bins
        assert bins is not None
        bins[bin] += count
    for label, span in figures.spans.items():
        rows[label].note(*span)
    return figures.counts


def _rank(rows: Rows, added: _Added, place: Place) -> tuple[list[str], list[str]]:
    """Add the observations in order, where not all labels find room; whose rows changed, and who has none any more."""
    before = set(rows)
    here = added.observed.ordered(place.step, place.bucket)
    rank(rows, here, added.metric.empty_row)
    touched = {label for label, _ in here} | {series.OTHER}
    return [label for label in touched if label in rows], [label for label in before if label not in rows]
