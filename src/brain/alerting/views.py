"""Alerts, silences and notifiers as people see them, over HTTP and on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, JsonValue, TypeAdapter

from brain.alerting.models import Alert, AlertFields, Notification
from brain.alerting.muting import NOT_MUTED, MutedBy
from brain.alerting.silences import Silence

ALERT_ID = "alr_0c4d8e5b7a90f312"
SILENCE_ID = "sil_77e0b2a4c1d95f38"
MATCHERS: list[JsonValue] = ["agent=billing-agent", "kind=~health|threat"]


def _shown(**example: JsonValue) -> ConfigDict:
    """The schema of what is sent: every field is always there."""
    extra: dict[str, JsonValue] = {"examples": [example]} if example else {}
    return ConfigDict(json_schema_serialization_defaults_required=True, json_schema_extra=extra)


@dataclass(frozen=True, kw_only=True)
class AlertView(MutedBy, AlertFields):
    """An alert, with what mutes it and its notifications."""

    __pydantic_config__: ClassVar[ConfigDict] = _shown(
        id=ALERT_ID,
        key="thr_4f1a09be27c3d815",
        name="ssh_brute_force",
        severity="CRITICAL",
        labels={"kind": "threat", "agent": "203.0.113.77", "status": "OPEN"},
        state="firing",
        acknowledged_by=None,
        acknowledged_at=None,
        silenced_by=None,
        inhibited_by=None,
        held_until=None,
        first_at=1703001234.567,
        last_at=1703001234.567,
        resolved_at=None,
        resolved_by=None,
        count=1,
        summary="ssh_brute_force from 203.0.113.77: 286 failed passwords for root",
        correlation_id="thr_4f1a09be27c3d815",
        refused_by=[],
        notifications=[{"notifier": "pager", "action": "trigger", "state": "sent", "at": 1703001244.6, "error": None}],
    )

    refused_by: Annotated[
        Sequence[str],
        Field(
            description="Notifiers, and addresses of them, whose service refuses its page: they are not reached, and "
            "tried again each group_interval while it fires."
        ),
    ] = ()
    notifications: Annotated[Sequence[Notification], Field(description="Its notifications, the latest first.")] = ()


@dataclass(frozen=True, kw_only=True)
class SilenceView(Silence):
    """A silence, and whether it is in force."""

    __pydantic_config__: ClassVar[ConfigDict] = _shown(
        id=SILENCE_ID,
        matchers=MATCHERS,
        starts_at=1703001234.5,
        ends_at=1703008434.5,
        by="ann",
        reason="the database is being moved",
        created_at=1703001234.5,
        state="active",
    )

    state: Annotated[
        Literal["pending", "active", "ended"], Field(description="Whether it is still to come, in force, or over.")
    ]


@dataclass(frozen=True, kw_only=True)
class NotifierView:
    """A notifier, and what became of its messages."""

    __pydantic_config__: ClassVar[ConfigDict] = _shown()

    name: Annotated[str, Field(description="Its name in the settings.")]
    kind: Annotated[
        str | None, Field(description="The kind of service, such as pagerduty; null when it is gone from the settings.")
    ]
    waiting: Annotated[int, Field(description="Messages that are decided and not sent yet.")] = 0
    refused: Annotated[int, Field(description="Messages that the service refused for good.")] = 0
    sent: Annotated[int, Field(description="Messages that the service accepted.")] = 0
    oldest_waiting_at: Annotated[
        float | None, Field(description="Since when the oldest message waits, in Unix seconds.")
    ] = None
    last_error: Annotated[
        str | None, Field(description="The latest error of the messages that wait or were refused.")
    ] = None


def alert_view(
    alert: Alert,
    why: MutedBy = NOT_MUTED,
    notifications: Sequence[Notification] = (),
    refused_by: Sequence[str] = (),
) -> AlertView:
    """The alert as people see it."""
    return AlertView(
        **_values(alert, AlertFields),
        **_values(why, MutedBy),
        refused_by=refused_by,
        notifications=notifications,
    )


def silence_view(silence: Silence, now: float) -> SilenceView:
    """The silence as people see it at the Unix time `now`."""
    if silence.in_force(now):
        return SilenceView(**_values(silence, Silence), state="active")
    return SilenceView(**_values(silence, Silence), state="pending" if now < silence.starts_at else "ended")


def json_values(view: AlertView | SilenceView | NotifierView) -> dict[str, Any]:
    """The view as JSON values, as HTTP sends it."""
    declared: Any = type(view)
    values: dict[str, Any] = _adapter(declared).dump_python(view, mode="json")
    return values


@cache
def _adapter(view: Any) -> TypeAdapter[Any]:
    return TypeAdapter(view)


def _values(value: Any, declared: type[Any]) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in fields(declared)}
