"""The database of the consumers' tables: an SQLite file by default, PostgreSQL by URL, through SQLAlchemy Core."""

from __future__ import annotations

import re
import sqlite3
import tempfile
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from brain.errors import InvalidInput, Unavailable
from brain.extras import needs
from brain.platform import give_way

with needs(__name__):
    import sqlalchemy as sa

from brain.kit.schema import bring_forward
from brain.redis_client.url import masked
from brain.store.ours import claim
from brain.store.sqlite import sqlite_file, use_wal
from brain.store.sqlite_faults import explained
from brain.unreadable import FAULTS, left_out

if TYPE_CHECKING:
    from brain.settings import Settings

__all__ = [
    "OUTAGE",
    "Tables",
    "create_tables",
    "database_url",
    "default_database",
    "is_broken",
    "open_database",
    "reachable",
    "readable_rows",
    "reading",
]

_ROW_FAULTS = (*FAULTS, sa.exc.StatementError)

T = TypeVar("T")

BUSY_SECONDS = 30
"""How long a transaction waits for another writer of the SQLite file."""

OUTAGE = (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.InternalError, Unavailable)
"""The errors of a database that is away, locked or full: try again later."""

STEPS = 2_000
"""After so many steps of SQLite's machine, some 0.2 ms, a read lets others have the processor."""

_NO_OUTAGE = ("0A", "22", "23", "24", "2D", "42", "54")
"""Classes of SQLSTATE: not supported, bad data, a constraint, a cursor, a statement, a schema, a statement too big."""

_BROKEN = ("3F000", "42P01", "42703", "42501")
"""SQLSTATEs of a schema, table or column that is not there, and of a right that is missing."""
_MISSING = re.compile(r"no such (table|column)|has no column named").search

_made: weakref.WeakKeyDictionary[sa.Engine, set[sa.MetaData]] = weakref.WeakKeyDictionary()


def default_database(stream: str) -> str:
    """The database's URL where none is set: a file beside the stream's SQLite file, and in memory for `memory://`."""
    scheme, _, name = stream.partition("://")
    if scheme == "memory":
        return stream
    return f"sqlite://{name.removesuffix('.db')}-consumers.db" if scheme == "sqlite" else "sqlite:///brain-consumers.db"


def database_url(settings: Settings) -> str:
    """The database's URL by these settings."""
    return settings.database or default_database(settings.stream)


def open_database(url: str) -> sa.Engine:
    """An engine for `sqlite:///file.db`, `postgresql://user:password@host/name` or `memory://` (deleted at the end).

    Transactions on SQLite begin IMMEDIATE: they never fail halfway because another process wrote meanwhile.
    Raises InvalidInput for another URL, MissingExtra for a missing driver.
    """
    scheme = url.partition("://")[0]
    if scheme == "memory":
        folder = tempfile.TemporaryDirectory(prefix="brain-")
        engine = _sqlite(f"{folder.name}/consumers.db")
        weakref.finalize(engine, folder.cleanup)
        return engine
    if scheme == "sqlite":
        return _sqlite(str(sqlite_file(url)))
    if scheme in ("postgresql", "postgres", "postgresql+psycopg"):
        try:
            with needs("database: PostgreSQL", "postgres"):
                from brain.kit.postgresql import writing_engine

                engine = writing_engine(f"postgresql+psycopg{url[len(scheme) :]}")
        except sa.exc.ArgumentError as error:
            raise InvalidInput(
                f"database URL {masked(url)!r} is malformed; write postgresql://user@host/name"
            ) from error
        sa.event.listen(engine, "handle_error", _reclassify)
        return engine
    raise InvalidInput(f"database URL {masked(url)!r} is not known; use sqlite:///, postgresql:// or memory://")


def create_tables(engine: sa.Engine, metadata: sa.MetaData) -> None:
    """Make the tables that are missing, and bring older ones forward (`brain.kit.schema`); each engine is checked once.

    Several processes may do so at once. Raises Unavailable when the database does not answer, and NewerSchema.
    """
    made = _made.setdefault(engine, set())
    if metadata in made:
        return
    with reachable(engine), engine.begin() as db:
        if db.dialect.name == "postgresql":
            db.execute(sa.text("SELECT pg_advisory_xact_lock(7272601)"))
        bring_forward(db, metadata)
    made.add(metadata)


