"""The events of connectors, put in the transaction of the change that they are about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from brain.charter import EventType
from brain.kit.outbox import put_event
from brain.links.models import CONSUMER


def announce(
    db: Connection, declared: EventType[Any], payload: Mapping[str, Any], now: float, **meta: str | None
) -> None:
    """Put an event about the connector that its payload names. Raises EnvelopeError."""
    event = declared.event(dict(payload), target=payload["connector_id"], meta=meta or None)
    put_event(db, CONSUMER, event, now)
