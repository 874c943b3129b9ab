"""The inbox's SQL, and the kinds of connection it runs on: DB-API, SQLAlchemy, SQLAlchemy's asyncio."""

from __future__ import annotations

import inspect
import re
import sqlite3
import sys
from collections.abc import Callable, Mapping
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast, runtime_checkable
from weakref import WeakKeyDictionary

from brain.errors import InvalidInput

if TYPE_CHECKING:
    import sqlalchemy
    from sqlalchemy import orm

T = TypeVar("T")

PARAMSTYLES = ("qmark", "format", "numeric", "named", "pyformat")
_POSTGRES_DRIVERS = ("psycopg", "psycopg2", "pg8000")
_IDLE = 0  # libpq's PQTRANS_IDLE
_AUTOCOMMIT = (
    "inbox: the connection commits each statement by itself, so that an id could be kept without its effect; begin a "
    "transaction before (BEGIN), or open the connection without autocommit"
)

_engine_tables: WeakKeyDictionary[object, set[str]] = WeakKeyDictionary()
"""The tables known to be there, by SQLAlchemy engine: its connections and sessions come and go."""


def table_name(name: str) -> str:
    """The name as given, `schema.table` included. Raises InvalidInput when it would need quoting."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)?", name):
        raise InvalidInput(f"table: {name!r} must be made of letters, digits and '_'")
    return name


@cache
def statement_for(purpose: str, dialect: str, table: str) -> str:
    """The SQL for a purpose, with `{name}` for parameters; "" for a look or a claim that the dialect lacks."""
    if purpose == "look":
        schema, dot, name = table.rpartition(".")
        looks = {
            "sqlite": f"SELECT 1 FROM {schema}{dot}sqlite_master WHERE name = '{name}' COLLATE NOCASE",
            "postgresql": f"SELECT 1 WHERE to_regclass('{table}') IS NOT NULL",
        }
        return looks.get(dialect, "")
    if purpose == "create":
        return (
            f"CREATE TABLE IF NOT EXISTS {table} (consumer VARCHAR(100) NOT NULL, event_id VARCHAR(255) NOT NULL, "
            "handled_at DOUBLE PRECISION NOT NULL, PRIMARY KEY (consumer, event_id))"
            + (" WITHOUT ROWID" if dialect == "sqlite" else "")
        )
    if purpose == "find":
        return f"SELECT 1 FROM {table} WHERE consumer = {{consumer}} AND event_id = {{event_id}}"
    insert = f"INSERT INTO {table} (consumer, event_id, handled_at) VALUES ({{consumer}}, {{event_id}}, {{handled_at}})"
    if purpose == "insert":
        return insert
    # One step, which takes the write lock at once, and waits for whoever holds the same key.
    return f"{insert} ON CONFLICT DO NOTHING RETURNING 1" if dialect in ("sqlite", "postgresql") else ""


class Database(Protocol):
    """A blocking connection of the user's."""

    @property
    def dialect(self) -> str:
        """`sqlite`, `postgresql`, or another name."""

    @property
    def tables(self) -> set[str]:
        """The tables known to be there; kept as long as what they were made through."""

    def query(self, sql: str, values: Mapping[str, object]) -> list[Any]:
        """Run a statement that returns rows."""

    def write(self, sql: str, values: Mapping[str, object]) -> int:
        """Run a statement that returns none; how many rows it changed."""

    def check_transaction(self) -> None:
        """Raise InvalidInput when each statement would be committed by itself."""

    def rollback(self) -> None:
        """Undo what is not committed."""


@runtime_checkable
class AsyncOwner(Protocol):
    """An AsyncConnection or AsyncSession of SQLAlchemy."""

    async def run_sync(self, work: Callable[[Any], T], /) -> T:
        """Run `work` with the blocking connection or session, where it may block."""

    async def rollback(self) -> None:
        """Undo what is not committed."""


def open_database(connection: object, paramstyle: str | None = None) -> Database | AsyncOwner:
    """The connection behind a face of ours. Raises InvalidInput when it is of no kind that we know."""
    if "sqlalchemy" in sys.modules and (found := _from_sqlalchemy(connection)) is not None:
        return found
    rollback = getattr(connection, "rollback", None)
    if inspect.iscoroutinefunction(rollback):
        raise InvalidInput(f"connection: {type(connection).__name__} is an async driver's; use it through SQLAlchemy")
    if callable(getattr(connection, "cursor", None)) and callable(rollback):
        return DbApi(cast(_Connection, connection), paramstyle)
    raise InvalidInput(
        f"connection: {type(connection).__name__} is neither a DB-API connection nor a Connection, Session, "
        "AsyncConnection or AsyncSession of SQLAlchemy"
    )


def _from_sqlalchemy(connection: object) -> Database | AsyncOwner | None:
    import sqlalchemy
    from sqlalchemy import orm

    if isinstance(connection, orm.scoped_session):
        connection = connection()
    if isinstance(connection, sqlalchemy.Connection | orm.Session):
        return SqlAlchemy(connection)
    if "sqlalchemy.ext.asyncio" not in sys.modules:
        return None
    from sqlalchemy.ext import asyncio

    if isinstance(connection, asyncio.async_scoped_session):
        connection = connection()
    return connection if isinstance(connection, asyncio.AsyncConnection | asyncio.AsyncSession) else None


