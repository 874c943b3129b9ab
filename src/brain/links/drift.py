"""Schema drift: the types of the fields that a connector reads, and what of them is otherwise than it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from brain.kit.sql import upsert
from brain.links import tables
from brain.links.announce import announce
from brain.links.events import SCHEMA_DRIFT
from brain.text import clip_text

SETTLED = 20
"""Items after which a field that was in each of them is expected."""
_NAME = 200
_FIELDS = 1_000
_TYPES = {bool: "boolean", int: "number", float: "number", str: "string", dict: "object", list: "array"}


@dataclass(frozen=True, slots=True)
class Drift:
    """A field that changed: its type, or it is gone (`seen` is None)."""

    path: str
    expected: str
    seen: str | None


@dataclass(frozen=True, slots=True)
class Shape:
    """The fields so far: for each its type, and whether it was in every item. `items` counts up to SETTLED."""

    items: int
    fields: Mapping[str, tuple[str, bool]]


def types_of(fields: Mapping[str, Any]) -> dict[str, str]:
    """The JSON type of each field that is not null."""
    return {name: _TYPES.get(type(value), "string") for name, value in fields.items() if value is not None}


def compare(known: Shape | None, types: Mapping[str, str]) -> tuple[Shape, list[Drift]]:
    """The shape with another item, and what changed. A change is said once: the new type is expected then."""
    if known is None:
        return Shape(1, {name: (kind, True) for name, kind in types.items()}), []
    settled = known.items >= SETTLED
    fields, drifts = {}, []
    for name, (kind, always) in known.fields.items():
        seen = types.get(name)
        if seen is None:
            if always and settled:
                drifts.append(Drift(name, kind, None))
            fields[name] = (kind, False)
            continue
        if seen != kind:
            drifts.append(Drift(name, kind, seen))
        fields[name] = (seen, always)
    fields |= {name: (kind, False) for name, kind in types.items() if name not in fields}
    return Shape(min(known.items + 1, SETTLED), dict(list(fields.items())[:_FIELDS])), drifts


def compare_schema(known: Shape | None, types: Mapping[str, str]) -> tuple[Shape, list[Drift]]:
    """As `compare`, for a declared schema: a field that it has no more is gone at once."""
    if known is not None:
        known = Shape(SETTLED, {name: (kind, always) for name, (kind, always) in known.fields.items() if always})
    _, drifts = compare(known, types)
    return Shape(SETTLED, {name: (kind, True) for name, kind in types.items()}), drifts


def notice(
    db: Connection, connector: str, name: str, types: Mapping[str, str], now: float, schema: bool = False
) -> int:
    """Compare with the stored shape of this name, keep the new one, and put an event for each change; how many."""
    table, name = tables.shapes, clip_text(name, _NAME)
    row = db.execute(select(table).where(table.c.connector == connector, table.c.name == name)).one_or_none()
    known = None if row is None else Shape(row.items, {key: (kind, one) for key, (kind, one) in row.fields.items()})
    shape, drifts = (compare_schema if schema else compare)(known, types)
    if shape != known:
        fields = {key: list(value) for key, value in shape.fields.items()}
        upsert(db, table, [{"connector": connector, "name": name, "items": shape.items, "fields": fields}])
    for drift in drifts:
        payload = {
            "connector_id": connector,
            "name": name,
            "path": drift.path,
            "change": "vanished" if drift.seen is None else "type",
            "expected": drift.expected,
            "seen": drift.seen,
            "seen_at": now,
        }
        announce(db, SCHEMA_DRIFT, payload, now)
    return len(drifts)
