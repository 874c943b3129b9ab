"""The events of alerting: notifications, acknowledgements, silences, lost connections. They are audited. Only a
connection that is lost makes an alert."""

from __future__ import annotations

from typing import Annotated, Any, TypedDict

from msgspec import Meta

from brain.charter import EventType, Frequency, Priority

_AlertId = Annotated[str, Meta(description="The alert's id, `alr_<16 hex digits>`.")]
_By = Annotated[str, Meta(description="Who did it.")]


class NotificationPayload(TypedDict):
    """One message to one notifier."""

    notifier: Annotated[str, Meta(description="The notifier's name in the settings.")]
    action: Annotated[str, Meta(description="trigger, update, repeat, acknowledge or resolve.")]
    dedup_key: Annotated[str, Meta(description="The page's name in outside services: the leading alert's key.")]
    alert_ids: Annotated[list[str], Meta(description="The ids of its alerts; at most 20.")]
    severity: Annotated[str, Meta(description="The worst severity of its alerts: LOW, MEDIUM, HIGH or CRITICAL.")]
    summary: Annotated[str, Meta(description="The message in one line.")]
    decided_at: Annotated[float, Meta(description="When the message was decided, in Unix seconds.")]
    recipients: Annotated[
        list[str], Meta(description="The addresses that it is about, where others fared otherwise; empty: all.")
    ]


class AlertNotified(NotificationPayload):
    """The service has accepted the message."""

    attempts: Annotated[int, Meta(ge=1, description="How many tries it took.")]


class AlertNotificationFailed(NotificationPayload):
    """The service has refused the message. It is sent again while its alerts fire; this is said once."""

    error: Annotated[str, Meta(description="The service's error.")]


class AlertAcknowledged(TypedDict):
    """Somebody has acknowledged an alert."""

    alert_id: _AlertId
    key: Annotated[str, Meta(description="What the alert is about: a threat's id, an agent's trouble.")]
    name: Annotated[str, Meta(description="What kind of alert.")]
    by: _By
    acknowledged_at: Annotated[float, Meta(description="When, in Unix seconds.")]


class AlertClosed(TypedDict):
    """Somebody has closed an alert."""

    alert_id: _AlertId
    key: Annotated[str, Meta(description="What the alert is about.")]
    name: Annotated[str, Meta(description="What kind of alert.")]
    by: _By
    closed_at: Annotated[float, Meta(description="When, in Unix seconds.")]


class SilenceChanged(TypedDict):
    """A silence as it was added, or removed."""

    silence_id: Annotated[str, Meta(description="The silence's id, `sil_<16 hex digits>`.")]
    matchers: Annotated[list[str], Meta(description="The matchers that the labels of a silenced alert must all fit.")]
    starts_at: Annotated[float, Meta(description="From when, in Unix seconds.")]
    ends_at: Annotated[float, Meta(description="Until when, in Unix seconds.")]
    by: _By
    reason: Annotated[str, Meta(description="Why.")]


class AlertConnectionLost(TypedDict):
    """The service of a notifier does not know our account, or something else answers in its place."""

    notifier: Annotated[str, Meta(description="The notifier's name in the settings.")]
    message: Annotated[str, Meta(description="What it says.")]
    severity: Annotated[str, Meta(description="HIGH: pages wait until somebody mends it.")]


class AlertConnectionRestored(TypedDict):
    """The notifier's service accepts messages again."""

    notifier: Annotated[str, Meta(description="The notifier's name in the settings.")]
    duration_seconds: Annotated[float, Meta(ge=0, description="How long it did not.")]


