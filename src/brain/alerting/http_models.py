"""What goes over HTTP of alerts and silences."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from brain import limits
from brain.alerting.matchers import MATCHER_CHARACTERS
from brain.alerting.muting import Silence
from brain.alerting.operations import NAME_CHARACTERS, REASON_CHARACTERS, Shown
from brain.alerting.pages import Step
from brain.kit.outbox import ChannelState

ALERT_ID = "alr_0c4d8e5b7a90f312"
SILENCE_ID = "sil_77e0b2a4c1d95f38"
MATCHERS: list[JsonValue] = ["agent=billing-agent", "kind=~health|threat"]


class By(BaseModel):
    """Who does it."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"by": "ann"}]})

    by: str = Field(min_length=1, max_length=NAME_CHARACTERS, description="The person's name.")


class NewSilence(BaseModel):
    """A silence to be added; it begins now unless `starts_at` says otherwise."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "matchers": MATCHERS,
                    "ends_at": 4102444800.0,
                    "by": "ann",
                    "reason": "the database is being moved",
                }
            ]
        },
    )

    matchers: list[Annotated[str, Field(max_length=MATCHER_CHARACTERS)]] = Field(
        min_length=1,
        max_length=limits.MATCHERS,
        description="All of them must fit: `label=value`, `label!=value`, `label=~pattern` or `label!~pattern`.",
    )
    starts_at: float | None = Field(
        None, ge=0, lt=limits.MOMENT, description="From when, in Unix seconds; left out: now."
    )
    ends_at: float = Field(ge=0, lt=limits.MOMENT, description="Until when, in Unix seconds; excluded.")
    by: str = Field(min_length=1, max_length=NAME_CHARACTERS, description="Who wants it.")
    reason: str = Field(min_length=1, max_length=REASON_CHARACTERS, description="Why.")


class NotificationView(BaseModel):
    """One message about an alert."""

    model_config = ConfigDict(from_attributes=True)

    notifier: str = Field(description="To which notifier.")
    action: str = Field(description="trigger, update, repeat, acknowledge or resolve.")
    state: str = Field(description="waiting, sent, refused, cancelled, held (back by the rate limit) or summarised.")
    at: float = Field(description="When it was decided, in Unix seconds.")
    error: str | None = Field(description="What went wrong last; null when nothing did.")


class AlertView(BaseModel):
    """An alert, with why it is muted and what was said of it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": ALERT_ID,
                    "key": "thr_4f1a09be27c3d815",
                    "name": "ssh_brute_force",
                    "severity": "CRITICAL",
                    "labels": {"kind": "threat", "agent": "203.0.113.77", "status": "OPEN"},
                    "state": "firing",
                    "acknowledged_by": None,
                    "acknowledged_at": None,
                    "silenced_by": None,
                    "inhibited_by": None,
                    "held_until": None,
                    "first_at": 1703001234.567,
                    "last_at": 1703001234.567,
                    "resolved_at": None,
                    "resolved_by": None,
                    "count": 1,
                    "summary": "ssh_brute_force from 203.0.113.77: 286 failed passwords for root",
                    "correlation_id": "thr_4f1a09be27c3d815",
                    "notifications": [
                        {
                            "notifier": "pager",
                            "action": "trigger",
                            "state": "sent",
                            "at": 1703001244.6,
                            "error": None,
                        }
                    ],
                }
            ]
        }
    )

    id: str = Field(description="The alert's id.")
    key: str = Field(description="What it is about: a threat's id, an agent's trouble.")
    name: str = Field(description="What kind of alert: the threat's type, the health event's kind.")
    severity: str = Field(description="LOW, MEDIUM, HIGH or CRITICAL.")
    labels: dict[str, str] = Field(description="What matchers see of it, besides its name, severity, event and key.")
    state: Literal["firing", "resolved"] = Field(description="Whether the trouble is there now.")
    acknowledged_by: str | None = Field(description="Who has taken it on; null while nobody has.")
    acknowledged_at: float | None = Field(description="When, in Unix seconds.")
    silenced_by: str | None = Field(description="The id of the silence because of which nobody is told.")
    inhibited_by: str | None = Field(description="The id of the alert because of which nobody is told.")
    held_until: float | None = Field(description="Until when its page waits for a healing action, in Unix seconds.")
    first_at: float = Field(description="When it first fired, in Unix seconds.")
    last_at: float = Field(description="When it was last heard of, in Unix seconds.")
    resolved_at: float | None = Field(description="When it was over, in Unix seconds; null while it fires.")
    resolved_by: str | None = Field(description="What or who ended it; null while it fires.")
    count: int = Field(description="How many events triggered it.")
    summary: str = Field(description="What it says, in a line.")
    correlation_id: str = Field(description="The story that it belongs to.")
    notifications: list[NotificationView] = Field(description="What was said of it, the latest first.")


