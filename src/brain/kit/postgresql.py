"""PostgreSQL for the consumers' tables: nothing waits for it without a limit.

The server keeps the limits of statements, locks and idle transactions; a server that is frozen keeps none, so the
client gives up by itself a little later. https://www.postgresql.org/docs/current/runtime-config-client.html
"""

from __future__ import annotations

import time
import weakref
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg.abc import RV, PQGen

from brain.logs import Log

log: Log = Log("brain.database")

CONNECT_SECONDS = 5
"""How long a connection may take."""
STATEMENT_SECONDS = 30
"""How long a statement may take."""
GRACE_SECONDS = 5
"""How much longer the client waits than the server lets a statement take."""
IDLE_SECONDS = 2
"""How long a transaction that writes may do nothing: a node frozen inside one holds up the others for so long."""
LOCK_SECONDS = 2
"""How long a statement may wait for a lock. Who has waited for so long ends the sessions of frozen nodes, and its own
work is tried again."""
FROZEN_SECONDS = 1.5
"""How long PostgreSQL must have waited for the client of a session, inside a transaction, for it to count as frozen."""
READING_IDLE_SECONDS = 600
"""The same for one that only reads, and holds up nobody: an export may go into a slow pipe."""
POOL = 5
"""Connections kept open, for writing and for reading each. Threads bound how many there are at most."""

_WRITER = "brain-writing"
_END_FROZEN = sa.text(
    "SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
    "AND usename = current_user AND application_name = :writer AND state <> 'idle' AND wait_event_type = 'Client' "
    "AND greatest(state_change, query_start) < clock_timestamp() - make_interval(secs => :seconds)"
)

_readers: weakref.WeakKeyDictionary[sa.Engine, sa.Engine] = weakref.WeakKeyDictionary()


class _Connection(psycopg.Connection[Any]):
    """A connection that gives up a server which does not answer, and is closed then."""

    def wait(self, gen: PQGen[RV], *args: Any, **options: Any) -> RV:
        """As psycopg's. Raises OperationalError when the server is silent for longer than any statement may take."""
        return super().wait(self._until(gen, time.monotonic() + STATEMENT_SECONDS + GRACE_SECONDS), *args, **options)

    def _until(self, gen: PQGen[RV], end: float) -> PQGen[RV]:
        """The same generator, up to that time; psycopg sends 0 into it now and then when nothing has come."""
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if not ready and time.monotonic() > end:
                    self.pgconn.finish()
                    raise psycopg.OperationalError("the server does not answer")
                wanted = gen.send(ready)
        except StopIteration as ended:
            return ended.value  # type: ignore[no-any-return]


def writing_engine(url: str) -> sa.Engine:
    """An engine for transactions that write. What `options` of the URL set goes before the limits of this file.

    Raises ImportError without the driver, ArgumentError for a malformed URL.
    """
    engine = _engine(sa.make_url(url), _WRITER, idle=IDLE_SECONDS)

    @sa.event.listens_for(engine, "engine_disposed")
    def _disposed(_: sa.Engine) -> None:
        if (reader := _readers.pop(engine, None)) is not None:
            reader.dispose()

    @sa.event.listens_for(engine, "handle_error")
    def _failed(context: sa.ExceptionContext) -> None:
        if isinstance(context.original_exception, psycopg.errors.LockNotAvailable):
            _end_frozen(engine)

    return engine


def _end_frozen(engine: sa.Engine) -> None:
    """End the sessions that stand inside a transaction since their client says nothing.

    `idle_in_transaction_session_timeout` does that too, but not in the middle of a pipeline of statements.
    """
    try:
        with reading_engine(engine).begin() as db:
            ended = db.execute(_END_FROZEN, {"writer": _WRITER, "seconds": FROZEN_SECONDS}).all()
    except sa.exc.DBAPIError as error:
        log.warning("sessions of nodes that stand still cannot be looked for", error=str(error))
        return
    for row in ended:
        log.warning("ended the transaction of a node that stands still", session=row.pid)


def reading_engine(engine: sa.Engine) -> sa.Engine:
    """The engine for reading the same database, with connections of its own."""
    if (reader := _readers.get(engine)) is None:
        reader = _readers[engine] = _engine(engine.url, "brain-reading", idle=READING_IDLE_SECONDS)
    return reader


def _engine(url: sa.URL, name: str, *, idle: int) -> sa.Engine:
    limits = {
        "statement_timeout": STATEMENT_SECONDS,
        "lock_timeout": LOCK_SECONDS,
        "idle_in_transaction_session_timeout": idle,
    }
    ours = " ".join(f"-c {name}={seconds}s" for name, seconds in limits.items())
    given = dict(url.query)
    defaults = {
        "connect_timeout": CONNECT_SECONDS,
        "keepalives_idle": 10,
        "keepalives_interval": 3,
        "keepalives_count": 3,
        "tcp_user_timeout": 10_000,  # milliseconds
    }
    arguments: dict[str, Any] = {name: value for name, value in defaults.items() if name not in given}
    arguments["application_name"] = name
    arguments["options"] = f"{ours} {given.get('options', '')}".strip()
    engine = sa.create_engine(
        url.difference_update_query(["options"]),
        pool_pre_ping=True,
        pool_size=POOL,
        max_overflow=-1,
        connect_args=arguments,
    )

    @sa.event.listens_for(engine, "do_connect")
    def _connect(dialect: object, record: object, args: Any, options: Any) -> psycopg.Connection[Any]:
        return _Connection.connect(*args, **options)

    return engine
