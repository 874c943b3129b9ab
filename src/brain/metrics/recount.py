"""The recount: counts all recorded events again, and compares: `brain metrics verify`.

The recount uses the same code as the projection, with tables of its own, up to the position of the projection. So a
difference means that the stored points do not agree with the recorded events. Buckets that a source no longer has in
whole (at the beginning of a trimmed stream) are left out of the comparison.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Protocol

from sqlalchemy import Connection, Engine, RowMapping, Select, Table, and_, select

from brain.charter import Event
from brain.kit import positions
from brain.kit.database import create_tables, open_database, reachable, reading
from brain.kit.sql import chunks, upsert
from brain.metrics import series, tables
from brain.metrics.compiled import CompiledMetrics, Epoch
from brain.metrics.defined_projector import DefinedCounter
from brain.metrics.epochs import all_epochs
from brain.metrics.point_counter import PointCounter
from brain.metrics.projector import count_events, kept_since
from brain.metrics.state import HEALTH_WINDOW

BATCH = 20_000
"""Events counted at once; their number makes no difference to the result."""
SHOWN = 100
"""Most differences that are listed; all are counted."""


class RecountSource(Protocol):
    """The source of the recounted events."""

    def events(self) -> Iterator[tuple[str, Event]]:
        """Every event up to the position of the projection, each once, with a position."""

    def has_bucket(self, step: int, bucket: int, first_position: str) -> bool:
        """Whether all events that a bucket's points depend on were among them; asked after the events were read."""

    def has_threat(self, row: RowMapping) -> bool:
        """Whether all events of the threat were among the events."""

    def has_health_event(self, row: RowMapping) -> bool:
        """Whether the health event should be among the events."""

    def has_epoch(self, after: str) -> bool:
        """Whether all events after this position were among them; never where positions are not those of the stream."""

    same_positions: bool
    """Whether positions are those of the stream, and can be compared."""


@dataclass(frozen=True)
class RowDifference:
    """One row that differs; None for a row that is missing."""

    table: str
    key: dict[str, Any]
    stored: dict[str, Any] | None
    recounted: dict[str, Any] | None


