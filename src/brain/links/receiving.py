"""Deliveries as they come in: kept, mapped and turned into events, all in one transaction.

An item becomes an event once: its key is claimed in the transaction that puts the event. A delivery is answered after
the commit, so that a sender that had no answer sends again, and what it sends again is known.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, select, update

from brain.errors import InvalidInput
from brain.kit.outbox import put_event
from brain.links import drift, repository, tables
from brain.links.announce import announce
from brain.links.events import ERROR
from brain.links.inbound import Inbound
from brain.links.item_events import Origin, item_event
from brain.links.kinds import document_of, kept_body, kept_headers
from brain.links.mapping import Item, map_items
from brain.links.models import CONSUMER, ConnectorStatus, DeliveryState
from brain.text import clip_text

_REMOTE = 100


@dataclass(frozen=True, slots=True)
class Delivery:
    """What came, with a signature that fits."""

    headers: Mapping[str, str]
    body: bytes
    remote: str
    at: float


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a delivery. `id` is None for one that was known whole, and is not kept again."""

    id: int | None
    state: DeliveryState
    events: int
    duplicates: int
    error: str | None = None


@dataclass(frozen=True, slots=True)
class _Came:
    """A delivery with the headers that are kept, and the hash of its body."""

    delivery: Delivery
    headers: Mapping[str, str]
    sha256: str

    def origin(self, number: int, replayed: bool = False) -> Origin:
        media_type = self.headers.get("content-type", "application/json").partition(";")[0]
        return Origin(number, self.sha256, len(self.delivery.body), media_type, self.delivery.at, replayed)


def receive(db: Connection, inbound: Inbound, delivery: Delivery) -> Receipt:
    """Keep the delivery and put its events. Raises NotFound when the connector has no row yet."""
    row = repository.find(db, inbound.name, lock=True)
    came = _Came(delivery, kept_headers(inbound.kind, delivery.headers), hashlib.sha256(delivery.body).hexdigest())
    if row.paused:
        return Receipt(_keep(db, inbound, came, DeliveryState.WAITING), DeliveryState.WAITING, 0, 0)
    try:
        items = _items(inbound, came.headers, delivery.body, came.sha256)
        with db.begin_nested():
            return _accept(db, inbound, row, came, items)
    except InvalidInput as error:
        return _failed(db, row, _keep(db, inbound, came, DeliveryState.FAILED), error, delivery.at)


def _accept(db: Connection, inbound: Inbound, row: Row[Any], came: _Came, items: Sequence[Item]) -> Receipt:
    now = came.delivery.at
    fresh = repository.claim(db, inbound.name, [item.key for item in items], now)
    known = len(items) - len(fresh)
    if items and not fresh:
        repository.count(db, inbound.name, now, duplicates=known)
        return Receipt(None, DeliveryState.MAPPED, 0, known)
    number = _keep(db, inbound, came, DeliveryState.MAPPED)
    return _settle(db, inbound, row, _once(items, fresh), known, came.origin(number))


def remap(db: Connection, inbound: Inbound, number: int, now: float, again: bool) -> Receipt:
    """Map a delivery that is kept. `again`: also those of its items that are events already. Raises NotFound."""
    row, kept = repository.find(db, inbound.name, lock=True), repository.delivery(db, inbound.name, number)
    came = _Came(Delivery(kept.headers, kept.body, kept.remote or "", now), kept.headers, kept.sha256)
    try:
        items = _items(inbound, kept.headers, kept.body, kept.sha256)
        with db.begin_nested():
            fresh = repository.claim(db, inbound.name, [item.key for item in items], now)
            wanted = items if again else _once(items, fresh)
            return _settle(db, inbound, row, wanted, len(items) - len(wanted), came.origin(number, again))
    except InvalidInput as error:
        return _failed(db, row, number, error, now)


def waiting(db: Connection, name: str, states: Sequence[DeliveryState], since: float, limit: int) -> list[int]:
    """The numbers of the deliveries in these states that came since then, the oldest first."""
    table = tables.deliveries
    query = (
        select(table.c.id)
        .where(table.c.connector == name, table.c.state.in_(list(states)), table.c.received_at >= since)
        .order_by(table.c.id)
        .limit(limit)
    )
    return list(db.execute(query).scalars())


def _items(inbound: Inbound, headers: Mapping[str, str], body: bytes, digest: str) -> list[Item]:
    return list(map_items(inbound.mapping, document_of(inbound.kind, headers, body), headers, digest))


def _once(items: Sequence[Item], fresh: frozenset[str]) -> list[Item]:
    """The first item of each fresh key."""
    found = {item.key: item for item in reversed(items) if item.key in fresh}
    return [item for item in items if found.get(item.key) is item]


def _keep(db: Connection, inbound: Inbound, came: _Came, state: DeliveryState) -> int:
    values = {
        "connector": inbound.name,
        "state": state.value,
        "received_at": came.delivery.at,
        "remote": came.delivery.remote[:_REMOTE],
        "headers": dict(came.headers),
        "body": kept_body(came.headers, came.delivery.body),
        "bytes": len(came.delivery.body),
        "sha256": came.sha256,
        "events": 0,
    }
    return repository.add_delivery(db, values)


def _failed(db: Connection, row: Row[Any], number: int, error: InvalidInput, now: float) -> Receipt:
    """Note why the delivery could not be mapped, with an event when that is news."""
    words = clip_text(str(error), repository.ERROR)
    _note(db, number, DeliveryState.FAILED, 0, words)
    repository.count(db, row.name, now, failed=1)
    if (row.status, row.error) != (ConnectorStatus.ERROR, words):
        payload = {"connector_id": row.name, "error": words, "context": {"delivery": number}, "occurred_at": now}
        announce(db, ERROR, payload, now)
    repository.set_status(db, row, ConnectorStatus.ERROR, words, now)
    return Receipt(number, DeliveryState.FAILED, 0, 0, words)


def _settle(
    db: Connection, inbound: Inbound, row: Row[Any], items: Sequence[Item], known: int, origin: Origin
) -> Receipt:
    """Put the events of these items. Raises EnvelopeError for one that does not fit its declared type."""
    for item in items:
        if not item.cut:
            drift.notice(db, inbound.name, item.name, drift.types_of(item.fields), origin.at)
        put_event(db, CONSUMER, item_event(inbound, item, origin), origin.at)
    _note(db, origin.number, DeliveryState.MAPPED, len(items), None)
    repository.count(db, inbound.name, origin.at, received=len(items), duplicates=known)
    repository.set_status(db, row, ConnectorStatus.OK, "a delivery was mapped", origin.at)
    return Receipt(origin.number, DeliveryState.MAPPED, len(items), known)


def _note(db: Connection, number: int | None, state: DeliveryState, events: int, error: str | None) -> None:
    table = tables.deliveries
    changed = {"state": state.value, "events": table.c.events + events, "error": error}
    db.execute(update(table).where(table.c.id == number).values(**changed))
