"""What a witness has signed: an SQLite file, written before a signature is given. So no restart makes it forget."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from brain.errors import Unavailable

_TABLES = """
CREATE TABLE IF NOT EXISTS logs (origin TEXT PRIMARY KEY, size INTEGER NOT NULL, root BLOB NOT NULL,
                                 note BLOB NOT NULL, signed_at INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS heirs (origin TEXT NOT NULL, old TEXT NOT NULL, new TEXT NOT NULL,
                                  settled INTEGER NOT NULL, PRIMARY KEY (origin, old)) STRICT;
"""


@dataclass(frozen=True)
class Signed:
    """The last checkpoint of a log that the witness signed."""

    size: int
    root: bytes
    note: bytes
    signed_at: int
    """Unix seconds."""


class WitnessStore:
    """The file at `path`, made when it is missing. Each call is one transaction; several processes may share it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with self.changing() as db:
            db.executescript(_TABLES)

    @contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that no other can come between, on disk at its end. Raises Unavailable."""
        try:
            with closing(sqlite3.connect(self._path, timeout=5, isolation_level=None)) as db:
                db.execute("PRAGMA synchronous = FULL")
                db.execute("BEGIN IMMEDIATE")
                yield db
                if db.in_transaction:
                    db.execute("COMMIT")
        except sqlite3.Error as error:
            raise Unavailable(f"witness: its state in {self._path} cannot be used: {error}") from error

    def last(self, origin: str) -> Signed | None:
        """What was signed of the log last; None before the first time."""
        with self.changing() as db:
            return last_in(db, origin)


def last_in(db: sqlite3.Connection, origin: str) -> Signed | None:
    """As `WitnessStore.last`, inside a transaction."""
    row = db.execute("SELECT size, root, note, signed_at FROM logs WHERE origin = ?", (origin,)).fetchone()
    return None if row is None else Signed(*row)


def put_in(db: sqlite3.Connection, origin: str, signed: Signed) -> None:
    """Store what is about to be signed."""
    row = (origin, signed.size, signed.root, signed.note, signed.signed_at)
    db.execute("REPLACE INTO logs (origin, size, root, note, signed_at) VALUES (?, ?, ?, ?, ?)", row)


def heirs_in(db: sqlite3.Connection, origin: str) -> dict[str, tuple[str, bool]]:
    """By each key of the log that was handed over: the one that came after it, and whether that has signed since."""
    rows = db.execute("SELECT old, new, settled FROM heirs WHERE origin = ?", (origin,)).fetchall()
    return {old: (new, bool(settled)) for old, new, settled in rows}


def put_heir_in(db: sqlite3.Connection, origin: str, old: str, new: str, settled: bool) -> None:
    """The log's key `old` was handed over to `new`; once that is settled, it stays so, and `old` counts no more."""
    db.execute(
        "INSERT INTO heirs (origin, old, new, settled) VALUES (?, ?, ?, ?) ON CONFLICT (origin, old) "
        "DO UPDATE SET new = excluded.new, settled = excluded.settled WHERE NOT settled",
        (origin, old, new, settled),
    )
