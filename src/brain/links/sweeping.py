"""What is done now and then: what waits is mapped, old rows go, connectors that stay in error are reported."""

from __future__ import annotations

from sqlalchemy import Connection, delete, select, update

from brain.charter import HealthKind, HealthSeverity
from brain.kit.outbox import put_health
from brain.kit.protocols import HealthReport
from brain.links import tables
from brain.links.models import CONSUMER, ConnectorStatus, DeliveryState
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


def report_errors(db: Connection, settings: ConnectorSettings, now: float) -> None:
    """Report the health of each connector that is in error for long, once."""
    table = tables.connectors
    query = select(table).where(
        table.c.status == ConnectorStatus.ERROR.value,
        table.c.status_since <= now - settings.error_seconds,
        table.c.reported_at.is_(None),
    )
    for row in db.execute(query).all():
        report = HealthReport(
            HealthSeverity.WARNING,
            HealthKind.AGENT_FAILURE,
            CONSUMER,
            f"connector {row.name} is in error: {row.error or 'no reason is known'}",
            {"connector_id": row.name, "kind": row.kind, "since": row.status_since},
        )
        put_health(db, CONSUMER, report, now, key=f"{CONSUMER} {row.name} {row.status_since}")
        db.execute(update(table).where(table.c.name == row.name).values(reported_at=now))
