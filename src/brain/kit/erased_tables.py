"""Erasure in the consumers' tables and in the store: one walk over all of them, whichever plug-in they are of."""

from __future__ import annotations

from collections import Counter
from typing import Any

import sqlalchemy as sa

from brain.errors import Conflict
from brain.kit.database import reachable, reading
from brain.kit.erasure import Eraser
from brain.kit.positions import POSITIONS
from brain.kit.schema import declared_parts
from brain.kit.sql import chunks
from brain.store import DocumentChange
from brain.store.sqlite import SQLiteStore

OTHER_WAYS = frozenset({"audit", "identity", "projection"})
"""Parts that name nobody, and the audit log, of which the erasure keeps the proofs."""
_DECIDING = frozenset({"policy.rules", "policy.measures", "policy.measures.history", "policy.versions"})
_NAMED = 20
"""How many things that decide are named, of one place."""


Column = sa.Column[Any]


class Erased:
    """What was found: by place how many rows or documents were changed, and what was left because it decides."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.deciding: dict[str, list[str]] = {}

    def keep(self, place: str, name: str) -> None:
        """Note something that decides, and names the subject."""
        names = self.deciding.setdefault(place, [])
        if len(names) < _NAMED:
            names.append(name)


def erase_in_store(store: SQLiteStore, eraser: Eraser, found: Erased, *, dry: bool = False) -> None:
    """Replace the subject in keys and data of all documents, but of rules and measures. Blocks. Raises Unavailable.

    What another process changes meanwhile is left to the next walk.
    """
    for (collection,) in store.query("SELECT DISTINCT collection FROM documents ORDER BY 1", {}):
        for document in store.scan(collection):
            key, data = eraser.text(document.key), eraser.data(document.data)
            if (key, data) == (document.key, document.data):
                continue
            if collection in _DECIDING:
                found.keep(f"store: {collection}", eraser.text(document.key))
                continue
            found.counts[collection] += 1
            if dry:
                continue
            changes = [DocumentChange(collection, key, data, document.version if key == document.key else 0)]
            if key != document.key:
                gone = DocumentChange(collection, document.key, None, document.version)
                changes = [gone] if store.get(collection, key) is not None else [gone, *changes]
            try:
                store.write(changes)
            except Conflict:
                continue


def erase_in_tables(database: sa.Engine, eraser: Eraser, found: Erased, *, dry: bool = False) -> None:
    """Replace the subject in all texts of all tables, but in what decides. Blocks. Raises Unavailable.

    Where a row of the mark is there already, the subject's is deleted. A table of figures says in its `info`, under
    `merge`, what the other row then has of both; and under `changed` what else is to be done in the same transaction.
    """
    with reachable(database):
        there = set(sa.inspect(database).get_table_names())
        for part, metadata in declared_parts().items():
            for table in metadata.sorted_tables if part not in OTHER_WAYS else ():
                if table.name in there:
                    _erase_in_table(database, table, eraser, found, dry)


def _erase_in_table(database: sa.Engine, table: sa.Table, eraser: Eraser, found: Erased, dry: bool) -> None:
    key = list(table.primary_key)
    wanted: list[tuple[Any, ...]] = []
    with reading(database).connect() as db:
        for row in db.execute(sa.select(table).execution_options(yield_per=1000)).mappings():
            changed, deciding = _changed(table, row, eraser)
            if deciding:
                found.keep(table.name, ", ".join(eraser.text(str(row[column])) for column in key))
            if changed:
                wanted.append(tuple(row[column] for column in key))
    if dry:
        found.counts[table.name] += len(wanted)
        return
    for some in chunks(wanted):
        with database.begin() as db:
            if POSITIONS.name in sa.inspect(db).get_table_names():
                db.execute(sa.select(POSITIONS.c.name).with_for_update()).all()  # no consumer writes meanwhile
            for one in some:
                mine = sa.and_(*(column == value for column, value in zip(key, one, strict=True)))
                row_now = db.execute(sa.select(table).where(mine).with_for_update()).mappings().one_or_none()
                if row_now is not None and (changed := _changed(table, row_now, eraser)[0]):
                    _replace(db, table, row_now, changed, mine)
                    found.counts[table.name] += 1
            if "changed" in table.info:
                table.info["changed"](db)


def _changed(table: sa.Table, row: sa.RowMapping, eraser: Eraser) -> tuple[dict[Column, Any], bool]:
    """The columns that change, and whether one that decides names the subject."""
    changed: dict[Column, Any] = {}
    deciding = False
    for column in table.columns:
        before = row[column]
        if not isinstance(before, str | bytes | dict | list):
            continue
        after = eraser.value(before)
        if after == before:
            continue
        if column.info.get("policy"):
            deciding = True
            continue
        longest = getattr(column.type, "length", None)
        changed[column] = after[:longest] if isinstance(after, str) and longest else after
    return changed, deciding


def _replace(
    db: sa.Connection,
    table: sa.Table,
    row: sa.RowMapping,
    changed: dict[Column, Any],
    mine: sa.ColumnElement[bool],
) -> None:
    """Write the row as it is now; under a key that is taken, the two become one."""
    key = list(table.primary_key)
    theirs = sa.and_(*(column == changed.get(column, row[column]) for column in key))
    taken = sa.select(table).where(theirs).with_for_update()
    other = db.execute(taken).mappings().one_or_none() if changed.keys() & set(key) else None
    if other is None:
        db.execute(table.update().where(mine).values(changed))
        return
    db.execute(table.delete().where(mine))
    if "merge" in table.info:
        db.execute(table.update().where(theirs).values(dict(table.info["merge"](other, row))))
