"""Alerts and notifications: their shapes, and the changes that a person or time makes to an alert. Pure.

An alert is about one thing, its `key`: a threat's id, one kind of trouble of one agent, the denials of one agent. It
fires and is resolved. When the thing comes back soon, the same alert fires again (a new period). When it comes back
later, that is a new alert under the same key.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from brain.charter import Severity

OWN_LABELS = ("name", "severity", "event", "key", "correlation_id")
"""Properties of an alert that matchers see beside its labels."""


class AlertState(StrEnum):
    """Whether the trouble is there now."""

    FIRING = "firing"
    RESOLVED = "resolved"


@dataclass(frozen=True, kw_only=True)
class AlertFields:
    """What everybody sees of an alert."""

    id: Annotated[str, Field(description="The alert's id.")]
    key: Annotated[str, Field(description="What it is about: a threat's id, an agent's trouble.")]
    name: Annotated[str, Field(description="What kind of alert: the threat's type, the health event's kind.")]
    severity: Annotated[Severity, Field(description="LOW, MEDIUM, HIGH or CRITICAL.")]
    labels: Annotated[
        dict[str, str], Field(description="What matchers see of it, besides its name, severity, event and key.")
    ]
    summary: Annotated[str, Field(description="The alert in one line.")]
    correlation_id: Annotated[str, Field(description="The correlation id of its events.")]
    state: Annotated[AlertState, Field(description="Whether the trouble is there now.")] = AlertState.FIRING
    count: Annotated[int, Field(description="How many events triggered it.")] = 1
    first_at: Annotated[float, Field(description="When it first fired, in Unix seconds.")]
    last_at: Annotated[float, Field(description="When its latest event happened, in Unix seconds.")]
    resolved_at: Annotated[
        float | None, Field(description="When it was over, in Unix seconds; null while it fires.")
    ] = None
    resolved_by: Annotated[str | None, Field(description="What or who ended it; null while it fires.")] = None
    acknowledged_by: Annotated[str | None, Field(description="Who acknowledged it; null while nobody has.")] = None
    acknowledged_at: Annotated[float | None, Field(description="When, in Unix seconds.")] = None


@dataclass(frozen=True, kw_only=True)
class Alert(AlertFields):
    """One alert as it is stored. Times are in Unix seconds.

    `event` is the type that triggered last. `period` counts how often the alert has begun to fire. `correlation_id`
    belongs to the event that began the present period, `latest_correlation_id` to the newest trigger, which is the one
    that healing answers. `demand` grows when somebody asks for a person although the alert was acknowledged (an
    escalation). `fired_at` is when the present period began, `held_until` when the alert stops waiting for a healing
    action, `expires_at` when it resolves by itself without further events.
    """

    event: str
    latest_correlation_id: str
    period: int = 1
    demand: int = 0
    fired_at: float
    held_until: float | None = None
    expires_at: float | None = None

    def __hash__(self) -> int:
        """By its id, which stays the same through its changes."""
        return hash(self.id)

    @property
    def firing(self) -> bool:
        """Whether the trouble is there now."""
        return self.state is AlertState.FIRING

    @property
    def fingerprint(self) -> str:
        """Period, demand and severity. A notifier is sent each greater fingerprint once."""
        return f"{self.period}.{self.demand}.{self.severity.rank}"

    @property
    def all_labels(self) -> dict[str, str]:
        """What matchers see: the labels, and the alert's own properties, which are those in `OWN_LABELS`."""
        return {**self.labels, **{name: str(getattr(self, name)) for name in OWN_LABELS}}


@dataclass(frozen=True, kw_only=True)
class Notification:
    """One message about an alert, and what became of it."""

    notifier: Annotated[str, Field(description="To which notifier.")]
    action: Annotated[str, Field(description="trigger, update, repeat, acknowledge or resolve.")]
    state: Annotated[
        str, Field(description="waiting, sent, refused, cancelled, held (back by the rate limit) or summarised.")
    ]
    at: Annotated[float, Field(description="When it was decided, in Unix seconds.")]
    error: Annotated[str | None, Field(description="The latest error; null when there was none.")]


def resolve(alert: Alert, by: str, at: float) -> Alert:
    """The alert, no longer firing; `by` says why."""
    return replace(
        alert,
        state=AlertState.RESOLVED,
        resolved_at=max(at, alert.fired_at),
        resolved_by=by,
        held_until=None,
        expires_at=None,
    )


def acknowledge(alert: Alert, by: str, at: float) -> Alert:
    """The alert, acknowledged; whoever was first stays."""
    if alert.acknowledged_by is not None:
        return alert
    return replace(alert, acknowledged_by=by, acknowledged_at=at)


def worst(severities: Iterable[Severity]) -> Severity:
    """The worst of them; LOW for none."""
    return max(severities, key=lambda severity: severity.rank, default=Severity.LOW)
