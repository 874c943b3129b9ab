"""The consumers' tables, copied: an SQLite file as a whole, the tables of PostgreSQL row by row.

PostgreSQL is read in one REPEATABLE READ transaction, into an SQLite file without indexes: no `pg_dump` of the server's
version is needed, a backup has one form, and it can be restored to either database. It is slower than `pg_dump`, and
holds back the server's vacuum while it runs.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from brain.errors import Conflict, Unavailable
from brain.kit.database import create_tables, open_database, reachable, reading
from brain.kit.schema import VERSIONS, declared_parts
from brain.store.sqlite_faults import explained

PAGE = 2000
"""Rows copied at once."""
_BUSY = 30.0  # seconds to wait for whoever keeps a file locked


def copy_file(source: Path, target: Path) -> None:
    """Copy an SQLite file as it is at one moment, while others write to it. Raises Unavailable.

    In one step of SQLite's backup (https://www.sqlite.org/backup.html): in several, each write of another process would
    begin it again. Writers go on meanwhile, and the write-ahead log grows by what they write.
    """
    try:
        with (
            closing(sqlite3.connect(source, timeout=_BUSY)) as live,
            closing(sqlite3.connect(target, isolation_level=None)) as copy,
        ):
            live.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")  # one file, complete in itself
    except (sqlite3.Error, OSError) as error:
        raise Unavailable(f"backup: {explained(source, error)}") from error


def copy_rows(source: sa.Engine, target: Path) -> None:
    """Copy the rows of all our tables as they are at one moment. Raises Unavailable."""
    level = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    with (
        reachable(source),
        reading(source).execution_options(**level).begin() as db,
        closing(sqlite3.connect(target, isolation_level=None)) as copy,
    ):
        copy.execute("PRAGMA synchronous=OFF")
        copy.execute("BEGIN")
        for table in _tables(db):
            columns = ", ".join(f'"{column.name}"' for column in table.columns)
            copy.execute(f'CREATE TABLE "{table.name}" ({columns})')
            marks = ", ".join("?" * len(table.columns))
            for rows in _pages(db, table):
                copy.executemany(f'INSERT INTO "{table.name}" VALUES ({marks})', rows)
        copy.execute("COMMIT")


def _tables(db: sa.Connection) -> Sequence[sa.Table]:
    there = set(sa.inspect(db).get_table_names())
    if VERSIONS.name not in there:
        return []
    names = {name for text in db.execute(sa.select(VERSIONS.c.tables)).scalars() for name in text.split()}
    metadata = sa.MetaData()
    metadata.reflect(db, only=sorted({VERSIONS.name, *names} & there))
    return metadata.sorted_tables


def _pages(db: sa.Connection, table: sa.Table) -> Any:
    """The rows as SQLite takes them; JSON as its text."""
    columns = [
        sa.cast(column, sa.Text).label(column.name) if isinstance(column.type, sa.JSON) else column
        for column in table.columns
    ]
    result = db.execution_options(yield_per=PAGE).execute(sa.select(*columns))
    return (list(map(tuple, rows)) for rows in result.partitions())


def restore_rows(source: Path, target: sa.Engine) -> None:
    """Fill an empty database with the rows of a copy, by the tables that the installed plug-ins declare.

    Raises Conflict when it has tables of ours with rows already, or a part is of another version or of no installed
    plug-in; Unavailable when it does not answer.
    """
    with closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as copy:
        known = declared_parts()
        parts: dict[str, int] = dict(copy.execute(f"SELECT part, version FROM {VERSIONS.name}").fetchall())
        for part, version in parts.items():
            newest = len(known[part].info["steps"]) + 1 if part in known else 0
            if version != newest:
                raise Conflict(
                    f"backup: the tables of {part!r} have version {version}, and what is installed here knows "
                    f"{newest or 'no such part'}; restore it with the packages that made it, then upgrade"
                )
        for part in parts:
            create_tables(target, known[part])
        with reachable(target), target.begin() as db:
            for part in parts:
                for table in known[part].sorted_tables:
                    _fill(copy, db, table)


def _fill(copy: sqlite3.Connection, db: sa.Connection, table: sa.Table) -> None:
    if db.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first() is not None:
        raise Conflict(
            f"database: its table {table.name} has rows already, and nothing was changed; name an empty database with "
            "--database, or empty this one"
        )
    cursor = copy.execute(f'SELECT * FROM "{table.name}"')
    names = [column[0] for column in cursor.description]
    booleans = {column.name for column in table.columns if isinstance(column.type, sa.Boolean)}
    # Without types: the values are as the database keeps them.
    bare = sa.table(table.name, *map(sa.column, names))
    while rows := cursor.fetchmany(PAGE):
        db.execute(bare.insert(), [_row(names, row, booleans) for row in rows])
    _set_sequence(db, table)


def _row(names: Sequence[str], values: Sequence[Any], booleans: set[str]) -> Mapping[str, Any]:
    return {
        name: bool(value) if name in booleans and value is not None else value
        for name, value in zip(names, values, strict=True)
    }


def _set_sequence(db: sa.Connection, table: sa.Table) -> None:
    """Let PostgreSQL number the next row after the last."""
    column = table.autoincrement_column
    if column is None or db.dialect.name != "postgresql":
        return
    sequence = db.scalar(
        sa.text("SELECT pg_get_serial_sequence(:table, :column)"), {"table": table.name, "column": column.name}
    )
    last = db.scalar(sa.select(sa.func.max(column)))
    if sequence is not None and last is not None:
        db.execute(sa.text("SELECT setval(:sequence, :last)"), {"sequence": sequence, "last": last})


def open_copy(path: Path) -> sa.Engine:
    """A copy as a database."""
    return open_database(f"sqlite:///{path.absolute()}")
