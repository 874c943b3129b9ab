"""sqlite3 behind each of the five paramstyles of PEP 249, as drivers of other databases have them."""

from __future__ import annotations

import re
import sqlite3
from typing import Any

PLACEHOLDERS = {
    "qmark": (re.compile(r"\?"), tuple),
    "format": (re.compile(r"%s"), tuple),
    "numeric": (re.compile(r":[0-9]+"), tuple),
    "named": (re.compile(r":[a-z_]+"), dict),
    "pyformat": (re.compile(r"%\([a-z_]+\)s"), dict),
}


class StyledConnection:
    """Takes only parameters written in its own style."""

    def __init__(self, path: str, style: str) -> None:
        self.db = sqlite3.connect(path)
        self.style = style

    def cursor(self) -> StyledCursor:
        return StyledCursor(self.db.cursor(), self.style)

    def commit(self) -> None:
        self.db.commit()

    def rollback(self) -> None:
        self.db.rollback()


class StyledCursor:
    def __init__(self, cursor: sqlite3.Cursor, style: str) -> None:
        self._cursor = cursor
        self._own, self._kind = PLACEHOLDERS[style]

    def execute(self, sql: str, values: Any) -> None:
        assert type(values) is self._kind
        marks = self._own.findall(sql)
        assert len(marks) == len(values), f"{sql} for {values}"
        plain = self._own.sub("?", sql)
        assert not any(own.search(plain) for own, _ in PLACEHOLDERS.values() if own.pattern != r"\?")
        ordered = [values[re.sub(r"[^a-z_]|s$", "", mark)] for mark in marks] if self._kind is dict else values
        self._cursor.execute(plain, ordered)

    @property
    def rowcount(self) -> int:
        return self._cursor.rowcount

    def fetchall(self) -> list[Any]:
        return self._cursor.fetchall()

    def close(self) -> None:
        self._cursor.close()
