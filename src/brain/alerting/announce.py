"""The events of alerting, with the correlation id of the alert that they are about."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from brain.alerting.events import (
    ACKNOWLEDGED,
    CLOSED,
    NOTIFICATION_FAILED,
    NOTIFIED,
    NotificationPayload,
    SilenceChanged,
)
from brain.alerting.models import Alert
from brain.alerting.silences import Silence
from brain.charter import Event, EventType
from brain.kit.outbox import OutboxRow
from brain.stream.publisher import Publisher, publish_safely


def acknowledged(alert: Alert) -> Event:
    """An `alert.acknowledged`."""
    return ACKNOWLEDGED.event(
        {
            "alert_id": alert.id,
            "key": alert.key,
            "name": alert.name,
            "by": alert.acknowledged_by or "",
            "acknowledged_at": alert.acknowledged_at or alert.last_at,
        },
        meta={"correlation_id": alert.correlation_id},
    )


def closed(alert: Alert) -> Event:
    """An `alert.closed`."""
    return CLOSED.event(
        {
            "alert_id": alert.id,
            "key": alert.key,
            "name": alert.name,
            "by": alert.resolved_by or "",
            "closed_at": alert.resolved_at or alert.last_at,
        },
        meta={"correlation_id": alert.correlation_id},
    )


def silence_changed(change: EventType[SilenceChanged], silence: Silence) -> Event:
    """An `alert.silence_added` or `alert.silence_removed`."""
    return change.event(
        {
            "silence_id": silence.id,
            "matchers": [str(matcher) for matcher in silence.matchers],
            "starts_at": silence.starts_at,
            "ends_at": silence.ends_at,
            "by": silence.by,
            "reason": silence.reason,
        }
    )


def announce_notified(stream: Publisher, row: OutboxRow) -> None:
    """Publish `alert.notified`."""
    _publish_once(stream, NOTIFIED, {**_notified(row), "attempts": row.attempts}, row)


def announce_failed(stream: Publisher, row: OutboxRow, error: str) -> None:
    """Publish `alert.notification_failed`."""
    _publish_once(stream, NOTIFICATION_FAILED, {**_notified(row), "error": error}, row)


def _notified(row: OutboxRow) -> NotificationPayload:
    body = row.body
    return {
        "notifier": row.channel,
        "action": body["action"],
        "dedup_key": body["dedup_key"],
        "alert_ids": [alert["id"] for alert in body["alerts"]],
        "severity": body["severity"],
        "summary": body["summary"],
        "decided_at": row.created_at,
    }


def _publish_once(stream: Publisher, declared: EventType[Any], payload: Mapping[str, Any], row: OutboxRow) -> None:
    """Publish under an id made from the row: consumers recognise the event when the row is sent again."""
    alerts = row.body["alerts"]
    event = declared.event(dict(payload), meta={"correlation_id": alerts[0]["correlation_id"] if alerts else None})
    own = hashlib.sha256(f"{declared.name} {row.dedup} {row.created_at}".encode()).hexdigest()[:16]
    known: Event = msgspec.structs.replace(event, id=f"evt_soc_{int(row.created_at * 1000)}_{own}")
    publish_safely(stream, known)
