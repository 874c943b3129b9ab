"""The events of alerting, with the correlation id of the alert that they are about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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


def notified(row: OutboxRow, recipients: Sequence[str] = ()) -> Event:
    """An `alert.notified`; `recipients` are the addresses that were reached, where not all were."""
    return NOTIFIED.event({**_notified(row, recipients), "attempts": row.attempts}, meta=_meta(row))


def notification_failed(row: OutboxRow, error: str, recipients: Sequence[str] = ()) -> Event:
    """An `alert.notification_failed`; `recipients` are the addresses that were not reached, where others were."""
    return NOTIFICATION_FAILED.event({**_notified(row, recipients), "error": error}, meta=_meta(row))


def _notified(row: OutboxRow, recipients: Sequence[str]) -> NotificationPayload:
    body = row.body
    return {
        "notifier": row.channel,
        "action": body["action"],
        "dedup_key": body["dedup_key"],
        "alert_ids": [alert["id"] for alert in body["alerts"]],
        "severity": body["severity"],
        "summary": body["summary"],
        "decided_at": row.body["at"],
        "recipients": list(recipients),
    }


def _meta(row: OutboxRow) -> dict[str, Any]:
    alerts = row.body["alerts"]
    return {"correlation_id": alerts[0]["correlation_id"] if alerts else None}
