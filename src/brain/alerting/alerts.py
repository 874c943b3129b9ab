"""Alerts: what they are, and how the signals that events give make them fire and resolve. Pure: no clock, no tables.

An alert is about one thing, its `key`: a threat's id, one kind of trouble of one agent, the denials of one agent. It
fires, is resolved, and when the thing comes back soon it fires again (a new period of the same alert); when it comes
back later, that is a new alert under the same key.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from enum import StrEnum

SEVERITIES = ("LOW", "MEDIUM", "HIGH", "CRITICAL")
"""From the mildest to the worst."""


class AlertState(StrEnum):
    """Whether the trouble is there now."""

    FIRING = "firing"
    RESOLVED = "resolved"


@dataclass(frozen=True, kw_only=True)
class Alert:
    """One alert. Times are in Unix seconds.

    `period` counts how often it has begun to fire. `correlation_id` is the story in which the present period began;
    `latest_story` that of the newest trigger, which is the one that healing answers. `demand` grows when it asks for a
    person anew although somebody had taken it on (an escalation). `held_until` is when it stops waiting for a healing
    action; `expires_at` when it resolves by itself without further news.
    """

    id: str
    key: str
    name: str
    severity: str
    labels: dict[str, str]
    summary: str
    event: str
    correlation_id: str
    latest_story: str
    state: AlertState = AlertState.FIRING
    period: int = 1
    demand: int = 0
    count: int = 1
    first_at: float
    fired_at: float
    last_at: float
    resolved_at: float | None = None
    resolved_by: str = ""
    held_until: float | None = None
    expires_at: float | None = None
    acknowledged_by: str | None = None
    acknowledged_at: float | None = None

    @property
    def firing(self) -> bool:
        """Whether the trouble is there now."""
        return self.state is AlertState.FIRING

    @property
    def mark(self) -> str:
        """What a notifier has to be told once: period, demand and severity; a greater one is news."""
        return f"{self.period}.{self.demand}.{SEVERITIES.index(self.severity)}"

    @property
    def all_labels(self) -> dict[str, str]:
        """What matchers see: the labels, and the alert's own properties."""
        own = {
            "name": self.name,
            "severity": self.severity,
            "event": self.event,
            "key": self.key,
            "correlation_id": self.correlation_id,
        }
        return {**self.labels, **own}


@dataclass(frozen=True, kw_only=True)
class Fires:
    """The thing is there. `counts` is whether this is one more trigger, and not only news of the one before.

    `demands` asks for a person even if one had acknowledged; `taken_by` says that somebody has just taken it on.
    For `hold_for` seconds its page waits for a healing action; after `expires_in` without news it is over.
    """

    key: str
    name: str
    severity: str
    labels: dict[str, str]
    summary: str
    event: str
    event_id: str
    correlation_id: str
    at: float
    counts: bool = True
    demands: bool = False
    taken_by: str = ""
    hold_for: float | None = None
    expires_in: float | None = None

    @property
    def held_until(self) -> float | None:
        """Until when it waits for a healing action."""
        return None if self.hold_for is None else self.at + self.hold_for

    @property
    def expires_at(self) -> float | None:
        """When it is over without further news."""
        return None if self.expires_in is None else self.at + self.expires_in


@dataclass(frozen=True, kw_only=True)
class Resolves:
    """The thing is over."""

    key: str
    by: str
    at: float
    labels: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class HealingEnded:
    """A healing action for this agent's troubles of that story has ended, well or not. It names no key."""

    agent: str
    story: str
    healed: bool
    at: float

    def concerns(self, alert: Alert) -> bool:
        """Whether the action was for the newest trigger of this alert."""
        labels = alert.labels
        return alert.latest_story == self.story and labels["kind"] == "health" and labels["agent"] == self.agent


Signal = Fires | Resolves | HealingEnded


def applied(alert: Alert | None, signal: Signal, reopen_within: float) -> Alert | None:
    """What the signal makes of the newest alert of its key, or of one it concerns; None while there is none.

    A resolved alert that fires within `reopen_within` seconds is the same one again, else a new one.
    """
    match signal:
        case Fires():
            if alert is None:
                return _new(signal)
            if alert.firing:
                return _again(alert, signal)
            assert alert.resolved_at is not None
            if signal.at - alert.resolved_at <= reopen_within:
                return _reopened(alert, signal)
            return _new(signal)
        case Resolves():
            if alert is None or not alert.firing:
                return alert
            return replace(resolved(alert, signal.by, signal.at), labels={**alert.labels, **signal.labels})
        case HealingEnded():
            if alert is None or not alert.firing or not signal.concerns(alert):
                return alert
            return resolved(alert, "healed", signal.at) if signal.healed else replace(alert, held_until=None)


def resolved(alert: Alert, by: str, at: float) -> Alert:
    """The alert, no longer firing; `by` says why."""
    return replace(
        alert,
        state=AlertState.RESOLVED,
        resolved_at=max(at, alert.fired_at),
        resolved_by=by,
        held_until=None,
        expires_at=None,
    )


def acknowledged(alert: Alert, by: str, at: float) -> Alert:
    """The alert, taken on by somebody; the first one stays."""
    if alert.acknowledged_by is not None:
        return alert
    return replace(alert, acknowledged_by=by, acknowledged_at=at)


def alert_id(key: str, event_id: str) -> str:
    """The id of the alert on that key which that event began: the same whenever it is worked out again."""
    return "alr_" + hashlib.sha256(f"{key}\n{event_id}".encode()).hexdigest()[:16]


def worst(severities: list[str]) -> str:
    """The worst of them; LOW of none."""
    return max(severities, key=SEVERITIES.index, default=SEVERITIES[0])


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
        latest_story=signal.correlation_id,
        first_at=signal.at,
        fired_at=signal.at,
        last_at=signal.at,
        held_until=signal.held_until,
        expires_at=signal.expires_at,
    )
    return acknowledged(alert, signal.taken_by, signal.at) if signal.taken_by else alert


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
        latest_story=signal.correlation_id,
        count=alert.count + signal.counts,
        last_at=max(alert.last_at, signal.at),
        expires_at=signal.expires_at,
    )
    if signal.held_until is not None and alert.held_until is not None:
        # Held while any action is expected; what was once released is not held back again.
        after = replace(after, held_until=max(alert.held_until, signal.held_until))
    if signal.demands:
        return replace(after, demand=alert.demand + 1, acknowledged_by=None, acknowledged_at=None)
    return acknowledged(after, signal.taken_by, signal.at) if signal.taken_by else after
