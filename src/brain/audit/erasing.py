"""Erasure in the audit log: payloads that name a subject are deleted, and search fields that do are replaced.

Hashes, tree and checkpoints stay, and so do all proofs. The seal of the erasure takes the place of the entry's own in
verification, which covered fields that are gone. What a legal hold keeps stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine, select, update

from brain.audit.models import SearchFields
from brain.audit.retention import Hold, held_entries
from brain.audit.seal import Sealing
from brain.audit.stored_bytes import whole
from brain.audit.tables import entries, holds
from brain.audit.tree import Tampered
from brain.kit.database import reading
from brain.kit.erasure import Eraser

_PAGE = 1000
_NAMED = 20
_MASKED = ("agent", "threat", "correlation_id")
_COLUMNS = (entries.c.idx, entries.c.leaf_hash, entries.c.seal, entries.c.deletion, entries.c.payload)


@dataclass
class ErasedEntries:
    """How many entries lost their payload and how many had a search field replaced; which are held, and by what."""

    payloads: int = 0
    fields: int = 0
    held: list[int] = field(default_factory=list)
    held_by: set[str] = field(default_factory=set)


def erase_in_log(database: Engine, sealing: Sealing, eraser: Eraser, *, dry: bool = False) -> ErasedEntries:
    """Erase the subject from all entries that no hold keeps. In pages, each a transaction. Blocks.

    Raises Tampered for an entry that is not what it was when it was logged: an erasure would hide that.
    """
    done, after = ErasedEntries(), -1
    while True:
        with reading(database).connect() as connection:
            page = _page(connection, after)
        wanted = [row.idx for row in page if _names(row, eraser)]
        if wanted:
            with database.begin() as connection:
                _erase(connection, sealing, eraser, wanted, done, dry)
        if len(page) < _PAGE:
            return done
        after = page[-1].idx


def holds_naming(database: Engine, eraser: Eraser) -> list[str]:
    """The holds that name the subject: they decide, and stay as they are."""
    with reading(database).connect() as connection:
        rows = connection.execute(select(holds)).mappings().all()
    return [row["id"] for row in rows if eraser.value(dict(row)) != dict(row)]


def _page(connection: Connection, after: int, size: int = _PAGE) -> Sequence[Any]:
    query = select(*_COLUMNS, *(entries.c[name] for name in SearchFields._fields))
    return connection.execute(query.where(entries.c.idx > after).order_by(entries.c.idx).limit(size)).all()


def _names(row: Any, eraser: Eraser) -> bool:
    """Whether the entry's bytes or search fields have the subject."""
    data = whole(row.payload, row.event_id, row.type)
    return bool(_new_fields(row, eraser)) or (data is not None and eraser.event(data) != data)


def _new_fields(row: Any, eraser: Eraser) -> dict[str, Any]:
    found = {name: getattr(row, name) for name in _MASKED}
    return {name: new for name, text in found.items() if text is not None and (new := eraser.text(text)) != text}


def _erase(
    connection: Connection, sealing: Sealing, eraser: Eraser, wanted: Sequence[int], done: ErasedEntries, dry: bool
) -> None:
    held: dict[int, Sequence[Hold]] = held_entries(connection, wanted)
    for index in wanted:
        if index in held:
            done.held += [index][: _NAMED - len(done.held)]
            done.held_by |= {hold.id for hold in held[index]}
            continue
        (row,) = _page(connection, index - 1, 1)
        changed = _new_fields(row, eraser)
        done.payloads += row.payload is not None
        done.fields += bool(changed)
        if not dry:
            previous = connection.scalar(select(entries.c.seal).where(entries.c.idx == index - 1)) or sealing.first
            fields = SearchFields(*(getattr(row, name) for name in SearchFields._fields))
            _check(sealing, previous, row, fields)
            seal = sealing.erasure(previous, row.seal, row.leaf_hash, fields._replace(**changed))
            gone = {**changed, "payload": None, "deletion": seal}
            connection.execute(update(entries).where(entries.c.idx == index).values(**gone))


def _check(sealing: Sealing, previous: bytes, row: Any, fields: SearchFields) -> None:
    erased = sealing.erasure(previous, row.seal, row.leaf_hash, fields)
    if row.seal != sealing.next(previous, row.leaf_hash, fields) and row.deletion != erased:
        raise Tampered(f"entry {row.idx} is not what it was when it was logged; run brain audit verify")
