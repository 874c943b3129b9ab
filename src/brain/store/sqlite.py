"""Documents in an SQLite file, the one that also holds the stream. Safe for many threads and many processes."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from brain.errors import InvalidInput, Unavailable
from brain.logs import Log
from brain.store import (
    LOGGED_CHANGES,
    MARKS_KEPT,
    START,
    UNFOLLOWED,
    Document,
    DocumentChange,
    Mark,
    Reading,
    Step,
    Written,
)
from brain.store.closing import Closable
from brain.store.connection import LockedConnection
from brain.store.ours import claim
from brain.store.rules import Planned, SingleChanges, by_collection, check_key, new_token, planned
from brain.store.schema import Schema, migrate
from brain.store.sqlite_faults import explained

log: Log = Log("brain.sqlite")

BUSY_TIMEOUT = 5.0
"""Seconds to wait for another writer of the file before raising Unavailable."""

_FEW = 50
"""Up to so many keys are looked up one by one; for more, all versions of the collection are read at once."""
_PRUNED_EVERY = 100  # revisions

# The last two tables are younger than the first two: a file without them is given them, and keeps its documents.
_VERSION_1 = """
CREATE TABLE IF NOT EXISTS documents (
    collection TEXT NOT NULL, key TEXT NOT NULL, version INTEGER NOT NULL, data BLOB NOT NULL,
    PRIMARY KEY (collection, key)
);
CREATE TABLE IF NOT EXISTS document_revisions (collection TEXT PRIMARY KEY, revision INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS document_marks (
    collection TEXT NOT NULL, revision INTEGER NOT NULL, token TEXT NOT NULL, logged INTEGER NOT NULL,
    PRIMARY KEY (collection, revision, token)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS document_log (
    collection TEXT NOT NULL, revision INTEGER NOT NULL, key TEXT NOT NULL,
    PRIMARY KEY (collection, revision, key)
) WITHOUT ROWID
"""
_SCHEMA = Schema("store", (_VERSION_1,))
_MARK = """
SELECT revision, coalesce((SELECT token FROM document_marks
    WHERE collection = of.collection AND revision = of.revision AND logged >= 0), '')
FROM document_revisions AS of WHERE collection = ?
"""
_COUNT_CHANGE = """
INSERT INTO document_revisions VALUES (?, ?) ON CONFLICT (collection) DO UPDATE SET revision = excluded.revision
"""
_PUT = """
INSERT INTO documents VALUES (?, ?, ?, ?)
ON CONFLICT (collection, key) DO UPDATE SET version = excluded.version, data = excluded.data
"""
_OLDEST_KEPT = """
SELECT revision FROM document_marks WHERE collection = ? ORDER BY revision DESC LIMIT 1 OFFSET ?
"""
_ALL = "SELECT key, version, data FROM documents WHERE collection = ? ORDER BY key DESC LIMIT ?"
_JOINED = -1  # in `logged`: a revision of another line


def sqlite_path(url: str) -> Path:
    """The file of `sqlite:///relative.db` or `sqlite:////absolute.db`. Raises InvalidInput for another form.

    As `leading_somewhere`, it raises it in a folder that is gone, too.
    """
    prefix, found, name = url.partition("sqlite:///")
    if prefix or not found or not name or name == ":memory:":
        raise InvalidInput(
            f"URL {url!r}: write sqlite:///brain.db (relative to the current folder), "
            "sqlite:////var/lib/brain.db (absolute), or memory:// to keep nothing"
        )
    return leading_somewhere(Path(name))


def leading_somewhere(path: Path) -> Path:
    """The path. Raises InvalidInput for a relative one where the current folder was deleted."""
    if not path.is_absolute():
        try:
            os.getcwd()
        except FileNotFoundError as error:
            raise InvalidInput(
                f"{path}: the current folder was deleted; change to another one, or name an absolute path"
            ) from error
    return path


def sqlite_file(url: str) -> Path:
    """The file of the URL whatever becomes of the current folder, and whichever symbolic link leads to it."""
    return Path(os.path.realpath(sqlite_path(url)))


def absolute_url(url: str) -> str:
    """The URL with the path of an SQLite file made absolute; any other as it is."""
    return f"sqlite:///{sqlite_path(url).absolute()}" if url.startswith("sqlite:///") else url


class SQLiteFile:
    """The file that was opened. Deleted or replaced, connections go on in what nobody will ever find again."""

    def __init__(self, path: Path) -> None:
        """Raises OSError when there is no such file."""
        self._path = path
        found = os.stat(path)
        self._opened = (found.st_dev, found.st_ino)
        self._said = False

    def check(self) -> None:
        """Raises Unavailable when the path does not lead to the opened file any more. Takes about a microsecond."""
        try:
            found = os.stat(self._path)
        except OSError as error:
            self._refuse(f"was deleted ({error.strerror})", error)
        if (found.st_dev, found.st_ino) != self._opened:
            self._refuse("was replaced by another")

    def _refuse(self, fate: str, cause: OSError | None = None) -> NoReturn:
        message = f"SQLite file {self._path}: {fate} while it was open; restart this process to go on in the new one"
        if not self._said:
            self._said = True
            log.error("SQLite file lost", path=str(self._path), error=message)
        raise Unavailable(message) from cause


class SQLiteStore(SingleChanges, Closable):
    """A Store in the file at `url`. Raises InvalidInput for a bad URL, Unavailable when the file cannot be used."""

    def __init__(self, url: str) -> None:
        self._path = sqlite_file(url)
        self._file: SQLiteFile | None = None
        # Three connections: who reads a little waits neither for a writer that waits for another process, nor for one
        # who reads much.
        with self._named_errors():
            self._writer = LockedConnection(self._connect)
            self._file = SQLiteFile(self._path)
            with self._writer as db:
                migrate(db, _SCHEMA, self._path)
            self._reader = LockedConnection(self._connect)
            self._bulk_reader = LockedConnection(self._connect)

    def get(self, collection: str, key: str) -> Document | None:
        """As Store says."""
        check_key(collection, key)
        rows = self._read("SELECT key, version, data FROM documents WHERE collection = ? AND key = ?", collection, key)
        return rows[0] if rows else None

    def write(self, changes: Sequence[DocumentChange], joins: Mapping[str, Sequence[Mark]] = {}) -> Written:
        """As Store says."""
        groups = by_collection(changes)
        with self._transaction() as connection:
            plans = {
                name: planned(groups.get(name, []), _versions(connection, name, groups.get(name, [])))
                for name in {**groups, **joins}
            }
            steps = {name: _apply(connection, name, plan, joins.get(name, ())) for name, plan in plans.items()}
        return Written([plans[one.collection].versions[one.key] for one in changes], steps)

    def read(self, collection: str, since: Mark | None = None, last: int | None = None) -> Reading:
        """As Store says."""
        with self._snapshot(self._reader) as db:
            mark = _mark(db, collection)
            if since == mark:
                return Reading(mark, continues=True, whole=False)
            if since is not None and (changed := _changes(db, collection, since, mark)):
                return changed
        with self._snapshot(self._bulk_reader) as db:
            return _everything(db, collection, since, last)

    def scan(
        self, collection: str, *, start: str = "", limit: int | None = None, newest_first: bool = False
    ) -> Sequence[Document]:
        """As Store says."""
        order = "DESC" if newest_first else "ASC"
        return self._read(
            f"SELECT key, version, data FROM documents WHERE collection = ? AND key >= ? ORDER BY key {order} LIMIT ?",
            collection,
            start,
            -1 if limit is None else limit,
        )

    def get_several(self, collection: str, keys: Sequence[str]) -> Sequence[Document]:
        """Those of the documents that are there, in no order."""
        statement = """SELECT key, version, data FROM documents
            WHERE collection = ? AND key IN (SELECT value FROM json_each(?))"""
        return self._read(statement, collection, json.dumps(keys))

    def make_tables(self, schema: Schema) -> None:
        """Make tables of a caller beside the documents, or bring them forward. Raises NewerSchema."""
        with self._named_errors(), self._writer as db:
            migrate(db, schema, self._path)

    def query(self, statement: str, values: Mapping[str, Any]) -> list[Any]:
        """The rows of a caller's statement, which only reads."""
        with self._named_errors(), self._reader as db:
            return db.execute(statement, values).fetchall()

    def change(self, statements: Sequence[str], values: Mapping[str, Any]) -> list[Any]:
        """Run a caller's statements in one transaction; the rows of the last one."""
        with self._transaction() as db:
            for statement in statements:
                found = db.execute(statement, values).fetchall()
        return found

    def mark(self, collection: str) -> Mark:
        """As Store says."""
        with self._named_errors(), self._reader as db:
            return _mark(db, collection)

    def close(self) -> None:
        """As Store says."""
        self._about_to_close()
        for connection in (self._writer, self._reader, self._bulk_reader):
            connection.close()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False, cached_statements=32
        )
        claim(connection, self._path)
        use_wal(connection)
        connection.execute("PRAGMA synchronous = NORMAL")
        return connection

    def _read(self, statement: str, *values: str | int) -> list[Document]:
        with self._named_errors(), self._reader as db:
            return [Document(*row) for row in db.execute(statement, values)]

    @contextmanager
    def _snapshot(self, connection: LockedConnection) -> Iterator[sqlite3.Connection]:
        """All that is read within is of one moment."""
        with self._named_errors(), connection as db:
            try:
                db.execute("BEGIN")
                yield db
            finally:
                if db.in_transaction:
                    db.execute("COMMIT")

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """One write transaction; IMMEDIATE, so that what it reads cannot be overtaken before it writes."""
        with self._named_errors(), self._writer as db:
            try:
                db.execute("BEGIN IMMEDIATE")
                yield db
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        if self._file is not None:
            self._file.check()
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise Unavailable(explained(self._path, error)) from error


def _mark(connection: sqlite3.Connection, collection: str) -> Mark:
    row = connection.execute(_MARK, (collection,)).fetchone()
    return Mark(*row) if row else START


def _versions(connection: sqlite3.Connection, collection: str, changes: Sequence[DocumentChange]) -> dict[str, int]:
    """The present versions of the keys that the changes are about; those that are absent are left out."""
    if len(changes) > _FEW:
        return dict(connection.execute("SELECT key, version FROM documents WHERE collection = ?", (collection,)))
    found = {}
    for change in changes:
        row = connection.execute(
            "SELECT version FROM documents WHERE collection = ? AND key = ?", (collection, change.key)
        ).fetchone()
        if row:
            found[change.key] = int(row[0])
    return found


def _apply(connection: sqlite3.Connection, collection: str, plan: Planned, joins: Sequence[Mark]) -> Step:
    connection.executemany(_PUT, [(collection, *row) for row in plan.puts])
    connection.executemany(
        "DELETE FROM documents WHERE collection = ? AND key = ?", [(collection, key) for key in plan.deletes]
    )
    if collection in UNFOLLOWED:
        return Step(START, START)
    before = _mark(connection, collection)
    changed = [*(key for key, _, _ in plan.puts), *plan.deletes]
    if not (changed or joins):
        return Step(before, before)
    after = Mark(max(before.revision, *(mark.revision for mark in joins), 0) + 1, new_token())
    logged = len(changed) <= LOGGED_CHANGES and not joins
    connection.execute(_COUNT_CHANGE, (collection, after.revision))
    rows = [*((collection, *mark, _JOINED) for mark in joins), (collection, *after, int(logged))]
    connection.executemany("INSERT OR IGNORE INTO document_marks VALUES (?, ?, ?, ?)", rows)
    if logged:
        rows_of_log = [(collection, after.revision, key) for key in changed]
        connection.executemany("INSERT INTO document_log VALUES (?, ?, ?)", rows_of_log)
    if joins or after.revision % _PRUNED_EVERY == 0:
        _prune(connection, collection)
    return Step(before, after)


def _prune(connection: sqlite3.Connection, collection: str) -> None:
    row = connection.execute(_OLDEST_KEPT, (collection, MARKS_KEPT)).fetchone()
    if row:
        for table in ("document_marks", "document_log"):
            connection.execute(f"DELETE FROM {table} WHERE collection = ? AND revision <= ?", (collection, row[0]))


def _changes(connection: sqlite3.Connection, collection: str, since: Mark, mark: Mark) -> Reading | None:
    """What changed since then; None when the whole must be read."""
    if not _goes_on(connection, collection, since, mark):
        return None
    rows = _marks_after(connection, collection, since.revision)
    if sum(logged == 1 for _, _, logged in rows) != mark.revision - since.revision:
        return None
    query = """SELECT DISTINCT log.key, version, data FROM document_log AS log LEFT JOIN documents AS of
        ON of.collection = log.collection AND of.key = log.key WHERE log.collection = ? AND log.revision > ?"""
    changed = connection.execute(query, (collection, since.revision)).fetchall()
    documents = [Document(*row) for row in changed if row[1] is not None]
    deleted = [row[0] for row in changed if row[1] is None]
    return Reading(mark, True, False, documents, deleted, [Mark(*row[:2]) for row in rows])


def _everything(connection: sqlite3.Connection, collection: str, since: Mark | None, last: int | None) -> Reading:
    mark = _mark(connection, collection)
    continues = since is not None and _goes_on(connection, collection, since, mark)
    rows = _marks_after(connection, collection, since.revision if since is not None and continues else 0)
    found = connection.execute(_ALL, (collection, -1 if last is None else last)).fetchall()
    documents = [Document(*row) for row in reversed(found)]
    return Reading(mark, continues, True, documents, marks=[Mark(*row[:2]) for row in rows])


def _marks_after(connection: sqlite3.Connection, collection: str, revision: int) -> list[tuple[int, str, int]]:
    return connection.execute(
        "SELECT revision, token, logged FROM document_marks WHERE collection = ? AND revision > ? ORDER BY revision",
        (collection, revision),
    ).fetchall()


def _goes_on(connection: sqlite3.Connection, collection: str, since: Mark, mark: Mark) -> bool:
    """Whether the store has the revision `since`, made by the same write."""
    if not since.token:
        return mark.revision >= since.revision
    query = "SELECT 1 FROM document_marks WHERE collection = ? AND revision = ? AND token = ?"
    return connection.execute(query, (collection, *since)).fetchone() is not None


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