class Tables:
    """A plug-in's tables in a database: made before the first use. Its methods block."""

    def __init__(self, database: sa.Engine, make: Callable[[sa.Engine], None]) -> None:
        self._database = database
        self._make = make

    def read(self, query: Callable[[sa.Connection], T]) -> T:
        """What the query gives, in a transaction that only reads. Raises Unavailable."""
        self._make(self._database)
        with reachable(self._database), reading(self._database).begin() as db:
            return query(db)

    def change(self, work: Callable[[sa.Connection], T]) -> T:
        """What the work gives, in a transaction that writes. Raises Unavailable."""
        self._make(self._database)
        with reachable(self._database), self._database.begin() as db:
            return work(db)


def readable_rows(
    db: sa.Connection, query: sa.Select[Any], key: sa.Column[Any], read: Callable[[sa.Row[Any]], T]
) -> list[T]:
    """The rows of the query, each through `read`; those that cannot be read are left out and reported.

    `key` is the primary key of the table that the query is about.
    """
    try:
        return [read(row) for row in db.execute(query)]
    except _ROW_FAULTS as error:  # one row fails the whole query: now one by one
        if isinstance(error, OUTAGE):
            raise
    found = []
    for wanted in db.execute(query.with_only_columns(key)).scalars().all():
        try:
            found.append(read(db.execute(query.where(key == wanted)).one()))
        except _ROW_FAULTS as error:
            if isinstance(error, OUTAGE):
                raise
            left_out(key.table.name, str(wanted), error)
    return found


@contextmanager
def reachable(engine: sa.Engine) -> Iterator[None]:
    """Raise Unavailable, naming the database, for an outage inside the block, and for tables that are not there."""
    try:
        yield
    except sa.exc.DBAPIError as error:
        if isinstance(error, OUTAGE) or is_broken(error):
            raise Unavailable(_fault(engine, error)) from error
        raise


def is_broken(error: Exception) -> bool:
    """Whether every use of the database must fail: a table, column or right is missing, or the file is damaged."""
    original = error.orig if isinstance(error, sa.exc.DBAPIError) else None
    if isinstance(original, sqlite3.Error):
        code = getattr(original, "sqlite_errorcode", 0) & 0xFF
        return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or bool(_MISSING(str(original)))
    return getattr(original, "sqlstate", None) in _BROKEN


def _reclassify(context: sa.engine.ExceptionContext) -> None:
    """Raise as a ProgrammingError what a driver calls operational, although waiting mends nothing.

    SQLite has one code for a statement that cannot be run (no such table or column, bad syntax): SQLITE_ERROR.
    psycopg has the SQLSTATE: https://www.postgresql.org/docs/current/errcodes-appendix.html
    """
    original = context.original_exception
    if not isinstance(context.sqlalchemy_exception, OUTAGE):
        return
    if isinstance(original, sqlite3.Error):
        waiting = getattr(original, "sqlite_errorcode", sqlite3.SQLITE_BUSY) & 0xFF != sqlite3.SQLITE_ERROR
    else:
        state = getattr(original, "sqlstate", None)
        waiting = state is None or state[:2] not in _NO_OUTAGE
    if not waiting:
        raise sa.exc.ProgrammingError(context.statement, context.parameters, original) from original


def _fault(engine: sa.Engine, error: sa.exc.DBAPIError) -> str:
    if engine.dialect.name == "sqlite" and engine.url.database and error.orig is not None:
        return f"database: {explained(Path(engine.url.database), error.orig)}"
    return f"database {masked(engine.url.render_as_string())}: {str(error.orig).splitlines()[0]}"


def _sqlite(path: str) -> sa.Engine:
    engine = sa.create_engine(
        f"sqlite:///{path}",
        max_overflow=-1,  # threads bound how many there are
        connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False, "isolation_level": None},
    )

    @sa.event.listens_for(engine, "connect")
    def _connected(connection: Any, record: object) -> None:
        claim(connection, Path(path))
        use_wal(connection)
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA foreign_keys=ON")

    sa.event.listen(engine, "handle_error", _reclassify)

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        # A connection that says it only reads must not wait for writers: execution_options(read_only=True).
        reading = connection.get_execution_options().get("read_only", False)
        database: Any = connection.connection.dbapi_connection
        database.set_progress_handler(give_way if reading else None, STEPS)
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")

    return engine


def reading(engine: sa.Engine) -> sa.Engine:
    """The same database for reading: its transactions see one state and wait for no writer.

    PostgreSQL is read over connections of its own, which are closed with those of the engine.
    """
    if engine.dialect.name == "postgresql":
        from brain.kit.postgresql import reading_engine

        engine = reading_engine(engine)
    return engine.execution_options(read_only=True)
