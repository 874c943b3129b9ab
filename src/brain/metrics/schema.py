"""The schema: tables are made on first use, so that the database need not answer when a process starts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine

from brain.kit import outbox, positions
from brain.kit.database import create_tables, reachable, reading
from brain.metrics.tables import metadata


def make_tables(engine: Engine) -> None:
    """Make the tables that are missing. Raises Unavailable when the database does not answer."""
    for tables in (metadata, positions.METADATA, outbox.metadata):
        create_tables(engine, tables)


@contextmanager
def changing_tables(engine: Engine) -> Iterator[Connection]:
    """A transaction that changes what is defined or watched, and announces it. Raises Unavailable."""
    make_tables(engine)
    with reachable(engine), engine.begin() as connection:
        yield connection


@contextmanager
def reading_tables(engine: Engine) -> Iterator[Connection]:
    """A connection for reading the tables. Raises Unavailable when the database does not answer."""
    make_tables(engine)
    with reachable(engine), reading(engine).begin() as connection:
        yield connection
