"""The inbox: a handler's effect and the event's id in one transaction, so that the effect happens once.

    inbox = Inbox(connection, consumer="billing")

    def handle(event):
        with connection, inbox.once(event) as fresh:
            if fresh:
                connection.execute("UPDATE accounts SET ...")

An event is delivered again when its consumer dies between the commit and the acknowledgement; its id is then found in
the inbox. When it dies before the commit, neither the effect nor the id is there. See docs/inbox.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType

from brain.charter import Event
from brain.errors import InvalidInput
from brain.stream.inbox_sql import AsyncOwner, Database, SqlAlchemy, open_database, statement_for, table_name


class Inbox:
    """The ids of the events that one consumer has handled, kept in the database of its effects.

    `connection` is an sqlite3 or any other DB-API connection, or an SQLAlchemy Connection, Session, AsyncConnection or
    AsyncSession. `consumer` (at most 100 characters) says whose effects they are: each consumer sees each event once.
    `paramstyle` is needed only where the connection does not show its DB-API module. `create=False` leaves making
    the table to your migrations; `clock` gives Unix seconds. Raises InvalidInput.
    """

    def __init__(
        self,
        connection: object,
        *,
        consumer: str,
        table: str = "brain_inbox",
        paramstyle: str | None = None,
        create: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not 0 < len(consumer) <= 100:
            raise InvalidInput(f"consumer: {consumer!r} must have 1 to 100 characters")
        self.consumer = consumer
        self.table: str = table_name(table)
        opened = open_database(connection, paramstyle)
        self._database = None if isinstance(opened, AsyncOwner) else opened
        self._owner = opened if isinstance(opened, AsyncOwner) else None
        self._create = create
        self._clock = clock

    def once(self, event: Event) -> Once:
        """`with inbox.once(event) as fresh:` (`async with` for the async ones): `fresh` is False when it was handled.

        The id is stored in the transaction that the connection is in, or that begins with it; you commit it, with the
        effect, after the block. When the block raises, the transaction is rolled back. Raises InvalidInput on a
        connection that commits each statement by itself, and the driver's own errors, after which the event is to be
        delivered again; one of them may be that another consumer of this name commits the same event at this moment.
        """
        return Once(self, event.id)

    def prune(self, older_than: float) -> int:
        """Forget the events handled more than `older_than` seconds ago; how many. You commit it.

        Keep ids for longer than an event can come back: the stream's retention, and any redrive or replay into this
        consumer. With an async connection: `await connection.run_sync(lambda c: Inbox(c, consumer=...).prune(...))`.
        """
        database = self._blocking()
        self._make_table(database)
        return database.write(
            f"DELETE FROM {self.table} WHERE consumer = {{consumer}} AND handled_at < {{before}}",
            {"consumer": self.consumer, "before": self._clock() - older_than},
        )

    def create_table(self) -> None:
        """Make the table if it is not there, as `once` does when first used.

        On databases that commit at such a statement (MySQL, Oracle), do it at the program's start.
        """
        database = self._blocking()
        database.write(statement_for("create", database.dialect, self.table), {})

    def _claim(self, database: Database, event_id: str) -> bool:
        """Store the id; False when it is there already. A concurrent claim of the same id is waited for."""
        database.check_transaction()
        self._make_table(database)
        key: dict[str, object] = {"consumer": self.consumer, "event_id": event_id}
        row = {**key, "handled_at": self._clock()}
        try:
            if claim := statement_for("claim", database.dialect, self.table):
                return bool(database.query(claim, row))
            if database.query(statement_for("find", database.dialect, self.table), key):
                return False
            database.write(statement_for("insert", database.dialect, self.table), row)
            return True
        except Exception:
            database.tables.discard(self.table)  # seen in a transaction that was rolled back, or dropped: look again
            raise

    def _make_table(self, database: Database) -> None:
        """Make the table where it is not. It counts as known once it is found: who makes it may yet roll back."""
        if not self._create or self.table in database.tables:
            return
        look = statement_for("look", database.dialect, self.table)
        if look and database.query(look, {}):
            database.tables.add(self.table)
            return
        database.write(statement_for("create", database.dialect, self.table), {})
        if not look:
            database.tables.add(self.table)

    def _blocking(self) -> Database:
        if self._database is None:
            raise InvalidInput("inbox: this connection is an async one; write `async with inbox.once(event)`")
        return self._database

    def _awaitable(self) -> AsyncOwner:
        if self._owner is None:
            raise InvalidInput("inbox: this connection blocks; write `with inbox.once(event)`, without `async`")
        return self._owner


class Once:
    """What `Inbox.once` returns, for one `with` or `async with` statement."""

    __slots__ = ("_event_id", "_inbox")

    def __init__(self, inbox: Inbox, event_id: str) -> None:
        self._inbox = inbox
        self._event_id = event_id

    def __enter__(self) -> bool:
        database = self._inbox._blocking()
        try:
            return self._inbox._claim(database, self._event_id)
        except BaseException as error:
            _undo(database, error)
            raise

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if error is not None:
            _undo(self._inbox._blocking(), error)

    async def __aenter__(self) -> bool:
        owner = self._inbox._awaitable()
        try:
            return await owner.run_sync(lambda blocking: self._inbox._claim(SqlAlchemy(blocking), self._event_id))
        except BaseException as error:
            await _undo_async(owner, error)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if error is not None:
            await _undo_async(self._inbox._awaitable(), error)


def _undo(database: Database, error: BaseException) -> None:
    """Roll back, so that the id cannot be committed later without its effect; `error` goes on.

    Some drivers refuse this inside a transaction block of their own, which rolls back itself as the error passes it.
    """
    try:
        database.rollback()
    except Exception as refusal:  # noqa: BLE001  (goes on with the error that is on its way)
        error.add_note(f"inbox: not rolled back by the inbox: {refusal}")


async def _undo_async(owner: AsyncOwner, error: BaseException) -> None:
    try:
        await owner.rollback()
    except Exception as refusal:  # noqa: BLE001  (as above)
        error.add_note(f"inbox: not rolled back by the inbox: {refusal}")
