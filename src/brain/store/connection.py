"""An SQLite connection and the lock that threads take to use it; no fork ever carries one over."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import suppress

from brain.store import forking

_abandoned: list[sqlite3.Connection] = []
"""Connections that a thread of the parent was using when it forked: this process neither uses nor closes them."""


class LockedConnection(forking.ForkLock):  # type: ignore[misc]  # final in the stubs alone
    """A connection for one thread at a time: `with connection as db`. Safe to use before and after a fork, by both.

    It is closed before a fork, and each process opens its own at the next use. Opening one in the child is not enough:
    SQLite's library keeps a list of the file locks that it holds in this process. The child inherits the list, but not
    the locks, and so works without them. Once the parent closes the file, its write-ahead log is deleted while the
    child still writes to it and reads from it. `connect` may raise sqlite3.Error, and then the use raises it.
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        super().__init__()
        self._connect = connect
        self._closed = False
        self._connection: sqlite3.Connection | None = None
        forking.register(self)
        with self:  # opened only now, and behind the lock, so that no fork can overlook it
            pass

    def __enter__(self) -> sqlite3.Connection:  # type: ignore[override]
        try:
            self.acquire()
            if self._connection is None:
                if self._closed:
                    raise sqlite3.ProgrammingError("the connection is closed")
                self._connection = self._connect()
            return self._connection
        except BaseException:
            try:  # noqa: SIM105  (as in brain.locks, which says why; `__exit__` is the inherited one, too)
                self.release()
            except RuntimeError:
                pass
            raise

    def close(self) -> None:
        """Close it for good, once no thread is inside it. A use after that raises sqlite3.ProgrammingError."""
        self._closed = True
        with suppress(sqlite3.ProgrammingError), self:
            self._let_go()

    def before_fork(self) -> None:
        """Close the file until the next use."""
        super().before_fork()
        if self.held:
            self._let_go()

    def after_fork_in_child(self) -> None:
        """Let threads use it again, with a connection of this process's own."""
        super().after_fork_in_child()
        if self._connection is not None:
            _abandoned.append(self._connection)
            self._connection = None

    def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
