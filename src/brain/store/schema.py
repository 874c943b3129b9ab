"""Schema versions: the form that a part's tables have in a database, and the numbered steps from each to the next.

Every database of ours has a table `brain_schema` with a row for each part that keeps tables there. Databases that were
made before it existed have version 1. docs/decisions/0019-numbered-steps.md says why the steps are our own.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from brain.errors import BrainError
from brain.logs import Log

log: Log = Log("brain.schema")

SCHEMAS = "brain_schema"
"""The table of versions; the same in SQLite and PostgreSQL."""

_TABLE = f"""CREATE TABLE IF NOT EXISTS {SCHEMAS} (
    part VARCHAR(50) NOT NULL PRIMARY KEY, version INTEGER NOT NULL, tables TEXT NOT NULL)"""


class NewerSchema(BrainError):
    """The tables were made by a newer version of this package, whose form this one does not know."""

    title = "Newer schema"


def newer_schema(where: str, part: str, version: int, known: int) -> NewerSchema:
    """The error for a part of that version, where those up to `known` are known."""
    return NewerSchema(
        f"{where}: the tables of {part!r} have schema version {version}, and this version of the package knows "
        f"those up to {known}; nothing was changed; install the version that was used last, or restore a backup "
        "from before it"
    )


@dataclass(frozen=True)
class Schema:
    """A part of an SQLite file: the n-th step, statements divided by `;`, makes version n out of version n-1.

    The first step makes the tables that are missing: it also runs on files from before versions were stored.
    """

    part: str
    steps: tuple[str, ...]

    @property
    def version(self) -> int:
        """The version that the steps lead to."""
        return len(self.steps)


def stored_version(db: sqlite3.Connection, part: str) -> int:
    """The version of the part in the file; 0 when none is stored."""
    known = db.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (SCHEMAS,)).fetchone()
    row = db.execute(f"SELECT version FROM {SCHEMAS} WHERE part = ?", (part,)).fetchone() if known else None
    return int(row[0]) if row else 0


def migrate(db: sqlite3.Connection, schema: Schema, path: Path) -> None:
    """Bring the part to this version, in one transaction; nothing is locked when it has it. In autocommit mode.

    Raises NewerSchema, and sqlite3.Error.
    """
    if _is_current(db, schema, path):
        return
    db.execute("BEGIN IMMEDIATE")
    try:
        if not _is_current(db, schema, path):  # another process may have been quicker
            stored = stored_version(db, schema.part)
            db.execute(_TABLE)
            for step in schema.steps[stored:]:
                for statement in _statements(step):
                    db.execute(statement)
            db.execute(f"INSERT OR REPLACE INTO {SCHEMAS} VALUES (?, ?, '')", (schema.part, schema.version))
            if stored:
                log.info("a schema was brought forward", file=str(path), part=schema.part, version=schema.version)
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _statements(step: str) -> Iterator[str]:
    """The statements of a step; what `;` divides within a trigger stays together."""
    statement = ""
    for part in step.split(";"):
        statement += f"{part};"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _is_current(db: sqlite3.Connection, schema: Schema, path: Path) -> bool:
    stored = stored_version(db, schema.part)
    if stored > schema.version:
        raise newer_schema(f"SQLite file {path}", schema.part, stored, schema.version)
    return stored == schema.version
