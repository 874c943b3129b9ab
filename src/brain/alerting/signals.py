"""Signals: what events say about alerts, and what a signal makes of an alert. Pure: no clock, no tables."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

from brain.alerting.models import Alert, acknowledge, resolve
from brain.charter import Severity


@dataclass(frozen=True, kw_only=True)
class Fires:
    """The thing is there.

    `counts` says whether this is one more trigger, or only an update of the one before. `demands` asks for a person at
    once, even if somebody had acknowledged; `acknowledged_by` is who has just acknowledged. Without `reopens`, an alert
    that a person closed stays closed while the thing has the same status. `version` counts the changes of the thing, so
    that the later of two is known; 0 without. The page waits `hold_for` seconds for a healing action. The alert is over
    after `expires_in` seconds without a further event.
    """

    key: str
    name: str
    severity: Severity
    labels: dict[str, str]
    summary: str
    event: str
    event_id: str
    correlation_id: str
    at: float
    counts: bool = True
    demands: bool = False
    reopens: bool = True
    version: int = 0
    acknowledged_by: str = ""
    hold_for: float | None = None
    expires_in: float | None = None

    @property
    def held_until(self) -> float | None:
        """Until when it waits for a healing action."""
        return None if self.hold_for is None else self.at + self.hold_for

    @property
    def expires_at(self) -> float | None:
        """When it is over without a further event."""
        return None if self.expires_in is None else self.at + self.expires_in


@dataclass(frozen=True, kw_only=True)
class Resolves:
    """The thing is over."""

    key: str
    by: str
    at: float
    labels: dict[str, str]
    version: int = 0


@dataclass(frozen=True, kw_only=True)
class HealingEnded:
    """A healing action for this agent has ended, well or not. The correlation id says what it was for."""

    agent: str
    correlation_id: str
    healed: bool
    at: float

    def concerns(self, alert: Alert) -> bool:
        """Whether the action was for the newest trigger of this alert."""
        labels = alert.labels
        return (
            alert.latest_correlation_id == self.correlation_id
            and labels["kind"] == "health"
            and labels["agent"] == self.agent
        )


Signal = Fires | Resolves | HealingEnded


def apply_signal(alert: Alert | None, signal: Signal, reopen_within: float) -> Alert | None:
    """What the signal makes of the newest alert of its key, or of one that it concerns; None while there is none.

    A resolved alert that fires again within `reopen_within` seconds stays the same alert; later it is a new one.
    """
    match signal:
        case Fires():
            if alert is None:
                return _new(signal)
            if alert.firing:
                return _again(alert, signal)
            if not signal.reopens and alert.labels.get("status") == signal.labels.get("status"):
                return alert
            assert alert.resolved_at is not None
            if signal.at - alert.resolved_at <= reopen_within:
                return _reopened(alert, signal)
            return _new(signal)
        case Resolves():
            if alert is None or not alert.firing:
                return alert
            return replace(resolve(alert, signal.by, signal.at), labels={**alert.labels, **signal.labels})
        case HealingEnded():
            if alert is None or not alert.firing or not signal.concerns(alert):
                return alert
            return resolve(alert, "healed", signal.at) if signal.healed else replace(alert, held_until=None)


def apply_late(alert: Alert | None, signal: Fires | Resolves) -> Alert | None:
    """What a signal makes of the alert when one of a later version was applied: a trigger counts, and adds labels."""
    if alert is None or isinstance(signal, Resolves):
        return alert
    return replace(alert, labels={**signal.labels, **alert.labels}, count=alert.count + signal.counts)


def alert_id(key: str, event_id: str) -> str:
    """The id of the alert that this event began on this key; always the same for the same two."""
    return "alr_" + hashlib.sha256(f"{key}\n{event_id}".encode()).hexdigest()[:16]


def _new(signal: Fires) -> Alert:
    alert = Alert(
        id=alert_id(signal.key, signal.event_id),
        key=signal.key,
        name=signal.name,
        severity=signal.severity,
        labels=signal.labels,
        summary=signal.summary,
        event=signal.event,
        correlation_id=signal.correlation_id,
        latest_correlation_id=signal.correlation_id,
        first_at=signal.at,
        fired_at=signal.at,
        last_at=signal.at,
        held_until=signal.held_until,
        expires_at=signal.expires_at,
        demand=int(signal.demands),
    )
    return acknowledge(alert, signal.acknowledged_by, signal.at) if signal.acknowledged_by else alert


def _reopened(alert: Alert, signal: Fires) -> Alert:
    new = _new(signal)
    return replace(
        new,
        id=alert.id,
        labels={**alert.labels, **signal.labels},
        period=alert.period + 1,
        count=alert.count + signal.counts,
        first_at=alert.first_at,
    )


def _again(alert: Alert, signal: Fires) -> Alert:
    after = replace(
        alert,
        name=signal.name,
        severity=signal.severity,
        labels={**alert.labels, **signal.labels},
        summary=signal.summary if signal.counts else alert.summary,
        event=signal.event if signal.counts else alert.event,
        latest_correlation_id=signal.correlation_id,
        count=alert.count + signal.counts,
        last_at=max(alert.last_at, signal.at),
        expires_at=signal.expires_at,
    )
    if signal.held_until is not None and alert.held_until is not None:
        # Held while any action is expected; an alert that was once released is not held back again.
        after = replace(after, held_until=max(alert.held_until, signal.held_until))
    if signal.demands:
        return replace(after, demand=alert.demand + 1, acknowledged_by=None, acknowledged_at=None)
    return acknowledge(after, signal.acknowledged_by, signal.at) if signal.acknowledged_by else after
