"""Counts what is already recorded for a metric that was defined later; a job that a person asks for.

The recorded events are counted in tables aside, without a lock. Then the projection is held for a moment, what came
meanwhile is counted too, and the points take the place of the stored ones in one transaction. So each event is counted
once, as if the metric had been defined before the first of them; a kill leaves all as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import islice

from sqlalchemy import Connection, Engine, delete, select, update

from brain.errors import Conflict, NotFound
from brain.kit.database import create_tables, open_database, reachable
from brain.kit.sql import chunks
from brain.metrics import tables
from brain.metrics.compiled import CompiledMetrics, Epoch
from brain.metrics.defined_projector import DefinedCounter
from brain.metrics.definition_store import standing_still
from brain.metrics.epochs import active_epochs
from brain.metrics.projector import kept_since, leave_mark
from brain.metrics.recount import BATCH
from brain.metrics.schema import changing_tables
from brain.metrics.sources import StreamSource
from brain.stream.backends import Backend

Progress = Callable[[int], None]


def backfill(
    engine: Engine,
    backend: Backend,
    names: Sequence[str],
    progress: Progress = lambda _: None,
    done: Callable[[Connection, int], None] = lambda db, events: None,
) -> int:
    """Count the stream's events for these metrics, all when none is named; how many events were read. Blocks.

    `progress` is called with the number of events read so far, `done` with it in the transaction of the change. Raises
    NotFound for a metric that is not defined, and while nothing is counted yet; Conflict when one of them was changed
    meanwhile; Unavailable.
    """
    with reachable(engine):
        with changing_tables(engine) as db:
            epochs = _chosen(active_epochs(db), names)
            since = kept_since(db)
            source = StreamSource(backend, db)
        scratch = open_database("memory://")
        try:
            create_tables(scratch, tables.metadata)
            counter = DefinedCounter(CompiledMetrics(epochs))
            with scratch.begin() as aside:
                events = _count(aside, source, counter, since, progress)
                with changing_tables(engine) as db, standing_still(db) as position:
                    if counter.metrics.metrics.keys() - {epoch.id for epoch in active_epochs(db)}:
                        raise Conflict("metrics backfill: a definition was changed meanwhile; start it again")
                    source.go_on_to(position)
                    events += _count(aside, source, counter, kept_since(db), progress)
                    _replace(db, aside, epochs, source.begins_after)
                    done(db, events)
        finally:
            scratch.dispose()
    return events


def _chosen(active: Sequence[Epoch], names: Sequence[str]) -> list[Epoch]:
    missing = set(names) - {epoch.name for epoch in active}
    if missing:
        raise NotFound(f"metrics backfill: no metric is defined as {', '.join(sorted(missing))}")
    return [epoch for epoch in active if not names or epoch.name in names]


def _count(
    aside: Connection, source: StreamSource, counter: DefinedCounter, since: Mapping[int, int], progress: Progress
) -> int:
    events, read = source.events(), 0
    while batch := list(islice(events, BATCH)):
        counter.count(aside, batch, since)
        read += len(batch)
        progress(read)
    return read


def _replace(db: Connection, aside: Connection, epochs: Sequence[Epoch], after: str) -> None:
    ids = [epoch.id for epoch in epochs]
    db.execute(delete(tables.defined).where(tables.defined.c.epoch.in_(ids)))
    rows = [{**row} for row in aside.execute(select(tables.defined)).mappings()]
    for some in chunks(rows):
        db.execute(tables.defined.insert(), [*some])
    db.execute(update(tables.epochs).where(tables.epochs.c.id.in_(ids)).values(after_position=after))
    leave_mark(db)
