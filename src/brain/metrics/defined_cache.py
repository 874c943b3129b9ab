"""The rows of defined metrics that were counted last, kept in memory so that the next batch need not read them."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Collection, Mapping
from typing import NamedTuple

from sqlalchemy import Connection, select

from brain.kit.sql import chunks
from brain.metrics import tables
from brain.metrics.compiled import CompiledMetric
from brain.metrics.defined_rows import DefinedRow

MOST_ROWS = 60_000
"""Rows that are kept: some 15 MB."""

Rows = dict[str, DefinedRow]


class Place(NamedTuple):
    """One bucket of a step, of one epoch."""

    step: int
    epoch: int
    bucket: int


class RowCache:
    """The rows of places, as the database has them. What is changed here must be written in the same transaction."""

    def __init__(self, metrics: Mapping[int, CompiledMetric]) -> None:
        self._metrics = metrics
        self._places: OrderedDict[Place, Rows] = OrderedDict()

    def clear(self) -> None:
        """Read everything again: the database may have something else."""
        self._places.clear()

    def load(self, connection: Connection, places: Collection[Place]) -> None:
        """Read the places that are not here; all must be of one step. Those read longest ago make room."""
        missing = [place for place in places if place not in self._places]
        for place in places:
            if place in self._places:
                self._places.move_to_end(place)
            else:
                self._places[place] = {}
        by_bucket = defaultdict[int, set[int]](set)
        for place in missing:
            by_bucket[place.bucket].add(place.epoch)
        if missing:
            self._read(connection, missing[0].step, by_bucket)

    def rows(self, place: Place) -> Rows:
        """The rows of a place that was loaded."""
        return self._places[place]

    def shrink(self) -> None:
        """Let go of what is too much, the places that were not used for the longest time first."""
        kept = sum(map(len, self._places.values()))
        while kept > MOST_ROWS:
            _, rows = self._places.popitem(last=False)
            kept -= len(rows)

    def _read(self, connection: Connection, step: int, wanted: Mapping[int, Collection[int]]) -> None:
        table = tables.defined.c
        epochs = sorted({epoch for some in wanted.values() for epoch in some})
        for some in chunks(sorted(wanted)):
            query = select(table.bucket, table.epoch, table.label, *tables.FIGURES).where(
                table.step == step, table.epoch.in_(epochs), table.bucket.in_(some)
            )
            for bucket, epoch, label, *figures in connection.execute(query):
                if epoch in wanted[bucket]:
                    rows = self._places[Place(step, epoch, bucket)]
                    rows[label] = self._metrics[epoch].empty_row().fill(figures)
