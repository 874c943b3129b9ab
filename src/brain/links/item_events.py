"""The event that an item becomes: `connector.received`, or one of the type that the mapping names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from brain.charter import Event
from brain.links.catalogue import mapped_event
from brain.links.events import RECEIVED, ConnectorReceived, PayloadRef
from brain.links.inbound import Inbound
from brain.links.mapping import Item


@dataclass(frozen=True, slots=True)
class Origin:
    """What the event says of the bytes that it was made from."""

    number: int | None
    """Of the delivery; None where it is not kept."""
    sha256: str
    bytes: int
    media_type: str
    at: float
    """When it came, in Unix seconds."""
    replayed: bool = False


def item_event(inbound: Inbound, item: Item, origin: Origin) -> Event:
    """The item's event. Raises EnvelopeError for one that does not fit its declared type."""
    uri = None if origin.number is None else f"/api/connectors/{inbound.name}/deliveries/{origin.number}"
    meta: dict[str, Any] = {"correlation_id": item.correlation_id}
    if inbound.mapping.type != RECEIVED.name:
        meta["connector"] = {"id": inbound.name, "name": item.name, "dedup_key": item.key, "delivery": uri}
        return mapped_event(inbound.mapping.type, item.fields, item.target, meta)
    about: PayloadRef = {"sha256": origin.sha256, "bytes": origin.bytes, "media_type": origin.media_type, "uri": uri}
    payload: ConnectorReceived = {
        "connector_id": inbound.name,
        "kind": inbound.settings.kind,
        "name": item.name,
        "subject": item.subject,
        "fields": dict(item.fields),
        "fields_cut": item.cut,
        "occurred_at": item.occurred_at,
        "dedup_key": item.key,
        "bytes": origin.bytes,
        "payload_ref": None if uri is None else about,
        "replayed": origin.replayed,
        "received_at": origin.at,
    }
    return RECEIVED.event(payload, target=item.target or inbound.name, meta=meta)