class _Cursor(Protocol):
    rowcount: int

    def execute(self, sql: str, values: Any, /) -> object: ...

    def fetchall(self) -> list[Any]: ...

    def close(self) -> object: ...


class _Connection(Protocol):
    def cursor(self) -> _Cursor: ...

    def rollback(self) -> object: ...


class DbApi:
    """A connection as PEP 249 has it, with any of its five ways to write parameters."""

    def __init__(self, connection: _Connection, paramstyle: str | None) -> None:
        driver = _driver(connection)
        style = paramstyle or getattr(driver, "paramstyle", None)
        if style not in PARAMSTYLES:
            raise InvalidInput(
                f"paramstyle: {style!r} for {type(connection).__name__}; give one of {', '.join(PARAMSTYLES)}"
            )
        name = driver.__name__.partition(".")[0] if driver is not None else ""
        self.dialect: str = "sqlite" if name == "sqlite3" else "postgresql" if name in _POSTGRES_DRIVERS else name
        self.tables: set[str] = set()
        self._connection = connection
        self._style: str = style

    def query(self, sql: str, values: Mapping[str, object]) -> list[Any]:
        cursor = self._execute(sql, values)
        try:
            return cursor.fetchall()
        finally:
            cursor.close()

    def write(self, sql: str, values: Mapping[str, object]) -> int:
        cursor = self._execute(sql, values)
        count = cursor.rowcount
        cursor.close()
        return count

    def _execute(self, sql: str, values: Mapping[str, object]) -> _Cursor:
        marks = {name: _mark(self._style, name, number) for number, name in enumerate(values, 1)}
        by_name = self._style in ("named", "pyformat")
        cursor = self._connection.cursor()
        cursor.execute(sql.format(**marks), dict(values) if by_name else tuple(values.values()))
        return cursor

    def check_transaction(self) -> None:
        _refuse_autocommit(self._connection)

    def rollback(self) -> None:
        self._connection.rollback()


class SqlAlchemy:
    """A Connection, or the connection of a Session."""

    def __init__(self, owner: sqlalchemy.Connection | orm.Session) -> None:
        self._owner = owner

    @property
    def _connection(self) -> sqlalchemy.Connection:
        from sqlalchemy import Connection

        return self._owner if isinstance(self._owner, Connection) else self._owner.connection()

    @property
    def _engine(self) -> sqlalchemy.Engine:
        """Its engine, without touching the database: also of a session whose transaction has failed."""
        from sqlalchemy import Connection

        return (self._owner if isinstance(self._owner, Connection) else self._owner.get_bind()).engine

    @property
    def dialect(self) -> str:
        return self._engine.dialect.name

    @property
    def tables(self) -> set[str]:
        return _engine_tables.setdefault(self._engine, set())

    def query(self, sql: str, values: Mapping[str, object]) -> list[Any]:
        return list(self._execute(sql, values))

    def write(self, sql: str, values: Mapping[str, object]) -> int:
        return self._execute(sql, values).rowcount

    def _execute(self, sql: str, values: Mapping[str, object]) -> sqlalchemy.CursorResult[Any]:
        from sqlalchemy import text

        return self._connection.execute(text(sql.format(**{name: f":{name}" for name in values})), dict(values))

    def check_transaction(self) -> None:
        connection = self._connection
        if not connection.in_transaction():
            connection.begin()  # as its first statement would
        if connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT":
            raise InvalidInput(_AUTOCOMMIT)
        _refuse_autocommit(connection.connection.dbapi_connection)

    def rollback(self) -> None:
        self._owner.rollback()


def _driver(connection: object) -> ModuleType | None:
    """The DB-API module of a connection: the nearest package around its class that has a `paramstyle`."""
    for kind in type(connection).__mro__:
        name = kind.__module__
        while name:
            module = sys.modules.get(name)
            if module is not None and hasattr(module, "paramstyle"):
                return module
            name = name.rpartition(".")[0]
    return None


def _mark(style: str, name: str, number: int) -> str:
    marks = {"qmark": "?", "format": "%s", "numeric": f":{number}", "named": f":{name}", "pyformat": f"%({name})s"}
    return marks[style]


def _refuse_autocommit(connection: object) -> None:
    """Raise InvalidInput when the driver's connection is known to be in no transaction and to begin none by itself."""
    if isinstance(connection, sqlite3.Connection):
        autocommit = getattr(connection, "autocommit", -1)  # Python 3.12; -1 stands for the way before it
        alone = autocommit is True or (autocommit == -1 and connection.isolation_level is None)
        if alone and not connection.in_transaction:
            raise InvalidInput(_AUTOCOMMIT)
    elif getattr(connection, "autocommit", None) is True:
        info = getattr(connection, "info", None)  # psycopg and psycopg2: a transaction may be open all the same
        if getattr(info, "transaction_status", _IDLE) == _IDLE:
            raise InvalidInput(_AUTOCOMMIT)