_NOTIFIED: NotificationPayload = {
    "notifier": "pager",
    "action": "trigger",
    "dedup_key": "thr_4f1a09be27c3d815",
    "alert_ids": ["alr_0c4d8e5b7a90f312"],
    "severity": "CRITICAL",
    "summary": "ssh_brute_force from 203.0.113.77: 286 failed passwords for root from 203.0.113.77",
    "decided_at": 1703001244.6,
    "recipients": [],
}
_SILENCE: SilenceChanged = {
    "silence_id": "sil_77e0b2a4c1d95f38",
    "matchers": ["agent=billing-agent", "kind=health"],
    "starts_at": 1703001234.5,
    "ends_at": 1703008434.5,
    "by": "ann",
    "reason": "the database is being moved",
}

NOTIFIED = EventType(
    name="alert.notified",
    module="soc",
    payload=AlertNotified,
    priority=Priority.MEDIUM,
    frequency=Frequency.MEDIUM,
    purpose="A message about alerts was accepted by the service it was sent to.",
    example={**_NOTIFIED, "attempts": 1},
)
NOTIFICATION_FAILED = EventType(
    name="alert.notification_failed",
    module="soc",
    payload=AlertNotificationFailed,
    priority=Priority.HIGH,
    frequency=Frequency.LOW,
    purpose="A message about alerts was refused: this notifier, or one address of it, was not reached.",
    example={**_NOTIFIED, "error": "PagerDuty refused the request (400): routing_key is invalid"},
)
ACKNOWLEDGED = EventType(
    name="alert.acknowledged",
    module="soc",
    payload=AlertAcknowledged,
    priority=Priority.MEDIUM,
    frequency=Frequency.LOW,
    purpose="Somebody has acknowledged an alert: its page is neither repeated nor escalated.",
    example={
        "alert_id": "alr_0c4d8e5b7a90f312",
        "key": "thr_4f1a09be27c3d815",
        "name": "ssh_brute_force",
        "by": "ann",
        "acknowledged_at": 1703001301.2,
    },
)
CLOSED = EventType(
    name="alert.closed",
    module="soc",
    payload=AlertClosed,
    priority=Priority.MEDIUM,
    frequency=Frequency.LOW,
    purpose="Somebody has closed an alert that no event would resolve.",
    example={
        "alert_id": "alr_1b2f8e5b7a90f3aa",
        "key": "health billing-agent AGENT_FAILURE",
        "name": "AGENT_FAILURE",
        "by": "ann",
        "closed_at": 1703001301.2,
    },
)
SILENCE_ADDED = EventType(
    name="alert.silence_added",
    module="soc",
    payload=SilenceChanged,
    priority=Priority.MEDIUM,
    frequency=Frequency.LOW,
    purpose="Somebody wants no pages about certain alerts for a while.",
    example=_SILENCE,
)
SILENCE_REMOVED = EventType(
    name="alert.silence_removed",
    module="soc",
    payload=SilenceChanged,
    priority=Priority.MEDIUM,
    frequency=Frequency.LOW,
    purpose="Somebody has removed a silence before its end.",
    example=_SILENCE,
)
CONNECTION_LOST = EventType(
    name="alert.connection_lost",
    module="soc",
    payload=AlertConnectionLost,
    priority=Priority.HIGH,
    frequency=Frequency.LOW,
    purpose="A notifier's service does not know our account any more, or is long away; its messages wait.",
    example={
        "notifier": "mail",
        "message": "the mail server answered 535: authentication credentials invalid",
        "severity": "HIGH",
    },
)
CONNECTION_RESTORED = EventType(
    name="alert.connection_restored",
    module="soc",
    payload=AlertConnectionRestored,
    priority=Priority.MEDIUM,
    frequency=Frequency.LOW,
    purpose="A notifier's service that was lost accepts messages again, or is no longer set up.",
    example={"notifier": "mail", "duration_seconds": 5400.0},
)

EVENTS: tuple[EventType[Any], ...] = (
    NOTIFIED,
    NOTIFICATION_FAILED,
    ACKNOWLEDGED,
    CLOSED,
    SILENCE_ADDED,
    SILENCE_REMOVED,
    CONNECTION_LOST,
    CONNECTION_RESTORED,
)
