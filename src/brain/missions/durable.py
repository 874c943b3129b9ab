"""Transactions that are on the disk when they return, so that no power cut takes back what an agent was answered."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from brain.kit.database import reachable


@contextmanager
def durable(database: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction that ends with a sync of the disk. Raises Unavailable when the database does not answer.

    The consumers' other transactions on SQLite outlive the process, not the machine: `synchronous = NORMAL`. This one
    sets FULL (https://www.sqlite.org/pragma.html#pragma_synchronous). PostgreSQL syncs by itself.
    """
    with reachable(database), database.connect() as db, _full_sync(db), db.begin():
        yield db


@contextmanager
def _full_sync(db: sa.Connection) -> Iterator[None]:
    if db.dialect.name != "sqlite":
        yield
        return
    connection = db.connection.driver_connection
    assert connection is not None
    connection.execute("PRAGMA synchronous=FULL")  # cannot be changed inside a transaction
    try:
        yield
    finally:
        connection.execute("PRAGMA synchronous=NORMAL")
