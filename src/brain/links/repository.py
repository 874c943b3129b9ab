"""The rows of connectors: registered, changed with their events, read; all in the caller's transaction."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, and_, delete, insert, select, update

from brain.errors import NotFound
from brain.kit.sql import insert_into
from brain.links import tables
from brain.links.announce import announce
from brain.links.events import REGISTERED, STARTED, STATUS_CHANGED, STOPPED, UNREGISTERED
from brain.links.models import ConnectorId, ConnectorStatus
from brain.text import clip_text

ERROR = 1000
"""Most characters of an error that is kept."""
_rows = tables.connectors


def register(db: Connection, configured: Sequence[ConnectorId], now: float) -> None:
    """Make the rows those of the settings, with an event for each that came or went."""
    known = {row.name: row for row in db.execute(select(_rows.c.name, _rows.c.kind, _rows.c.direction))}
    for one in configured:
        if one.name not in known:
            _add(db, one, now)
        elif (known[one.name].kind, known[one.name].direction) != (one.kind, one.direction.value):
            changed = {"kind": one.kind, "direction": one.direction.value}
            db.execute(update(_rows).where(_rows.c.name == one.name).values(**changed))
    for name in sorted(known.keys() - {one.name for one in configured}):
        if db.execute(delete(_rows).where(_rows.c.name == name)).rowcount:
            announce(db, UNREGISTERED, {"connector_id": name, "unregistered_at": now}, now)


def _add(db: Connection, one: ConnectorId, now: float) -> None:
    values = {
        "name": one.name,
        "kind": one.kind,
        "direction": one.direction.value,
        "status": ConnectorStatus.UNKNOWN.value,
        "status_since": now,
        "paused": False,
        **dict.fromkeys(("received", "duplicates", "refused", "failed", "sent"), 0),
    }
    new = insert_into(db, _rows).values(values).on_conflict_do_nothing().returning(_rows.c.name)
    if db.execute(new).one_or_none() is not None:
        payload = {
            "connector_id": one.name,
            "connector_type": one.kind,
            "display_name": one.name,
            "direction": one.direction.value,
            "registered_at": now,
        }
        announce(db, REGISTERED, payload, now)


def find(db: Connection, name: str, lock: bool = False) -> Row[Any]:
    """The connector's row; `lock` keeps others from changing it until the transaction ends. Raises NotFound."""
    query = select(_rows).where(_rows.c.name == name)
    row = db.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        raise NotFound(f"connector {name!r}: is not known here; brain connectors list shows those there are")
    return row


def everything(db: Connection) -> dict[str, Row[Any]]:
    """All rows by name."""
    return {row.name: row for row in db.execute(select(_rows))}


def count(db: Connection, name: str, now: float, **more: int) -> None:
    """Add to the connector's counters; `now` is when something last came or went."""
    values: dict[str, Any] = {counter: _rows.c[counter] + number for counter, number in more.items() if number}
    db.execute(update(_rows).where(_rows.c.name == name).values(last_at=now, **values))


def set_status(db: Connection, row: Row[Any], status: ConnectorStatus, reason: str, now: float) -> None:
    """Set how the connector is, with an event when that is news. A paused one stays STOPPED."""
    error = clip_text(reason, ERROR) if status is ConnectorStatus.ERROR else None
    if row.paused and status is not ConnectorStatus.STOPPED:
        return
    if row.status == status.value:
        if row.error != error:
            db.execute(update(_rows).where(_rows.c.name == row.name).values(error=error))
        return
    values = {"status": status.value, "status_since": now, "error": error, "reported_at": None}
    db.execute(update(_rows).where(_rows.c.name == row.name).values(**values))
    payload = {
        "connector_id": row.name,
        "old_status": row.status,
        "new_status": status.value,
        "reason": clip_text(reason, ERROR),
        "changed_at": now,
    }
    announce(db, STATUS_CHANGED, payload, now)


def set_status_of(db: Connection, name: str, status: ConnectorStatus, reason: str, now: float) -> None:
    """As `set_status`; nothing for a connector that the settings have no more."""
    row = db.execute(select(_rows).where(_rows.c.name == name)).one_or_none()
    if row is not None:
        set_status(db, row, status, reason, now)


def pause(db: Connection, name: str, by: str | None, reason: str, now: float) -> bool:
    """Pause the connector; False when it is paused already. Raises NotFound."""
    row = find(db, name, lock=True)
    if row.paused:
        return False
    set_status(db, row, ConnectorStatus.STOPPED, reason or "paused", now)
    db.execute(update(_rows).where(_rows.c.name == name).values(paused=True, paused_by=by))
    about = {"connector_id": name, "connector_type": row.kind, "by": by}
    announce(db, STOPPED, {**about, "reason": reason, "stopped_at": now}, now)
    return True


def resume(db: Connection, name: str, by: str | None, now: float) -> bool:
    """Resume the connector; False when it is not paused. Raises NotFound."""
    row = find(db, name, lock=True)
    if not row.paused:
        return False
    db.execute(update(_rows).where(_rows.c.name == name).values(paused=False, paused_by=None))
    announce(db, STARTED, {"connector_id": name, "connector_type": row.kind, "by": by, "started_at": now}, now)
    set_status(db, find(db, name), ConnectorStatus.UNKNOWN, "resumed", now)
    return True


def claim(db: Connection, connector: str, keys: Iterable[str], now: float) -> frozenset[str]:
    """Those of the keys that were not seen; from now on all of them are, and were seen last now."""
    table = tables.seen
    fresh = set()
    for key in keys:
        digest = digest_of(key)
        row = {"connector": connector, "key": digest, "at": now}
        new = insert_into(db, table).values(row).on_conflict_do_nothing().returning(table.c.key)
        if db.execute(new).one_or_none() is not None:
            fresh.add(key)
        else:
            mine = and_(table.c.connector == connector, table.c.key == digest, table.c.at < now)
            db.execute(update(table).where(mine).values(at=now))
    return frozenset(fresh)


def digest_of(key: str) -> str:
    """What a key is stored as."""
    return hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()


def add_delivery(db: Connection, values: Mapping[str, Any]) -> int:
    """Keep a delivery; its number."""
    number = db.execute(insert(tables.deliveries).values(**values)).inserted_primary_key
    assert number is not None
    return int(number[0])


def delivery(db: Connection, connector: str, number: int) -> Row[Any]:
    """A delivery that is kept. Raises NotFound."""
    table = tables.deliveries
    row = db.execute(select(table).where(table.c.connector == connector, table.c.id == number)).one_or_none()
    if row is None:
        raise NotFound(f"delivery {number} of connector {connector!r}: is not kept; they go after keep_days")
    return row
