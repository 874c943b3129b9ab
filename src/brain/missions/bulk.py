"""Statements for many rows at once: what they are given goes in as one JSON list, and what they changed comes back.

So a group of a hundred calls is a handful of statements. Columns of JSON come back as the driver has them: `document`
makes both the same.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

_EACH = {
    "sqlite": "(SELECT {columns} FROM json_each(:given))",
    "postgresql": "(SELECT {columns} FROM jsonb_array_elements(CAST(:given AS jsonb)) AS one(value))",
}
_MEMBER = {
    "sqlite": "json_extract(value, '$[{place}]') AS {name}",
    "postgresql": "CAST(value ->> {place} AS {type}) AS {name}",
}
_NOT_AMONG = {
    "sqlite": sa.text("id NOT IN (SELECT value FROM json_each(:without))"),
    "postgresql": sa.text("id NOT IN (SELECT jsonb_array_elements_text(CAST(:without AS jsonb)))"),
}
_WORDS: Mapping[str, Mapping[str, str]] = {
    "sqlite": {"least": "min", "json": "{0}", "for_update": ""},
    "postgresql": {"least": "least", "json": "CAST({0} AS json)", "for_update": "ORDER BY id FOR UPDATE"},
}


class BulkStatement:
    """A statement over rows of the `given` columns, by name and SQL type, as `{given}` stands for them.

    `{least}`, `{for_update}` and `{json:COLUMN}` stand for what the databases say differently.
    """

    def __init__(self, text: str, **given: str) -> None:
        self._texts = {dialect: sa.text(_written(text, given, dialect)) for dialect in _EACH}

    def run(self, db: sa.Connection, rows: Sequence[Sequence[Any]], **more: Any) -> Sequence[Any]:
        """Execute it with these rows; what comes back. `more` are its other parameters."""
        return db.execute(self._texts[db.dialect.name], {"given": msgspec.json.encode(rows).decode(), **more}).all()


def not_among(db: sa.Connection, ids: Collection[str]) -> sa.TextClause:
    """For a query: rows whose `id` is none of these, however many these are."""
    return _NOT_AMONG[db.dialect.name].bindparams(without=msgspec.json.encode(sorted(ids)).decode())


def _written(text: str, given: Mapping[str, str], dialect: str) -> str:
    members = (
        _MEMBER[dialect].format(place=place, name=name, type=type) for place, (name, type) in enumerate(given.items())
    )
    each = _EACH[dialect].format(columns=", ".join(members))
    words = _WORDS[dialect]
    return text.format(given=each, least=words["least"], for_update=words["for_update"], json=_Json(words["json"]))


class _Json:
    def __init__(self, cast: str) -> None:
        self._cast = cast

    def __format__(self, column: str) -> str:
        return self._cast.format(column)


def document(value: Any) -> Any:
    """A list or an object out of a column of JSON."""
    if value.__class__ is not str:
        return value
    return msgspec.json.decode(value)
