"""The metrics' tables of a test."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Engine, select

from brain.charter import Event
from brain.kit.database import create_tables, open_database
from brain.metrics import tables
from brain.metrics.projector import count_events
from brain.metrics.schema import reading_tables
from brain.metrics.series import EVENTS_BY_TYPE, TOTAL


def open_tables(url: str = "memory://") -> Engine:
    engine = open_database(url)
    create_tables(engine, tables.metadata)
    return engine


def folded(engine: Engine, events: list[Event], batch: int = 1000) -> Engine:
    """Count the events in batches; each one's position is its number, from 1."""
    for start in range(0, len(events), batch):
        with engine.begin() as connection:
            some = enumerate(events[start : start + batch], start + 1)
            count_events(connection, [(str(position), event) for position, event in some])
    return engine


def contents(engine: Engine) -> dict[str, set[tuple[Any, ...]]]:
    """Every row of every table, but for the mark that each batch leaves."""
    with engine.begin() as connection:
        return {table.name: _rows(connection, table) for table in tables.metadata.sorted_tables}


def _rows(connection: Connection, table: Any) -> set[tuple[Any, ...]]:
    columns = [column for column in table.c if column is not tables.definitions.c.counted]
    rows = [tuple(row) for row in connection.execute(select(*columns))]
    assert len(rows) == len(set(rows))
    return set(rows)


def total(engine: Engine) -> int:
    """How many events are counted; waits for no writer."""
    table = tables.points.c
    with reading_tables(engine) as connection:
        counts = select(table.count).where(table.step == TOTAL, table.series == EVENTS_BY_TYPE)
        return sum(connection.execute(counts).scalars())


def pruned(engine: Engine) -> bool:
    """Whether old buckets were looked for since a worker began."""
    with reading_tables(engine) as connection:
        return connection.execute(select(tables.kept.c.step)).first() is not None


def counted(engine: Engine, series: str, step: int) -> dict[tuple[int, str], tuple[int, int]]:
    """Count and sum by bucket and label."""
    table = tables.points.c
    query = select(table.bucket, table.label, table.count, table.sum).where(table.series == series, table.step == step)
    with engine.begin() as connection:
        return {(bucket, label): (count, total) for bucket, label, count, total in connection.execute(query)}
