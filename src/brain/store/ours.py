"""SQLite files of ours: marked by `PRAGMA application_id`, so that another program's database is never written to.

Files of releases that did not mark them are known by their tables, and marked. A missing or empty file becomes ours.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from brain.errors import InvalidInput
from brain.store.sqlite_faults import explained

APPLICATION_ID = 0x42524E31
"""`BRN1`, as `file` and `PRAGMA application_id` show it."""

_SIGNATURES = (
    {"documents", "document_revisions"},
    {"events", "producers", "groups", "pending"},
    {"consumer_positions"},
    {"outbox", "soc_alerts"},
    {"audit_log", "audit_entries"},
    {"metrics_points", "metrics_buckets"},
    {"incidents_incidents", "incidents_mirrors"},
    {"soc_alerts", "soc_silences"},
)
"""Tables that together only a file of ours has."""


def claim(connection: sqlite3.Connection, path: Path) -> None:
    """Mark the file as ours, before anything else is written to it; a new one is for its user alone.

    The connection is in autocommit mode.

    Raises InvalidInput for a file of another program, which is left as it is.
    """
    tables = _tables_unless_marked(connection, path)
    if tables is None:
        return
    if not tables:
        with suppress(OSError):  # a file of another user that we may write stays his
            path.chmod(0o600)  # before the files beside it are made, which get the mode of this one
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")


def check_ours(path: Path) -> None:
    """Raise InvalidInput for a file of another program; the file is only read."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)) as db:
            _tables_unless_marked(db, path)
    except sqlite3.Error as error:
        raise InvalidInput(explained(path, error)) from error


def _tables_unless_marked(connection: sqlite3.Connection, path: Path) -> set[str] | None:
    """The tables of a file without our mark, which is ours or new; None for a marked one."""
    found, tables = _marks(connection)
    if found == APPLICATION_ID:
        return None
    if found != 0 or (tables and not any(signature <= tables for signature in _SIGNATURES)):
        shown = ", ".join(sorted(tables)[:3]) or "none"
        raise InvalidInput(
            f"SQLite file {path.absolute()} is the database of another program (its tables: {shown}); nothing was "
            "changed; give another file"
        )
    return tables


def _marks(connection: sqlite3.Connection) -> tuple[int, set[str]]:
    """The application_id and the tables of one moment: another process may be claiming and filling the file."""
    connection.execute("BEGIN")
    try:
        found: int = connection.execute("PRAGMA application_id").fetchone()[0]
        return found, {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    finally:
        connection.execute("ROLLBACK")


def check_exists(url: str) -> None:
    """For what only reads: raise InvalidInput when `url` names an SQLite file that is not there, and make none."""
    from brain.store.sqlite import sqlite_path

    if not url.startswith("sqlite:"):
        return
    path = sqlite_path(url)
    remedy = "go to the folder it is in, or name it with --stream; brain serve, or brain worker NAME, makes one"
    if not path.exists():
        raise InvalidInput(f"there is no database {path.absolute()}; {remedy}")
    if path.is_file() and _is_empty(path):
        raise InvalidInput(f"SQLite file {path.absolute()} is empty: there is no database in it; {remedy}")


def _is_empty(path: Path) -> bool:
    """Whether nobody has made a table in the file: it may become anybody's. The file is only read.

    Source: sqlite.org/fileformat2.html, "The Database Header": the schema cookie at 40, the application id at 68.
    """
    wal = path.with_name(f"{path.name}-wal")
    try:
        with path.open("rb") as file:
            header = file.read(100)
        has_news = wal.exists() and wal.stat().st_size > 0
    except OSError:
        return False  # who opens it says why
    if header and not header.startswith(b"SQLite format 3\0"):
        return False
    return not has_news and not any(header[40:44]) and header[68:72] != APPLICATION_ID.to_bytes(4, "big")
