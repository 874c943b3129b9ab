"""Counting everything again from what is recorded, and comparing: `brain metrics verify`.

The recount goes through the same code as the projection, into tables of its own, up to where the projection stood; so
a difference means that the stored points are not what the recorded events say. What a source no longer holds in whole
(the beginning of a trimmed stream) is left out of the comparison, bucket by bucket.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Protocol

from sqlalchemy import Connection, Engine, RowMapping, Table, select

from brain.charter import Event
from brain.kit import projection
from brain.kit.database import create_tables, open_database, reachable, reading
from brain.kit.sql import chunks, upsert
from brain.metrics import series, tables
from brain.metrics.projector import fold, kept_since
from brain.metrics.state import HEALTH_WINDOW

BATCH = 20_000
"""Events folded at once; how many makes no difference to the result."""
SHOWN = 100
"""Most differences that are listed; all are counted."""


class Source(Protocol):
    """Where events are recounted from."""

    def events(self) -> Iterator[tuple[str, Event]]:
        """Every event up to where the projection stood, each once, with a position."""

    def has_bucket(self, step: int, bucket: int, first_position: str) -> bool:
        """Whether all that a bucket's points depend on was among the events; asked after they were read."""

    def has_threat(self, row: RowMapping) -> bool:
        """Whether all events of the threat were among the events."""

    def has_health_event(self, row: RowMapping) -> bool:
        """Whether the health event should have been among the events."""

    same_positions: bool
    """Whether positions are those of the stream, and can be compared."""


@dataclass(frozen=True)
class Difference:
    """One row that is not as it should be; None for a row that is not there."""

    table: str
    key: dict[str, Any]
    stored: dict[str, Any] | None
    recounted: dict[str, Any] | None


@dataclass
class Verdict:
    """What came of a comparison. `incomplete` are the buckets that the source could not confirm."""

    events: int = 0
    points: int = 0
    incomplete: int = 0
    differing: int = 0
    differences: list[Difference] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether all that could be compared is equal."""
        return self.differing == 0

    def differ(self, table: str, key: dict[str, Any], stored: Any, recounted: Any) -> None:
        """Note one difference."""
        self.differing += 1
        if len(self.differences) < SHOWN:
            self.differences.append(Difference(table, key, stored, recounted))


def verify(
    engine: Engine, open_source: Callable[[Connection], Source], progress: Callable[[int], None] = lambda _: None
) -> Verdict:
    """Recount and compare. `open_source` is given a view of the tables that does not change meanwhile.

    `progress` is told the number of events recounted so far. Blocks. Raises Unavailable, and what the source raises.
    """
    verdict = Verdict()
    with reachable(engine):
        for metadata in (tables.metadata, projection.METADATA):
            create_tables(engine, metadata)
        with snapshot(engine) as stored:
            source = open_source(stored)
            scratch = open_database("memory://")
            try:
                create_tables(scratch, tables.metadata)
                with scratch.begin() as recounted:
                    kept = kept_since(stored)
                    upsert(recounted, tables.kept, [{"step": step, "since": at} for step, at in kept.items()])
                    _recount(recounted, source, verdict, progress)
                    _compare(stored, recounted, source, verdict, kept)
            finally:
                scratch.dispose()
    return verdict


@contextmanager
def snapshot(engine: Engine) -> Iterator[Connection]:
    """A connection that sees one state of the database and holds up no writer."""
    level = {"isolation_level": "REPEATABLE READ"} if engine.dialect.name == "postgresql" else {}
    with reading(engine).execution_options(**level).begin() as connection:
        yield connection


def _recount(recounted: Connection, source: Source, verdict: Verdict, progress: Callable[[int], None]) -> None:
    events = source.events()
    while batch := list(islice(events, BATCH)):
        fold(recounted, batch)
        verdict.events += len(batch)
        progress(verdict.events)


def _compare(
    stored: Connection, recounted: Connection, source: Source, verdict: Verdict, kept: Mapping[int, int]
) -> None:
    for step in (series.TOTAL, *series.STEPS):
        complete = _complete_buckets(stored, recounted, source, verdict, step)
        for some in chunks(complete):
            points = tables.points.c
            these = (points.step == step, points.bucket.in_(some))
            verdict.points += _compare_rows(stored, recounted, tables.points, these, verdict)
        if step == series.TOTAL and complete:
            _compare_rows(stored, recounted, tables.exemplars, (), verdict)
    since = tables.health.c.at >= kept.get(60, 0) - HEALTH_WINDOW
    _compare_rows(stored, recounted, tables.health, (since,), verdict, source.has_health_event, _hidden(source))
    old = kept.get(3600, 0)

    def known(row: RowMapping) -> bool:
        ended = row["closed_at"] is not None or row["detected_at"] is None
        return not (ended and row["updated_at"] < old) and source.has_threat(row)

    _compare_rows(stored, recounted, tables.threats, (), verdict, known, _hidden(source))


def _hidden(source: Source) -> frozenset[str]:
    return frozenset() if source.same_positions else frozenset({"position", "first_position"})


def _complete_buckets(
    stored: Connection, recounted: Connection, source: Source, verdict: Verdict, step: int
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
    table: Table,
    conditions: Sequence[Any],
    verdict: Verdict,
    known: Callable[[RowMapping], bool] = lambda row: True,
    hidden: frozenset[str] = frozenset(),
) -> int:
    """Compare those rows that meet the conditions and are `known` on both sides; how many were compared."""
    keys = [str(column.name) for column in table.primary_key]
    left_out: set[tuple[Any, ...]] = set()
    ours, theirs = (
        dict(_rows(connection, table, conditions, keys, known, hidden, left_out)) for connection in (stored, recounted)
    )
    everything = (ours.keys() | theirs.keys()) - left_out
    for key in sorted(key for key in everything if ours.get(key) != theirs.get(key)):
        verdict.differ(str(table.name), dict(zip(keys, key, strict=True)), ours.get(key), theirs.get(key))
    return len(everything)


def _rows(
    connection: Connection,
    table: Table,
    conditions: Sequence[Any],
    keys: Sequence[str],
    known: Callable[[RowMapping], bool],
    hidden: frozenset[str],
    left_out: set[tuple[Any, ...]],
) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    """The rows by primary key, without the columns of that and the `hidden` ones; those not known are `left_out`."""
    for row in connection.execute(select(table).where(*conditions)).mappings():
        key = tuple(row[name] for name in keys)
        if known(row):
            yield key, {str(name): value for name, value in row.items() if name not in hidden and name not in keys}
        else:
            left_out.add(key)
