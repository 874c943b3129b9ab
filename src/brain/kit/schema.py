"""The versions of the consumers' tables, and the steps from one to the next.

A plug-in declares its tables in `versioned("weather", step_2, step_3)` in the place of `MetaData()`. Tables that are
made now have the newest form and need no step. The n-th step takes those of an older database from version n to n + 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from brain.kit.sql import upsert
from brain.logs import Log
from brain.plugins import plugins
from brain.store.schema import SCHEMAS, NewerSchema, newer_schema

__all__ = [
    "POLICY",
    "NewerSchema",
    "add_column",
    "bring_forward",
    "declared_parts",
    "drop_column",
    "versioned",
]

log: Log = Log("brain.schema")

POLICY = {"policy": True}
"""The `info` of a column that decides something: an erasure names what is in it, and does not change it."""

_declared: dict[str, sa.MetaData] = {}

Step = Callable[[sa.Connection], None]

_METADATA = sa.MetaData()
VERSIONS = sa.Table(
    SCHEMAS,
    _METADATA,
    sa.Column("part", sa.String(50), primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("tables", sa.Text, nullable=False),
)
"""The version of each part, and the names of its tables, divided by spaces."""


def versioned(part: str, *steps: Step) -> sa.MetaData:
    """The MetaData for the tables of a part, with the steps that bring older ones forward, the second version's first.

    Of an index of some rows `sqlite_where` says which; it holds for PostgreSQL too.

    A step may run on tables that have its form already: `add_column` and `table.create(db, checkfirst=True)` allow for
    that.
    """
    metadata = sa.MetaData(info={"part": part, "steps": steps})
    _declared[part] = metadata
    return metadata


def declared_parts() -> Mapping[str, sa.MetaData]:
    """The `versioned` tables of all installed plug-ins and of what they are made from, by part.

    Raises InvalidInput for a broken plug-in.
    """
    for plugin in plugins().values():
        plugin.opener()  # imports the module, and so the tables
    return _declared


def bring_forward(db: sa.Connection, metadata: sa.MetaData) -> None:
    """Make the tables that are missing and bring the others to the newest version, in the caller's transaction.

    Raises NewerSchema. Tables whose MetaData is not `versioned` have version 1, under the name of the first.
    """
    names = [table.name for table in metadata.sorted_tables]
    part, steps = metadata.info.get("part", names[0]), metadata.info.get("steps", ())
    newest = len(steps) + 1
    if db.dialect.name == "postgresql":
        _make_indexes_partial(metadata)
    there = _make_missing(db, _METADATA)
    stored = db.execute(sa.select(VERSIONS.c.version, VERSIONS.c.tables).where(VERSIONS.c.part == part)).one_or_none()
    version = stored.version if stored is not None else 1 if set(names) & set(there) else newest
    if version > newest:
        raise newer_schema(f"database {db.engine.url.render_as_string()}", part, version, newest)
    row = {"part": part, "version": newest, "tables": " ".join(names)}
    known = stored is not None and (stored.version, stored.tables) == (newest, row["tables"])
    if known and there.issuperset(names):
        return
    for step in steps[version - 1 :]:
        step(db)
    _make_missing(db, metadata)
    if version < newest:
        log.info("a schema was brought forward", part=part, version=newest)
    if not known:
        upsert(db, VERSIONS, [row])


def _make_indexes_partial(metadata: sa.MetaData) -> None:
    """Give indexes the `sqlite_where` that they are declared with for PostgreSQL too.

    Declared as `postgresql_where`, it would have each process import that dialect.
    """
    for table in metadata.sorted_tables:
        for index in table.indexes:
            if (where := index.dialect_kwargs.get("sqlite_where")) is not None:
                index.dialect_kwargs["postgresql_where"] = where


def _make_missing(db: sa.Connection, metadata: sa.MetaData) -> set[str]:
    """Make the tables that are missing; the names of those that there were. One query, not one for each table."""
    there = set(sa.inspect(db).get_table_names())
    for table in metadata.sorted_tables:
        if table.name not in there:
            for statement in _creation(table, db.dialect):
                db.exec_driver_sql(statement)
    return there


def _creation(table: sa.Table, dialect: sa.Dialect) -> Sequence[str]:
    """The statements that make the table and its indexes, which are worked out once in a process."""
    key = f"made in {dialect.name}"
    if key not in table.info:
        indexes = sorted(table.indexes, key=lambda index: str(index.name))
        steps: list[sa.schema.ExecutableDDLElement] = [sa.schema.CreateTable(table)]
        steps += map(sa.schema.CreateIndex, indexes)
        table.info[key] = [str(step.compile(dialect=dialect)) for step in steps]
    statements: Sequence[str] = table.info[key]
    return statements


def add_column(db: sa.Connection, column: sa.Column[Any]) -> None:
    """Add the column to its table where it is missing; one that may not be null needs a `server_default`."""
    table = column.table
    if column.name in {known["name"] for known in sa.inspect(db).get_columns(table.name)}:
        return
    declared = sa.schema.CreateColumn(column).compile(dialect=db.dialect)
    db.exec_driver_sql(f"ALTER TABLE {db.dialect.identifier_preparer.format_table(table)} ADD COLUMN {declared}")


def drop_column(db: sa.Connection, table: str, column: str) -> None:
    """Drop a column that no index holds, where it is there; for a step, which reads what it kept before."""
    if column in {known["name"] for known in sa.inspect(db).get_columns(table)}:
        quote = db.dialect.identifier_preparer.quote
        db.exec_driver_sql(f"ALTER TABLE {quote(table)} DROP COLUMN {quote(column)}")
