"""One registry of all connectors: those of the table [connectors], and the notifiers and ticket systems of today.

Notifiers are set up in [alerting.notifiers], ticket systems in [incidents]. Their plug-ins send through them; here they
are shown, with their health from the outbox that they are sent from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, Row

from brain.errors import NotFound
from brain.kit.outbox import ChannelState, channels
from brain.links import repository
from brain.links.models import CONSUMER, Connector, ConnectorId, ConnectorStatus, Direction
from brain.links.settings import ConnectorSettings
from brain.settings import CoreSettings

_WAITS_TOO_LONG = 300.0
"""Seconds after which a message that waits with an error means that its service is in error."""


def own(settings: ConnectorSettings) -> list[ConnectorId]:
    """The connectors of the table [connectors], by name."""
    inbound = [
        ConnectorId(name, table.kind, Direction.INBOUND, f"connectors.inbound.{name}")
        for name, table in settings.inbound.items()
    ]
    outbound = [
        ConnectorId(name, table.kind, Direction.OUTBOUND, f"connectors.outbound.{name}")
        for name, table in settings.outbound.items()
    ]
    return sorted([*inbound, *outbound], key=lambda one: one.name)


def others(settings: CoreSettings) -> Iterator[tuple[ConnectorId, str, str]]:
    """Today's notifiers and ticket systems, each with the consumer and the channel that it is sent through."""
    alerting: Any = getattr(settings, "alerting", None)
    for name, table in sorted(getattr(alerting, "notifiers", {}).items()):
        origin = f"alerting.notifiers.{name}"
        yield ConnectorId(f"alerting:{name}", table.kind, Direction.OUTBOUND, origin), "alerting", name
    incidents: Any = getattr(settings, "incidents", None)
    for kind in sorted(getattr(incidents, "systems", {})):
        yield ConnectorId(f"incidents:{kind}", kind, Direction.OUTBOUND, f"incidents.{kind}"), "incidents", kind


def list_connectors(db: Connection, settings: CoreSettings, now: float) -> list[Connector]:
    """Every connector with its state, inbound ones first, then by name."""
    table = settings.table(ConnectorSettings)
    rows = repository.everything(db)
    queues: dict[str, Mapping[str, ChannelState]] = {}

    def queue(consumer: str, channel: str) -> ChannelState | None:
        if consumer not in queues:
            queues[consumer] = {state.channel: state for state in channels(db, consumer)}
        return queues[consumer].get(channel)

    found = [_own(one, rows.get(one.name), queue(CONSUMER, one.name)) for one in own(table)]
    found += [_other(one, queue(consumer, channel), now) for one, consumer, channel in others(settings)]
    return sorted(found, key=lambda one: (one.id.direction, one.id.name))


def find_connector(db: Connection, settings: CoreSettings, name: str, now: float) -> Connector:
    """One of them. Raises NotFound."""
    for one in list_connectors(db, settings, now):
        if one.id.name == name:
            return one
    raise NotFound(f"connector {name!r}: is not set up; brain connectors list shows those there are")


def _own(one: ConnectorId, row: Row[Any] | None, queue: ChannelState | None) -> Connector:
    waiting = queue.waiting if queue is not None else 0
    if row is None:
        return Connector(id=one, waiting=waiting)
    return Connector(
        id=one,
        status=ConnectorStatus(row.status),
        status_since=row.status_since,
        error=row.error,
        paused_by=row.paused_by,
        last_at=row.last_at,
        received=row.received,
        duplicates=row.duplicates,
        refused=row.refused,
        failed=row.failed,
        sent=row.sent,
        waiting=waiting,
        cursor=row.cursor,
        cursor_at=row.cursor_at,
    )


def _other(one: ConnectorId, queue: ChannelState | None, now: float) -> Connector:
    """Its health as its outbox shows it."""
    if queue is None:
        return Connector(id=one)
    late = queue.oldest_waiting_at is not None and now - queue.oldest_waiting_at > _WAITS_TOO_LONG
    status = ConnectorStatus.OK if queue.sent else ConnectorStatus.UNKNOWN
    if queue.last_error is not None and (late or queue.refused):
        status = ConnectorStatus.ERROR
    return Connector(
        id=one,
        status=status,
        error=queue.last_error if status is ConnectorStatus.ERROR else None,
        sent=queue.sent,
        failed=queue.refused,
        waiting=queue.waiting,
    )
