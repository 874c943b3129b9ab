"""Opening the tables: made on first use, so that the database need not answer when a process starts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakSet

from sqlalchemy import Connection, Engine

from brain.kit.database import create_tables, reachable, reading
from brain.metrics.tables import metadata

_made: WeakSet[Engine] = WeakSet()


def make_tables(engine: Engine) -> None:
    """Make the tables that are missing, once for each engine."""
    if engine not in _made:
        create_tables(engine, metadata)
        _made.add(engine)


@contextmanager
def reading_tables(engine: Engine) -> Iterator[Connection]:
    """A connection for reading the tables. Raises Unavailable when the database does not answer."""
    with reachable(engine):
        make_tables(engine)
        with reading(engine).begin() as connection:
            yield connection
