"""SQLite files of ours: marked by `PRAGMA application_id`, so that another program's database is never written to.

Files of releases that did not mark them are known by their tables, and marked. A missing or empty file becomes ours.
"""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from pathlib import Path

from brain.errors import InvalidInput

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
    found, tables = _marks(connection)
    if found == APPLICATION_ID:
        return
    if found != 0 or (tables and not any(signature <= tables for signature in _SIGNATURES)):
        shown = ", ".join(sorted(tables)[:3]) or "none"
        raise InvalidInput(
            f"SQLite file {path.absolute()} is the database of another program (its tables: {shown}); nothing was "
            "changed; give another file"
        )
    if not tables:
        with suppress(OSError):  # a file of another user that we may write stays his
            path.chmod(0o600)  # before the files beside it are made, which get the mode of this one
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")


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
    if not path.exists():
        raise InvalidInput(
            f"there is no database {path.absolute()}; go to the folder it is in, or name it with --stream; "
            "brain serve, or brain worker NAME, makes one"
        )
