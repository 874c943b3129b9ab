"""The notification log: which state of which alert each notifier was notified of, as in Alertmanager. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from brain.alerting.models import Alert
from brain.connectors.pages import PageAction


class NotificationState(StrEnum):
    """What a notifier knows of a group."""

    OPEN = "open"
    """It was sent the trigger."""
    SUMMARISED = "summarised"
    """The rate limit held its page back; a summary mentions it."""
    CLOSED = "closed"
    """It was sent the resolution, or nothing at all."""


@dataclass(frozen=True)
class AlertFingerprint:
    """The fingerprint of an alert that a notifier was notified of, and when (Unix seconds)."""

    value: str
    at: float


@dataclass(frozen=True, kw_only=True)
class NotificationLogEntry:
    """What one notifier was notified of in one group."""

    state: NotificationState = NotificationState.CLOSED
    fingerprints: Mapping[str, AlertFingerprint] = field(default_factory=dict)
    """By the alert's id."""
    at: float = 0.0
    """When the last notification was decided, in Unix seconds."""
    acknowledged: bool = False
    number: int = 0
    """How many notifications there were so far."""

    @property
    def open_fingerprints(self) -> Mapping[str, AlertFingerprint]:
        """The fingerprints of what is not closed."""
        return self.fingerprints if self.state is not NotificationState.CLOSED else {}


def logged(
    before: NotificationLogEntry, action: PageAction, audible: Sequence[Alert], now: float
) -> NotificationLogEntry:
    """The entry after a notification at `now`; `audible` are the alerts that a page is about."""
    entry = replace(before, at=now, number=before.number + 1)
    if action is PageAction.RESOLVE:
        return replace(entry, state=NotificationState.CLOSED, fingerprints={}, acknowledged=False)
    if action is PageAction.ACKNOWLEDGE:
        return replace(entry, acknowledged=True)
    fingerprints = dict(before.open_fingerprints)
    for alert in audible:
        known = fingerprints.get(alert.id)
        if is_news(alert, known):
            # An alert that got worse has been waiting for somebody since its first notification.
            since = known.at if known is not None and is_same_demand(alert, known) else now
            fingerprints[alert.id] = AlertFingerprint(alert.fingerprint, since)
    return replace(entry, state=NotificationState.OPEN, fingerprints=fingerprints, acknowledged=False)


def is_news(alert: Alert, known: AlertFingerprint | None) -> bool:
    """Whether the alert fires again, asks again, or is worse than the notifier knows. A milder alert is no news."""
    return known is None or _parts(alert.fingerprint) > _parts(known.value)


def demands_more(alert: Alert, known: AlertFingerprint | None) -> bool:
    """Whether somebody has asked for a person since the notifier was notified."""
    period, demand = _parts(known.value)[:2] if known is not None else (0, 0)
    return alert.demand > (demand if period == alert.period else 0)


def is_same_demand(alert: Alert, known: AlertFingerprint) -> bool:
    """Whether the notifier was notified of this very demand for a person, whatever the severity was then."""
    return _parts(known.value)[:2] == (alert.period, alert.demand)


def leading_first(alerts: Sequence[Alert]) -> list[Alert]:
    """Threats first, then the oldest. The first one's key names the page in outside services."""
    return sorted(alerts, key=lambda alert: (alert.labels.get("kind") != "threat", alert.first_at, alert.id))


def _parts(fingerprint: str) -> tuple[int, ...]:
    return tuple(map(int, fingerprint.split(".")))