class NotifierView(BaseModel):
    """A notifier, and what became of what it was to be told."""

    name: str = Field(description="Its name in the settings.")
    kind: str | None = Field(description="pagerduty, slack, webhook, email or apprise; null when it is gone from them.")
    waiting: int = Field(description="Messages that are decided and not sent.")
    refused: int = Field(description="Messages that the service refused for good.")
    sent: int = Field(description="Messages that the service accepted.")
    oldest_waiting_at: float | None = Field(description="Since when the oldest waits, in Unix seconds.")
    last_error: str | None = Field(description="What went wrong last with those that wait or were refused.")


class StepView(BaseModel):
    """One thing that happened."""

    model_config = ConfigDict(from_attributes=True)

    at: float = Field(description="When, in Unix seconds.")
    kind: str = Field(description="The event's type, `notification`, or `acknowledged`.")
    text: str = Field(description="What happened, for a person to read.")
    event_id: str | None = Field(description="The event that tells it, if one does.")


class SilenceView(BaseModel):
    """A silence."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": SILENCE_ID,
                    "matchers": MATCHERS,
                    "starts_at": 1703001234.5,
                    "ends_at": 1703008434.5,
                    "by": "ann",
                    "reason": "the database is being moved",
                    "created_at": 1703001234.5,
                    "state": "active",
                }
            ]
        }
    )

    id: str = Field(description="The silence's id.")
    matchers: list[str] = Field(description="What the labels of the silenced alerts fulfil, all of it.")
    starts_at: float = Field(description="From when, in Unix seconds.")
    ends_at: float = Field(description="Until when, in Unix seconds; excluded.")
    by: str = Field(description="Who wants it.")
    reason: str = Field(description="Why.")
    created_at: float = Field(description="When it was added, in Unix seconds.")
    state: Literal["pending", "active", "ended"] = Field(description="Whether it is still to come, in force, or over.")


def alert_values(shown: Shown) -> dict[str, Any]:
    """The alert as plain values, as HTTP and the command line show it."""
    alert, muted = shown.alert, shown.muted
    return {
        "id": alert.id,
        "key": alert.key,
        "name": alert.name,
        "severity": alert.severity,
        "labels": alert.labels,
        "state": alert.state.value,
        "acknowledged_by": alert.acknowledged_by,
        "acknowledged_at": alert.acknowledged_at,
        "silenced_by": muted.silenced_by,
        "inhibited_by": muted.inhibited_by,
        "held_until": muted.held_until,
        "first_at": alert.first_at,
        "last_at": alert.last_at,
        "resolved_at": alert.resolved_at,
        "resolved_by": alert.resolved_by or None,
        "count": alert.count,
        "summary": alert.summary,
        "correlation_id": alert.correlation_id,
        "notifications": [
            {
                "notifier": notice.notifier,
                "action": notice.action,
                "state": notice.state,
                "at": notice.at,
                "error": notice.error,
            }
            for notice in shown.notices
        ],
    }


def notifier_values(name: str, kind: str | None, state: ChannelState) -> dict[str, Any]:
    """The notifier as plain values."""
    return {
        "name": name,
        "kind": kind,
        "waiting": state.waiting,
        "refused": state.refused,
        "sent": state.sent,
        "oldest_waiting_at": state.oldest_waiting_at,
        "last_error": state.last_error,
    }


def silence_values(silence: Silence, now: float) -> dict[str, Any]:
    """The silence as plain values."""
    state = "pending" if now < silence.starts_at else "active" if silence.in_force(now) else "ended"
    return {
        "id": silence.id,
        "matchers": [str(matcher) for matcher in silence.matchers],
        "starts_at": silence.starts_at,
        "ends_at": silence.ends_at,
        "by": silence.by,
        "reason": silence.reason,
        "created_at": silence.created_at,
        "state": state,
    }


def step_values(step: Step) -> dict[str, Any]:
    """The step as plain values."""
    return {"at": step.at, "kind": step.kind, "text": step.text, "event_id": step.event_id}
