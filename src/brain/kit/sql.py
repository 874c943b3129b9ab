"""SQL in which SQLite and PostgreSQL differ from SQLAlchemy's common part: upserts, and lists of values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import sqlalchemy as sa

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql, sqlite

V = TypeVar("V")

CHUNK = 500
"""Most values in one IN list: the databases take more, but plan longer."""


def insert_into(db: sa.Connection, table: sa.Table) -> postgresql.Insert | sqlite.Insert:
    """The insert of this connection's dialect, which has `on_conflict_do_update` and `on_conflict_do_nothing`."""
    return _insert(db.dialect.name, table)


def _insert(dialect: str, table: sa.Table) -> postgresql.Insert | sqlite.Insert:
    if dialect == "postgresql":
        from sqlalchemy.dialects.postgresql import insert

        return insert(table)
    from sqlalchemy.dialects.sqlite import insert as sqlite_insert

    return sqlite_insert(table)


def add_to(
    db: sa.Connection,
    table: sa.Table,
    rows: Sequence[Mapping[str, Any]],
    sums: tuple[str, ...],
    latest: tuple[str, ...] = (),
) -> None:
    """Insert the rows; to a row of the same primary key the columns `sums` are added, and those of `latest` replace it.

    All rows need the same keys. The statement is made once for a table.
    """
    if rows:
        db.execute(_adding(db.dialect.name, table, sums, latest), [*rows])


@cache
def _adding(dialect: str, table: sa.Table, sums: tuple[str, ...], latest: tuple[str, ...]) -> sa.Insert:
    statement = _insert(dialect, table)
    added: dict[str, Any] = {name: table.c[name] + statement.excluded[name] for name in sums}
    replaced = {name: statement.excluded[name] for name in latest}
    key = [column.name for column in table.primary_key]
    return statement.on_conflict_do_update(index_elements=key, set_=added | replaced)


def upsert(db: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]], *, keep: Sequence[str] = ()) -> None:
    """Insert the rows; where a row of the same primary key exists, overwrite its columns but those named in `keep`.

    All rows need the same keys; columns that they do not name stay as they are, too.
    """
    if not rows:
        return
    statement = insert_into(db, table)
    key = [column.name for column in table.primary_key]
    changed = {name: statement.excluded[name] for name in rows[0] if name not in key and name not in keep}
    if changed:
        db.execute(statement.on_conflict_do_update(index_elements=key, set_=changed), [*rows])
    else:
        db.execute(statement.on_conflict_do_nothing(index_elements=key), [*rows])


def insert_missing(db: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert those of the rows that break no unique key of the table; the others change nothing."""
    if rows:
        db.execute(insert_into(db, table).on_conflict_do_nothing(), [*rows])


def insert_tuples(
    db: sa.Connection, table: sa.Table, columns: tuple[str, ...], rows: Sequence[tuple[Any, ...]]
) -> None:
    """Insert very many rows: tuples of these columns, whose values must be what the driver takes.

    SQLAlchemy's own types would take half as long again.
    """
    if rows:
        db.exec_driver_sql(_insert_text(table, columns, db.dialect), [*rows])


def upsert_tuples(
    db: sa.Connection, table: sa.Table, columns: tuple[str, ...], rows: Sequence[tuple[Any, ...]]
) -> None:
    """As `upsert`, for very many rows, as tuples of these columns: their values must be what the driver takes."""
    if rows:
        db.exec_driver_sql(_upsert_text(table, columns, db.dialect), [*rows])


def delete_tuples(db: sa.Connection, table: sa.Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """Delete the rows with these primary keys, as tuples of what the driver takes."""
    if rows:
        db.exec_driver_sql(_delete_text(table, db.dialect), [*rows])


@lru_cache(maxsize=32)
def _upsert_text(table: sa.Table, columns: tuple[str, ...], dialect: sa.Dialect) -> str:
    quote, key = dialect.identifier_preparer.quote, _key_of(table)
    unique = ", ".join(map(quote, key))
    changed = ", ".join(f"{quote(name)} = excluded.{quote(name)}" for name in columns if name not in key)
    return f"{_insert_text(table, columns, dialect)} ON CONFLICT ({unique}) DO UPDATE SET {changed}"


@lru_cache(maxsize=32)
def _insert_text(table: sa.Table, columns: tuple[str, ...], dialect: sa.Dialect) -> str:
    quote = dialect.identifier_preparer.quote
    named, marks = ", ".join(map(quote, columns)), ", ".join([_mark(dialect)] * len(columns))
    return f"INSERT INTO {quote(table.name)} ({named}) VALUES ({marks})"


@lru_cache(maxsize=32)
def _delete_text(table: sa.Table, dialect: sa.Dialect) -> str:
    quote = dialect.identifier_preparer.quote
    which = " AND ".join(f"{quote(name)} = {_mark(dialect)}" for name in _key_of(table))
    return f"DELETE FROM {quote(table.name)} WHERE {which}"


def _key_of(table: sa.Table) -> list[str]:
    return [column.name for column in table.primary_key]


def _mark(dialect: sa.Dialect) -> str:
    return "?" if dialect.paramstyle == "qmark" else "%s"


def one_of(db: sa.Connection, column: sa.ColumnElement[Any], texts: Iterable[str]) -> sa.ColumnElement[bool]:
    """Whether the column is one of these texts, however many there are: they are one parameter, a JSON array."""
    given = sa.bindparam(None, msgspec.json.encode(list(texts)).decode(), sa.Text)
    if db.dialect.name == "postgresql":
        from sqlalchemy.dialects.postgresql import JSONB

        return column.in_(sa.select(sa.func.jsonb_array_elements_text(sa.cast(given, JSONB)).column_valued("value")))
    return column.in_(sa.select(sa.func.json_each(given).table_valued("value").c.value))


def chunks(values: Sequence[V]) -> Iterator[Sequence[V]]:
    """The values in pieces that fit into one IN list."""
    return (values[start : start + CHUNK] for start in range(0, len(values), CHUNK))