@dataclass
class Verdict:
    """The result of a comparison. `incomplete` is how many buckets the source could not confirm."""

    events: int = 0
    points: int = 0
    incomplete: int = 0
    differing: int = 0
    differences: list[RowDifference] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether all that could be compared is equal."""
        return self.differing == 0

    def differ(self, table: str, key: dict[str, Any], stored: Any, recounted: Any) -> None:
        """Note one difference."""
        self.differing += 1
        if len(self.differences) < SHOWN:
            self.differences.append(RowDifference(table, key, stored, recounted))


def verify(
    engine: Engine, open_source: Callable[[Connection], RecountSource], progress: Callable[[int], None] = lambda _: None
) -> Verdict:
    """Recount and compare. `open_source` is given a view of the tables that does not change meanwhile.

    `progress` is called with the number of events recounted so far. Blocks. Raises Unavailable, and what the source
    raises.
    """
    verdict = Verdict()
    with reachable(engine):
        for metadata in (tables.metadata, positions.METADATA):
            create_tables(engine, metadata)
        with snapshot(engine) as stored:
            source = open_source(stored)
            scratch = open_database("memory://")
            try:
                create_tables(scratch, tables.metadata)
                with scratch.begin() as recounted:
                    kept = kept_since(stored)
                    upsert(recounted, tables.kept, [{"step": step, "since": at} for step, at in kept.items()])
                    epochs = all_epochs(stored) if source.same_positions else []
                    _recount(recounted, source, epochs, verdict, progress)
                    _compare(stored, recounted, source, verdict, kept)
                    _compare_defined(stored, recounted, source, epochs, verdict)
            finally:
                scratch.dispose()
    return verdict


@contextmanager
def snapshot(engine: Engine) -> Iterator[Connection]:
    """A connection that sees one state of the database and holds up no writer."""
    level = {"isolation_level": "REPEATABLE READ"} if engine.dialect.name == "postgresql" else {}
    with reading(engine).execution_options(**level).begin() as connection:
        yield connection


def _recount(
    recounted: Connection,
    source: RecountSource,
    epochs: Sequence[Epoch],
    verdict: Verdict,
    progress: Callable[[int], None],
) -> None:
    events, since = source.events(), kept_since(recounted)
    points, defined = PointCounter(), DefinedCounter(CompiledMetrics(epochs, by_position=True))
    while batch := list(islice(events, BATCH)):
        count_events(recounted, batch, since, defined, points)
        verdict.events += len(batch)
        progress(verdict.events)


def _compare(
    stored: Connection, recounted: Connection, source: RecountSource, verdict: Verdict, kept: Mapping[int, int]
) -> None:
    for step in (series.TOTAL, *series.STEPS):
        complete = _complete_buckets(stored, recounted, source, verdict, step)
        for some in chunks(complete):
            points = tables.points.c
            query = select(tables.points).where(points.step == step, points.bucket.in_(some))
            verdict.points += _compare_rows(stored, recounted, query, verdict)
        if step == series.TOTAL and complete:
            _compare_rows(stored, recounted, select(tables.exemplars), verdict)
    scored = select(tables.health).where(tables.health.c.at >= kept.get(60, 0) - HEALTH_WINDOW)
    _compare_rows(stored, recounted, scored, verdict, source.has_health_event, _hidden(source))
    old = kept.get(3600, 0)

    def known(row: RowMapping) -> bool:
        ended = row["closed_at"] is not None or row["detected_at"] is None
        return not (ended and row["updated_at"] < old) and source.has_threat(row)

    _compare_rows(stored, recounted, select(tables.threats), verdict, known, _hidden(source))


def _compare_defined(
    stored: Connection, recounted: Connection, source: RecountSource, epochs: Sequence[Epoch], verdict: Verdict
) -> None:
    """Compare the points of defined metrics, as far as the source has all events that they depend on."""
    table = tables.defined.c
    for step in (series.TOTAL, *series.STEPS):
        first = _first_positions(stored, step)
        for epoch in epochs:

            def known(row: RowMapping, epoch: Epoch = epoch, first: Mapping[int, str] = first) -> bool:
                if source.has_epoch(epoch.after) or row["bucket"] not in first:
                    return True
                return bool(row["step"]) and source.has_bucket(row["step"], row["bucket"], first[row["bucket"]])

            mine = and_(table.step == step, table.epoch == epoch.id)
            there = select(table.bucket).where(mine).distinct()
            buckets = {at for db in (stored, recounted) for at in db.execute(there).scalars()}
            for some in chunks(sorted(buckets)):
                query = select(tables.defined).where(mine, table.bucket.in_(some))
                verdict.points += _compare_rows(stored, recounted, query, verdict, known)


def _first_positions(connection: Connection, step: int) -> dict[int, str]:
    table = tables.buckets.c
    found = connection.execute(select(table.bucket, table.first_position).where(table.step == step))
    return dict(map(tuple, found))


def _hidden(source: RecountSource) -> frozenset[str]:
    return frozenset() if source.same_positions else frozenset({"position", "first_position"})


def _complete_buckets(
    stored: Connection, recounted: Connection, source: RecountSource, verdict: Verdict, step: int
) -> list[int]:
    """The buckets of this step that the source holds in whole."""
    table = tables.buckets.c
    query = select(table.bucket, table.first_position).where(table.step == step)
    ours = {row.bucket: row.first_position for row in stored.execute(query)}
    theirs = {row.bucket: row.first_position for row in recounted.execute(query)}
    complete = []
    for bucket in sorted(ours.keys() | theirs.keys()):
        if bucket in ours and not source.has_bucket(step, bucket, ours[bucket]):
            verdict.incomplete += 1
        else:
            complete.append(bucket)
            mine, found = ours.get(bucket), theirs.get(bucket)
            if (mine is None) != (found is None) or (source.same_positions and mine != found):
                key = {"step": step, "bucket": bucket}
                verdict.differ("metrics_buckets", key, {"first_position": mine}, {"first_position": found})
    return complete


def _compare_rows(
    stored: Connection,
    recounted: Connection,
    query: Select[Any],
    verdict: Verdict,
    known: Callable[[RowMapping], bool] = lambda row: True,
    hidden: frozenset[str] = frozenset(),
) -> int:
    """Compare the rows of a query on one table, those that are `known` on both sides; how many were compared."""
    (table,) = query.get_final_froms()
    assert isinstance(table, Table)
    keys = [str(column.name) for column in table.primary_key]
    ours, theirs = ({_key(row, keys): row for row in db.execute(query).mappings()} for db in (stored, recounted))
    compared = [
        key
        for key in sorted(ours.keys() | theirs.keys())
        if all(known(rows[key]) for rows in (ours, theirs) if key in rows)
    ]
    for key in compared:
        mine, found = (_values(rows.get(key), hidden.union(keys)) for rows in (ours, theirs))
        if mine != found:
            verdict.differ(str(table.name), dict(zip(keys, key, strict=True)), mine, found)
    return len(compared)


def _key(row: RowMapping, keys: Sequence[str]) -> tuple[Any, ...]:
    return tuple(row[name] for name in keys)


def _values(row: RowMapping | None, without: frozenset[str]) -> dict[str, Any] | None:
    return None if row is None else {str(name): value for name, value in row.items() if name not in without}
