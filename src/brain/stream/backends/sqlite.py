"""The stream in an SQLite file (WAL): the embedded default, shared by the processes of one machine.

One row an event. `synchronous=NORMAL` keeps every commit when a process dies; `durability="power"` uses FULL, which
also survives the loss of power. For looking around there is a view: SELECT type, count(*) FROM brain_events GROUP BY 1.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from itertools import accumulate
from pathlib import Path
from typing import Any

import msgspec

from brain.errors import Unavailable
from brain.file_notices import FileWatch, touch
from brain.logs import Log
from brain.store.connection import LockedConnection
from brain.store.ours import claim
from brain.store.rules import new_token
from brain.store.schema import Schema, migrate
from brain.store.sqlite import SQLiteFile, sqlite_file, use_wal
from brain.store.sqlite_faults import explained
from brain.stream.backends import (
    Branch,
    Entry,
    Fenced,
    GroupInfo,
    Held,
    MarkMismatch,
    NoGroup,
    StreamIdentity,
    position_number,
)
from brain.stream.dead_letters import DeadLetter, check_followed, unpack_letter
from brain.stream.matching import EventFilter

log: Log = Log("brain.stream")

_VERSION_1 = """
CREATE TABLE IF NOT EXISTS events (position INTEGER PRIMARY KEY AUTOINCREMENT, data BLOB NOT NULL, only_group TEXT);
CREATE TABLE IF NOT EXISTS event_times (position INTEGER PRIMARY KEY, stored_at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS producers (name TEXT PRIMARY KEY, mark TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS groups (
    name TEXT PRIMARY KEY, pattern TEXT NOT NULL, read_to INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS members (
    grp TEXT NOT NULL, consumer TEXT NOT NULL, beat INTEGER NOT NULL, PRIMARY KEY (grp, consumer)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pending (
    grp TEXT NOT NULL, position INTEGER NOT NULL, consumer TEXT NOT NULL, attempts INTEGER NOT NULL,
    PRIMARY KEY (grp, position)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS dead_letters (
    grp TEXT NOT NULL, position INTEGER NOT NULL, letter BLOB NOT NULL, PRIMARY KEY (grp, position)) WITHOUT ROWID;
CREATE VIEW IF NOT EXISTS brain_events AS
    SELECT position, json_extract(CAST(data AS TEXT), '$.type') AS type, CAST(data AS TEXT) AS event FROM events
"""
_VERSION_2 = """
CREATE TABLE stream_identity (
    one INTEGER PRIMARY KEY CHECK (one = 1), id TEXT NOT NULL, born INTEGER NOT NULL);
INSERT INTO stream_identity SELECT 1, lower(hex(randomblob(8))),
    coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'events'), 0);
CREATE TABLE stream_branches (
    number INTEGER PRIMARY KEY AUTOINCREMENT, token TEXT NOT NULL, position INTEGER NOT NULL, made_at REAL NOT NULL)
"""
_VERSION_3 = """
CREATE TABLE IF NOT EXISTS group_owners (grp TEXT PRIMARY KEY, owner TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS event_index (
    part INTEGER NOT NULL, block INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY (part, block))
"""
_BURY = """INSERT INTO dead_letters VALUES (?, ?, ?)
    ON CONFLICT (grp, position) DO UPDATE SET letter = excluded.letter"""
_LETTERS = "SELECT position, grp, letter FROM dead_letters WHERE grp = ? AND position > ? ORDER BY position LIMIT ?"
# Groups are shown with the number of their dead letters: to count them would be to read all of them.
_COUNTED = "INSERT INTO dead_counts VALUES ({row}.grp, {by}) ON CONFLICT (grp) DO UPDATE SET number = number + {by}"
_MORE, _LESS = _COUNTED.format(row="new", by="1"), _COUNTED.format(row="old", by="-1")
_VERSION_4 = f"""
CREATE TABLE dead_counts (grp TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO dead_counts SELECT grp, count(*) FROM dead_letters GROUP BY grp;
CREATE TRIGGER dead_letter_added AFTER INSERT ON dead_letters BEGIN {_MORE}; END;
CREATE TRIGGER dead_letter_deleted AFTER DELETE ON dead_letters BEGIN {_LESS}; END;
CREATE TRIGGER dead_letter_renamed AFTER UPDATE OF grp ON dead_letters BEGIN {_LESS}; {_MORE}; END
"""
_SCHEMA = Schema("stream", (_VERSION_1, _VERSION_2, _VERSION_3, _VERSION_4))
_AHEAD = 60.0  # seconds by which the clocks of two processes may differ
_ROWS = 250  # events written by one INSERT statement: one step, during which other threads of Python can run ...
_READ = """SELECT group_concat(position), group_concat(length(data)),
        CAST(group_concat(CAST(data AS TEXT), '') AS BLOB), count(only_group)
    FROM (SELECT position, CAST(data AS BLOB) AS data, only_group FROM events
        WHERE position > ? AND (only_group IS NULL OR only_group = ? OR ?) ORDER BY position LIMIT ?)"""
"""... and read by one. At each step the interpreter changes hands where others wait for it: to read row by row is to
wait for it a thousand times, and to hold up whoever has it."""
_HEAD = -1  # the `part` of what is kept of a block of the index besides its parts
_POLL = 0.002  # seconds between looks for events that another process stored, where the system tells of none
_SAFETY = 0.1  # seconds between such looks where it does: a process of an earlier version touches no file


_TIDIED_AFTER = 200  # transactions after which what they wrote is taken from the write-ahead log into the database ...
_TIDIED_EVERY = 1.0  # ... at most so often, in seconds, by a thread that no transaction waits for
_TIDIED_AT_ONCE = 4000  # pages in the log (16 MB) from which on a transaction does it


class SQLiteBackend:
    """A writing, a reading and a polling connection, each behind a lock.

    To take the pages of the write-ahead log into the database ends in two fsyncs, several milliseconds. A thread of its
    own does it, with a connection of its own, so that they are not in the way of an event.
    """

    durable = True

    def __init__(self, url: str, *, power: bool = False) -> None:
        self.path: Path = sqlite_file(url)
        self._log_file = self.path.with_name(f"{self.path.name}-wal")
        self._news = FileWatch(self._log_file)
        self._timed = 0.0
        self._untidied = 0  # transactions
        self._tidied_at = 0.0
        try:
            self._writer = LockedConnection(lambda: _connect(self.path, power))
            self._file = SQLiteFile(self.path)
            with self._writer as db:
                migrate(db, _SCHEMA, self.path)
            self._reader = LockedConnection(lambda: _connect(self.path, power))
            self._poller = LockedConnection(lambda: _connect(self.path, power))
        except (sqlite3.Error, OSError) as error:
            raise Unavailable(f"stream: {explained(self.path, error)}") from error
        self._last = int(self.tail() or 0)

    def append(
        self,
        producer: str,
        previous: str,
        mark: str,
        records: Sequence[bytes],
        meanwhile: Callable[[], None] | None = None,
    ) -> list[str]:
        """As Backend says."""
        with self._transaction() as db:
            row = db.execute("SELECT mark FROM producers WHERE name = ?", (producer,)).fetchone()
            stored = row[0] if row else ""
            if stored == mark:
                return []
            if stored != previous:
                raise MarkMismatch(stored)
            last = self._insert(db, records)
            db.execute("INSERT OR REPLACE INTO producers VALUES (?, ?)", (producer, mark))
            if last and (now := time.time()) - self._timed >= 1:
                db.execute("INSERT OR REPLACE INTO event_times VALUES (?, ?)", (last, now))
                self._timed = now
        self._last = max(self._last, last)
        return [str(position) for position in range(last - len(records) + 1, last + 1)]

    def _insert(self, db: sqlite3.Connection, records: Sequence[bytes]) -> int:
        last = 0
        for start in range(0, len(records), _ROWS):
            rows = records[start : start + _ROWS]
            statement = "INSERT INTO events (data) VALUES " + ",".join(["(?)"] * len(rows))
            last = db.execute(statement, rows).lastrowid or 0
        return last

    def wake_others(self) -> None:
        """As Backend says."""
        touch(self._log_file)

    def tidy(self) -> None:
        """As Backend says: it takes the write-ahead log into the database."""
        if self._untidied >= _TIDIED_AFTER and time.monotonic() - self._tidied_at >= _TIDIED_EVERY:
            self._untidied, self._tidied_at = 0, time.monotonic()
            threading.Thread(target=self._tidy, name="brain-tidier", daemon=True).start()

    def mark(self, producer: str) -> str:
        """As Backend says."""
        rows = self._query("SELECT mark FROM producers WHERE name = ?", producer)
        return str(rows[0][0]) if rows else ""

    def forget(self, producer: str) -> None:
        """As Backend says."""
        with self._transaction() as db:
            db.execute("DELETE FROM producers WHERE name = ?", (producer,))

    def read(self, after: str, limit: int, group: str | None = None) -> list[Entry]:
        """As Backend says."""
        with self._reading() as db:
            return _read(db, position_number(after), limit, group)

    def read_common(self, after: str, limit: int) -> list[Entry] | None:
        """As Backend says."""
        with self._reading() as db:
            found, theirs = _read_any(db, position_number(after), limit, None, True)
        return None if theirs else found

    def read_back(self, before: str, limit: int) -> list[Entry]:
        """As Backend says."""
        rows = self._query(
            "SELECT position, data FROM events WHERE position < ? AND only_group IS NULL "
            "ORDER BY position DESC LIMIT ?",
            position_number(before) if before else 1 << 62,
            limit,
        )
        return [Entry(str(position), data) for position, data in rows]

    def tail(self) -> str:
        """As Backend says."""
        rows = self._query("SELECT seq FROM sqlite_sequence WHERE name = 'events'")
        return str(rows[0][0]) if rows else ""

    def identity(self) -> StreamIdentity:
        """As Backend says."""
        query = """SELECT id, born, (SELECT min(position) FROM events),
            (SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'events') FROM stream_identity"""
        stream_id, born, oldest, last = self._query(query)[0]
        branches = self._query("SELECT token, position FROM stream_branches ORDER BY number")
        return StreamIdentity(
            stream_id,
            _position(born),
            _position(last if oldest is None else oldest - 1),
            tuple(Branch(token, _position(position)) for token, position in branches),
        )

    def branch(self, position: str | None = None) -> Branch:
        """As Backend says."""
        token = new_token()
        with self._transaction() as db:
            last = db.execute("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'events'").fetchone()[0]
            at = last if position is None else min(position_number(position), last)
            statement = "INSERT INTO stream_branches (token, position, made_at) VALUES (?, ?, ?)"
            db.execute(statement, (token, at, time.time()))
        return Branch(token, _position(at))

    def at(self, position: str) -> bytes | None:
        """As Backend says."""
        rows = self._query("SELECT data FROM events WHERE position = ?", position_number(position))
        return rows[0][0] if rows else None

    def position_at(self, unix_seconds: float) -> str:
        """As Backend says. A time that lies ahead of the clock counts for nothing: it is from before a step back."""
        rows = self._query(
            "SELECT max(position) FROM event_times WHERE stored_at <= ? AND position < coalesce("
            "(SELECT min(position) FROM event_times WHERE stored_at > ? AND stored_at <= ?), 1 << 62)",
            unix_seconds,
            unix_seconds,
            time.time() + _AHEAD,
        )
        return str(rows[0][0] or "")

    def newest_at(self) -> float | None:
        """As Backend says."""
        rows = self._query("SELECT stored_at FROM event_times ORDER BY position DESC LIMIT 1")
        return float(rows[0][0]) if rows else None

    def wait(self, after: str, timeout: float) -> str:
        """As Backend says."""
        position = position_number(after)
        deadline = time.monotonic() + timeout
        while self._last <= position:  # else this process has stored one
            self._news.follow()
            try:
                with self._poller as db:
                    row = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()
            except sqlite3.Error as error:
                raise Unavailable(f"stream: {explained(self.path, error)}") from error
            if row and row[0] > position:
                return str(row[0])
            left = deadline - time.monotonic()
            if left <= 0:
                return ""
            self._news.wait(min(left, _SAFETY), _POLL)
        return str(self._last)

    def create_group(self, group: str, pattern: str, start: str) -> None:
        """As Backend says."""
        with self._transaction() as db:
            db.execute(
                "INSERT INTO groups VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET pattern = excluded.pattern",
                (group, pattern, position_number(start)),
            )

    def drop_group(self, group: str) -> None:
        """As Backend says."""
        with self._transaction() as db:
            self._check_group(db, group)
            db.execute("DELETE FROM groups WHERE name = ?", (group,))
            for table in ("members", "pending", "dead_letters", "group_owners"):
                db.execute(f"DELETE FROM {table} WHERE grp = ?", (group,))

    def rename_group(self, old: str, new: str) -> bool:
        """As Backend says."""
        with self._transaction() as db:
            query = "SELECT name, read_to FROM groups WHERE name IN (?, ?)"
            read_to: dict[str, int] = dict(db.execute(query, (old, new)).fetchall())
            if old not in read_to or new in read_to:
                return False
            db.execute("UPDATE groups SET name = ? WHERE name = ?", (new, old))
            db.execute("DELETE FROM members WHERE grp = ?", (old,))
            for table in ("pending", "dead_letters"):
                db.execute(f"UPDATE {table} SET grp = ? WHERE grp = ?", (new, old))
            redriven = "UPDATE events SET only_group = ? WHERE only_group = ? AND position > ?"
            db.execute(redriven, (new, old, read_to[old]))
            return True

    def groups(self) -> list[GroupInfo]:
        """As Backend says."""
        tail = int(self.tail() or 0)
        rows = self._query(
            """SELECT name, pattern, read_to,
                (SELECT min(position) FROM pending WHERE grp = name), (SELECT count(*) FROM pending WHERE grp = name),
                coalesce((SELECT number FROM dead_counts WHERE grp = name), 0),
                CASE WHEN EXISTS (SELECT 1 FROM group_owners WHERE grp = name) THEN NULL
                ELSE (SELECT count(*) FROM members WHERE grp = name) END
            FROM groups ORDER BY name"""
        )
        return [
            GroupInfo(
                name=name,
                pattern=pattern,
                read_to=_position(read_to),
                safe=_position((oldest or read_to + 1) - 1),
                lag=max(0, tail - read_to),
                pending=pending,
                dead=dead,
                consumers=consumers,
            )
            for name, pattern, read_to, oldest, pending, dead, consumers in rows
        ]

    def advance(self, group: str, position: str) -> None:
        """As Backend says."""
        with self._transaction() as db:
            self._check_group(db, group)
            db.execute("UPDATE groups SET read_to = ? WHERE name = ?", (int(position or 0), group))

    def owners(self) -> dict[str, str]:
        """As Backend says."""
        return dict(self._query("SELECT grp, owner FROM group_owners"))

    def set_owner(self, group: str, owner: str, previous: str) -> str:
        """As Backend says."""
        with self._transaction() as db:
            row = db.execute("SELECT owner FROM group_owners WHERE grp = ?", (group,)).fetchone()
            stored = row[0] if row else ""
            if stored != previous:
                return str(stored)
            db.execute("INSERT OR REPLACE INTO group_owners VALUES (?, ?)", (group, owner))
            return owner

    def join(self, group: str, consumer: str) -> None:
        """As Backend says."""
        with self._transaction() as db:
            self._check_group(db, group)
            db.execute("INSERT OR IGNORE INTO members VALUES (?, ?, 0)", (group, consumer))

    def heartbeat(self, group: str, consumer: str) -> dict[str, int]:
        """As Backend says."""
        with self._transaction() as db:
            self._check_member(db, group, consumer)
            db.execute("UPDATE members SET beat = beat + 1 WHERE grp = ? AND consumer = ?", (group, consumer))
            return dict(db.execute("SELECT consumer, beat FROM members WHERE grp = ?", (group,)).fetchall())

    def expel(self, group: str, consumer: str, heartbeats: int | None = None) -> None:
        """As Backend says."""
        with self._transaction() as db:
            db.execute(
                "DELETE FROM members WHERE grp = ? AND consumer = ? AND beat = coalesce(?, beat)",
                (group, consumer, heartbeats),
            )

    def take_over(self, group: str, consumer: str) -> list[Held]:
        """As Backend says."""
        with self._transaction() as db:
            self._check_member(db, group, consumer)
            orphaned = "consumer NOT IN (SELECT consumer FROM members WHERE grp = :group)"
            rows = db.execute(
                f"SELECT p.position, data, attempts FROM pending p JOIN events e ON e.position = p.position "
                f"WHERE p.grp = :group AND {orphaned} ORDER BY p.position",
                {"group": group},
            ).fetchall()
            if rows:
                db.execute(
                    f"UPDATE pending SET consumer = :consumer WHERE grp = :group AND {orphaned}",
                    {"group": group, "consumer": consumer},
                )
            return [Held(str(position), data, attempts) for position, data, attempts in rows]

    def fetch(self, group: str, consumer: str, limit: int, wanted: EventFilter | None = None) -> list[Entry]:
        """As Backend says."""
        while True:
            with self._transaction() as db:
                self._check_member(db, group, consumer)
                read_to = db.execute("SELECT read_to FROM groups WHERE name = ?", (group,)).fetchone()[0]
                read = _read(db, read_to, limit, group)
                if not read:
                    return []
                entries = read if wanted is None else [entry for entry in read if wanted(entry.data)]
                db.execute("UPDATE groups SET read_to = ? WHERE name = ?", (int(read[-1].position), group))
                if entries:
                    held = f"[{','.join([entry.position for entry in entries])}]"
                    statement = "INSERT INTO pending SELECT ?, value, ?, 1 FROM json_each(?)"
                    db.execute(statement, (group, consumer, held))
            if entries:
                return entries

    def ack(self, group: str, consumer: str, positions: Sequence[str]) -> None:
        """As Backend says."""
        with self._transaction() as db:
            self._check_member(db, group, consumer)
            db.execute(
                "DELETE FROM pending WHERE grp = ? AND position IN (SELECT value FROM json_each(?))",
                (group, f"[{','.join(positions)}]"),
            )

    def count_attempt(self, group: str, position: str) -> int:
        """As Backend says."""
        with self._transaction() as db:
            row = db.execute(
                "UPDATE pending SET attempts = attempts + 1 WHERE grp = ? AND position = ? RETURNING attempts",
                (group, int(position)),
            ).fetchone()
            if row is None:
                raise Fenced(f"group {group!r}: {position} is not held")
            return int(row[0])

    def dead_letter(self, letter: DeadLetter, consumer: str) -> None:
        """As Backend says."""
        with self._transaction() as db:
            self._check_member(db, letter.group, consumer)
            key = (letter.group, int(letter.position))
            db.execute(_BURY, (*key, msgspec.msgpack.encode(letter)))
            db.execute("DELETE FROM pending WHERE grp = ? AND position = ?", key)

    def dead_letters(self, group: str | None = None, limit: int = 1000, after: str = "") -> list[DeadLetter]:
        """As Backend says."""
        first = position_number(after) if after else -1
        names = [group] if group is not None else [name for (name,) in self._query("SELECT name FROM groups")]
        found = [row for name in names for row in self._query(_LETTERS, name, first, limit)]
        return [unpack_letter(letter, name) for _, name, letter in sorted(found)[:limit]]

    def redrive(self, group: str, positions: Sequence[str] | None = None) -> int:
        """As Backend says."""
        with self._transaction() as db:
            letters = [unpack_letter(letter, group) for letter in self._take_dead(db, group, positions)]
            ((pattern,),) = db.execute("SELECT pattern FROM groups WHERE name = ?", (group,))
            check_followed(group, pattern, letters)
            rows = [(letter.data, group) for letter in letters]
            db.executemany("INSERT INTO events (data, only_group) VALUES (?, ?)", rows)
            last = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()
        self._last = max(self._last, last[0] if last else 0)
        self.wake_others()
        return len(letters)

    def discard(self, group: str, positions: Sequence[str] | None = None) -> int:
        """As Backend says."""
        with self._transaction() as db:
            return len(self._take_dead(db, group, positions))

    def _take_dead(self, db: sqlite3.Connection, group: str, positions: Sequence[str] | None) -> list[bytes]:
        self._check_group(db, group)
        chosen = json.dumps([position_number(position) for position in positions]) if positions is not None else None
        rows = db.execute(
            "DELETE FROM dead_letters WHERE grp = ? AND (? IS NULL OR position IN (SELECT value FROM json_each(?))) "
            "RETURNING position, letter",
            (group, chosen, chosen),
        ).fetchall()
        return [letter for _, letter in sorted(rows)]

    def size(self) -> tuple[int, int]:
        """As Backend says."""
        row = self._query("SELECT min(position) FROM events")[0][0]
        count = int(self.tail()) - row + 1 if row else 0
        pages = self._query("SELECT (SELECT page_count - freelist_count FROM pragma_page_count, pragma_freelist_count)")
        page_size = self._query("PRAGMA page_size")[0][0]
        return count, pages[0][0] * page_size

    def nth_oldest(self, n: int) -> str:
        """As Backend says."""
        row = self._query("SELECT min(position) FROM events")[0][0]
        return str(min(row + n - 1, int(self.tail()))) if row else ""

    def trim(self, up_to: str) -> int:
        """As Backend says."""
        with self._transaction() as db:
            count = db.execute("DELETE FROM events WHERE position <= ?", (int(up_to or 0),)).rowcount
            db.execute(
                "DELETE FROM event_times WHERE position < (SELECT max(position) FROM event_times WHERE position <= ?)",
                (int(up_to or 0),),
            )
            return count

    def rewrite(
        self, after: int, limit: int, change: Callable[[bytes], bytes], *, dry: bool = False
    ) -> tuple[int, int]:
        """Replace events after a position by what `change` gives for their bytes: in place, in one transaction.

        It looks at `limit` of them: the position of the last (0: there were none), and how many were changed. With
        `dry` nothing is changed, and they are only counted.
        """
        query = "SELECT position, data FROM events WHERE position > ? ORDER BY position LIMIT ?"
        found = [(position, bytes(data)) for position, data in self._query(query, after, limit)]
        changed = [(new, position) for position, data in found if (new := change(data)) != data]
        if changed and not dry:  # nobody else changes an event; one that was deleted meanwhile stays so
            with self._transaction() as db:
                db.executemany("UPDATE events SET data = ? WHERE position = ?", changed)
        return (found[-1][0] if found else 0), len(changed)

    def rewrite_letters(self, change: Callable[[DeadLetter], DeadLetter], *, dry: bool = False) -> int:
        """Replace dead letters by what `change` gives for them, in one transaction; how many were changed."""
        with self._transaction() as db:
            rows = db.execute("SELECT grp, position, letter FROM dead_letters").fetchall()
            letters = [(group, position, unpack_letter(packed, group)) for group, position, packed in rows]
            changed = [
                (msgspec.msgpack.encode(new), group, position)
                for group, position, letter in letters
                if (new := change(letter)) != letter
            ]
            if not dry:
                db.executemany("UPDATE dead_letters SET letter = ? WHERE grp = ? AND position = ?", changed)
        return len(changed)

    def index_blocks(self, after: int) -> list[tuple[int, bytes]]:
        """As Backend says."""
        return self._query(
            "SELECT block, data FROM event_index WHERE part = ? AND block > ? ORDER BY block", _HEAD, after
        )

    def index_parts(self, part: int, blocks: Sequence[int]) -> dict[int, bytes]:
        """As Backend says."""
        first, last = min(blocks, default=0), max(blocks, default=-1)
        query = "SELECT block, data FROM event_index WHERE part = ? AND block BETWEEN ? AND ?"
        return dict(self._query(query, part, first, last))

    def add_index_block(self, number: int, block: bytes, parts: Sequence[bytes]) -> bool:
        """As Backend says."""
        with self._transaction() as db:
            rows = [(_HEAD, number, block), *((part, number, data) for part, data in enumerate(parts))]
            head = db.execute("INSERT OR IGNORE INTO event_index VALUES (?, ?, ?)", rows[0])
            if not head.rowcount:
                return False
            db.executemany("INSERT OR REPLACE INTO event_index VALUES (?, ?, ?)", rows[1:])
            return True

    def drop_index_blocks(self, below: int | None) -> None:
        """As Backend says."""
        with self._transaction() as db:
            db.execute("DELETE FROM event_index WHERE block < coalesce(?, block + 1)", (below,))

    def for_child(self) -> SQLiteBackend:
        """As Backend says. Its connections open the file again by themselves: see LockedConnection."""
        child = copy(self)
        child._news = FileWatch(self._log_file)
        return child

    def close(self) -> None:
        """As Backend says."""
        self._news.close()
        for connection in (self._writer, self._reader, self._poller):
            connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._file.check()
        try:
            with self._writer as db:
                try:
                    db.execute("BEGIN IMMEDIATE")
                    yield db
                    db.execute("COMMIT")
                except BaseException:
                    if db.in_transaction:
                        db.execute("ROLLBACK")
                    raise
        except sqlite3.Error as error:
            raise Unavailable(f"stream: {explained(self.path, error)}") from error
        self._untidied += 1

    def _tidy(self) -> None:
        """Take what the write-ahead log holds into the database; what cannot be taken now is taken the next time."""
        try:
            tidier = LockedConnection(lambda: _connect(self.path, False))
            with tidier as db:
                db.execute("PRAGMA wal_checkpoint(PASSIVE)")
            tidier.close()
        except sqlite3.Error as error:
            log.debug("the write-ahead log was not tidied; a later turn does it", error=str(error))

    def _query(self, statement: str, *values: object) -> list[Any]:
        with self._reading() as db:
            return db.execute(statement, values).fetchall()

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        self._file.check()
        try:
            with self._reader as db:
                yield db
        except sqlite3.Error as error:
            raise Unavailable(f"stream: {explained(self.path, error)}") from error

    def _check_group(self, db: sqlite3.Connection, group: str) -> None:
        if db.execute("SELECT 1 FROM groups WHERE name = ?", (group,)).fetchone() is None:
            raise NoGroup(f"group {group!r} does not exist")

    def _check_member(self, db: sqlite3.Connection, group: str, consumer: str) -> None:
        if db.execute("SELECT 1 FROM members WHERE grp = ? AND consumer = ?", (group, consumer)).fetchone() is None:
            self._check_group(db, group)
            raise Fenced(f"group {group!r}: {consumer} is not a member any more")


def _read(db: sqlite3.Connection, after: int, limit: int, group: str | None) -> list[Entry]:
    """At most `limit` events for the group (None: for all) after a position."""
    return _read_any(db, after, limit, group, False)[0]


def _read_any(
    db: sqlite3.Connection, after: int, limit: int, group: str | None, of_all: bool
) -> tuple[list[Entry], int]:
    """As `_read`, with `of_all` those for any one group, too; and how many of them are for one group alone."""
    found: list[Entry] = []
    theirs = 0
    while len(found) < limit:
        size = min(_ROWS, limit - len(found))
        positions, lengths, data, count = db.execute(_READ, (after, group, of_all, size)).fetchone()
        if positions is None:
            break
        numbers, ends = positions.split(","), [*accumulate(map(int, lengths.split(",")))]
        found += [Entry(number, data[start:end]) for number, start, end in zip(numbers, [0, *ends], ends, strict=False)]
        after, theirs = int(numbers[-1]), theirs + count
        if len(numbers) < size:
            break
    return found, theirs


def _connect(path: Path, power: bool) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=5, isolation_level=None, check_same_thread=False, cached_statements=64)
    claim(db, path)
    use_wal(db)
    db.execute(f"PRAGMA synchronous={'FULL' if power else 'NORMAL'}")
    db.execute(f"PRAGMA wal_autocheckpoint={_TIDIED_AT_ONCE}")
    return db


def _position(number: int) -> str:
    return str(number) if number > 0 else ""
