"""What is done now and then: what waits is mapped, old rows go, connectors that stay in error are reported."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, delete, select, update

from brain.charter import HealthKind, HealthSeverity
from brain.kit.protocols import HealthReport
from brain.links import tables
from brain.links.models import ConnectorStatus, DeliveryState
from brain.links.settings import ConnectorSettings

DAY = 86_400.0


def prune(db: Connection, settings: ConnectorSettings, now: float) -> int:
    """Delete deliveries and keys that are old enough; how many. What waits or failed goes with the others."""
    deliveries, seen = tables.deliveries, tables.seen
    old = deliveries.c.received_at < now - settings.keep_days * DAY
    gone = db.execute(delete(deliveries).where(old, deliveries.c.state != DeliveryState.WAITING.value)).rowcount
    for name, table in settings.inbound.items():
        forgotten = (seen.c.connector == name, seen.c.at < now - table.remember_days * DAY)
        gone += db.execute(delete(seen).where(*forgotten)).rowcount
    return gone


def left_waiting(db: Connection) -> list[str]:
    """The connectors that are not paused, and have deliveries that wait all the same: their resuming was cut short."""
    connectors, deliveries = tables.connectors, tables.deliveries
    query = (
        select(deliveries.c.connector)
        .join(connectors, connectors.c.name == deliveries.c.connector)
        .where(deliveries.c.state == DeliveryState.WAITING.value, connectors.c.paused.is_(False))
        .distinct()
    )
    return list(db.execute(query).scalars())


def in_error(db: Connection, settings: ConnectorSettings, now: float) -> Mapping[str, HealthReport]:
    """A health report for each connector that is in error for long, and is not reported; by its key."""
    table = tables.connectors
    query = select(table).where(
        table.c.status == ConnectorStatus.ERROR.value,
        table.c.status_since <= now - settings.error_seconds,
        table.c.reported_at.is_(None),
    )
    return {
        f"connectors {row.name} {row.status_since}": HealthReport(
            HealthSeverity.WARNING,
            HealthKind.AGENT_FAILURE,
            "connectors",
            f"connector {row.name} is in error: {row.error or 'no reason is known'}",
            {"connector_id": row.name, "kind": row.kind, "since": row.status_since},
        )
        for row in db.execute(query)
    }


def reported(db: Connection, name: str, now: float) -> None:
    """Note that the connector's error is reported."""
    table = tables.connectors
    db.execute(update(table).where(table.c.name == name).values(reported_at=now))
