"""Documents in an SQLite file, the one that also holds the stream. Safe for many threads and many processes."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from brain.errors import InvalidInput, Unavailable
from brain.store import Document
from brain.store.connection import LockedConnection
from brain.store.rules import check_key, check_version

BUSY_TIMEOUT = 5.0
"""Seconds to wait for another writer of the file before raising Unavailable."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS documents (
    collection TEXT NOT NULL, key TEXT NOT NULL, version INTEGER NOT NULL, data BLOB NOT NULL,
    PRIMARY KEY (collection, key)
);
CREATE TABLE IF NOT EXISTS document_revisions (collection TEXT PRIMARY KEY, revision INTEGER NOT NULL) WITHOUT ROWID;
"""
_COUNT_CHANGE = """
INSERT INTO document_revisions VALUES (?, 1) ON CONFLICT (collection) DO UPDATE SET revision = revision + 1
"""
_PUT = """
INSERT INTO documents VALUES (?, ?, 1, ?)
ON CONFLICT (collection, key) DO UPDATE SET version = version + 1, data = excluded.data
RETURNING version
"""


def sqlite_path(url: str) -> Path:
    """The file of `sqlite:///relative.db` or `sqlite:////absolute.db`. Raises InvalidInput for another form."""
    prefix, found, name = url.partition("sqlite:///")
    if prefix or not found or not name or name == ":memory:":
        raise InvalidInput(
            f"URL {url!r}: write sqlite:///brain.db (relative to the current folder), "
            "sqlite:////var/lib/brain.db (absolute), or memory:// to keep nothing"
        )
    return Path(name)


class SQLiteStore:
    """A Store in the file at `url`. Raises InvalidInput for a bad URL, Unavailable when the file cannot be used."""

    def __init__(self, url: str) -> None:
        self._path = sqlite_path(url)
        # Two connections, so that a reader never waits behind a writer that waits for another process.
        with self._named_errors():
            self._writer = LockedConnection(self._connect)
            with self._writer as db:
                db.executescript(_SCHEMA)
            self._reader = LockedConnection(self._connect)

    def get(self, collection: str, key: str) -> Document | None:
        check_key(collection, key)
        rows = self._read("SELECT key, version, data FROM documents WHERE collection = ? AND key = ?", collection, key)
        return rows[0] if rows else None

    def put(self, collection: str, key: str, data: bytes, expected: int | None = None) -> int:
        check_key(collection, key)
        with self._transaction() as write:
            if expected is not None:
                check_version(collection, key, self._version(write, collection, key), expected)
            version: int = write.execute(_PUT, (collection, key, data)).fetchone()[0]
            write.execute(_COUNT_CHANGE, (collection,))
        return version

    def delete(self, collection: str, key: str, expected: int | None = None) -> bool:
        check_key(collection, key)
        with self._transaction() as write:
            if expected is not None:
                check_version(collection, key, self._version(write, collection, key), expected)
            cursor = write.execute("DELETE FROM documents WHERE collection = ? AND key = ?", (collection, key))
            if cursor.rowcount:
                write.execute(_COUNT_CHANGE, (collection,))
        return cursor.rowcount > 0

    def scan(
        self, collection: str, *, start: str = "", limit: int | None = None, newest_first: bool = False
    ) -> Sequence[Document]:
        order = "DESC" if newest_first else "ASC"
        return self._read(
            f"SELECT key, version, data FROM documents WHERE collection = ? AND key >= ? ORDER BY key {order} LIMIT ?",
            collection,
            start,
            -1 if limit is None else limit,
        )

    def revision(self, collection: str) -> int:
        with self._named_errors(), self._reader as db:
            row = db.execute("SELECT revision FROM document_revisions WHERE collection = ?", (collection,)).fetchone()
        return int(row[0]) if row else 0

    def close(self) -> None:
        self._writer.close()
        self._reader.close()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False, cached_statements=32
        )
        use_wal(connection)
        connection.execute("PRAGMA synchronous = NORMAL")
        return connection

    def _read(self, statement: str, *values: str | int) -> list[Document]:
        with self._named_errors(), self._reader as db:
            return [Document(*row) for row in db.execute(statement, values)]

    @staticmethod
    def _version(connection: sqlite3.Connection, collection: str, key: str) -> int:
        row = connection.execute(
            "SELECT version FROM documents WHERE collection = ? AND key = ?", (collection, key)
        ).fetchone()
        return int(row[0]) if row else 0

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """One write transaction; IMMEDIATE, so that what it reads cannot be overtaken before it writes."""
        with self._named_errors(), self._writer as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise Unavailable(f"SQLite file {self._path}: {error}; check the path, its rights and the disk") from error


def use_wal(connection: sqlite3.Connection) -> None:
    """Switch the file to WAL. SQLite answers `locked` at once when another process does the same, so ask again."""
    deadline = time.monotonic() + BUSY_TIMEOUT
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.005)
