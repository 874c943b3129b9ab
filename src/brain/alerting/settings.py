"""The settings of SOC alerting: the table `[soc]` of brain.toml. docs/soc.md is the reader's guide to them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    model_validator,
)

from brain.alerting.matchers import parse_matcher
from brain.alerting.notifier_settings import Notifier
from brain.alerting.references import with_names_checked
from brain.charter import HealthKind, Pattern
from brain.errors import InvalidInput

Seconds = Annotated[float, Field(ge=0, le=31_536_000)]
Severity = Literal["LOW", "MEDIUM", "HIGH", "CRITICAL"]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
NAME = r"[A-Za-z0-9][A-Za-z0-9 _.\-]{0,99}"
Name = Annotated[str, Field(pattern=rf"^{NAME}$")]


def _checked(check: Callable[[str], object]) -> AfterValidator:
    def validate(text: str) -> str:
        try:
            check(text)
        except InvalidInput as error:
            raise ValueError(str(error)) from None
        return text

    return AfterValidator(validate)


def _zone(text: str) -> None:
    try:
        ZoneInfo(text)
    except (ValueError, OSError, ZoneInfoNotFoundError) as error:
        raise InvalidInput(f"{text!r} is no time zone such as Europe/Berlin") from error


def _clock_time(value: object) -> object:
    return "00:00" if value == "24:00" else value


MatcherText = Annotated[str, _checked(parse_matcher)]
PatternText = Annotated[str, _checked(Pattern)]
ZoneName = Annotated[str, _checked(_zone)]
ClockTime = Annotated[time, BeforeValidator(_clock_time)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, hide_input_in_errors=True)


class EscalationSettings(_Table):
    """Who is told besides when nobody acknowledges."""

    after: Annotated[float, Field(gt=0, le=31_536_000)] = Field(description="Seconds after the alert was told.")
    to: tuple[str, ...] = Field(min_length=1, description="Names of notifiers or rotations.")


class RouteSettings(_Table):
    """Which alerts go where."""

    name: Name = Field(description="What the route is known by; groups are remembered under it.")
    events: tuple[PatternText, ...] = Field(("*",), min_length=1, description="Patterns of the event that triggered.")
    severities: tuple[Severity, ...] = Field(
        ("LOW", "MEDIUM", "HIGH", "CRITICAL"), min_length=1, description="Severities that it takes."
    )
    matchers: tuple[MatcherText, ...] = Field((), description="What the alert's labels must fulfil, all of it.")
    to: tuple[str, ...] = Field((), description="Notifiers or rotations; none: these alerts are told to nobody.")
    go_on: bool = Field(False, alias="continue", description="Whether routes after this one are tried as well.")
    group_by: tuple[str, ...] = Field(("correlation_id",), description="Labels whose values make one group, one page.")
    group_wait: Seconds = Field(10.0, description="Seconds that a new group waits for more before its first page.")
    group_interval: Seconds = Field(60.0, description="Least seconds between two pages with news of a group.")
    repeat_interval: Annotated[float, Field(ge=60, le=31_536_000)] = Field(
        14_400.0, description="Seconds after which a page is sent again while nobody acknowledged."
    )
    escalate: tuple[EscalationSettings, ...] = Field((), description="Who else is told when nobody acknowledges.")
    only_during: str | None = Field(None, description="Name of hours; outside of them pages wait.")
    not_during: str | None = Field(None, description="Name of hours in which pages wait.")


class InhibitSettings(_Table):
    """While an alert that `source` matches fires, those that `target` matches are not told."""

    name: Name = Field(description="What it is known by.")
    source: tuple[MatcherText, ...] = Field(min_length=1, description="The alerts that inhibit.")
    target: tuple[MatcherText, ...] = Field(min_length=1, description="The alerts that are inhibited.")
    equal: tuple[str, ...] = Field((), description="Labels that both must have, with the same value.")


class HoursSettings(_Table):
    """The same hours on some days of the week, in the wall time of a place."""

    time_zone: ZoneName = Field(description="Such as Europe/Berlin.")
    days: tuple[Weekday, ...] = Field(
        ("mon", "tue", "wed", "thu", "fri"), min_length=1, description="Days on which the hours begin."
    )
    start: time = Field(time(9), description="When they begin.")
    end: ClockTime = Field(time(17), description="When they end; at or before `start`: on the next day.")
    closed: tuple[date, ...] = Field((), description="Dates on which they do not begin.")


class RotationSettings(_Table):
    """People who take turns at being on call."""

    time_zone: ZoneName = Field(description="Such as Europe/Berlin.")
    people: tuple[str, ...] = Field(min_length=1, description="Notifiers, in the order of their turns.")
    start: datetime = Field(description="Local date and time, without offset, at which the first one's turn began.")
    shift_days: int = Field(7, ge=1, le=366, description="Days of one turn.")

    @model_validator(mode="after")
    def _local(self) -> Self:
        if self.start.tzinfo is not None:
            raise ValueError("start: write it without an offset; it is in the time zone of `time_zone`")
        return self


DEFAULT_INHIBIT = (
    InhibitSettings(
        name="escalated threat before health of its story",
        source=("kind=threat", "status=ESCALATED"),
        target=("kind=health",),
        equal=("correlation_id",),
    ),
    InhibitSettings(
        name="critical health before threats of its story",
        source=("kind=health", "severity=CRITICAL"),
        target=("kind=threat", "status!=ESCALATED"),
        equal=("correlation_id",),
    ),
    InhibitSettings(
        name="critical health before threats of its agent",
        source=("kind=health", "severity=CRITICAL"),
        target=("kind=threat", "status!=ESCALATED"),
        equal=("agent",),
    ),
)
"""An escalation is somebody's word that a person is needed: no health alert keeps it back."""


class SocSettings(_Table):
    """What SOC alerting needs to know. Times are in seconds."""

    public_url: str = Field("", pattern=r"^(https?://[^\s]+)?$", description="Where the page is reached, for links.")
    notifiers: dict[Name, Notifier] = Field(default_factory=dict, description="Where pages can be sent, by name.")
    routes: tuple[RouteSettings, ...] | None = Field(
        None, description="Which alerts go where; left out: HIGH and CRITICAL threats and health go to every notifier."
    )
    inhibit: tuple[InhibitSettings, ...] = Field(DEFAULT_INHIBIT, description="Which alerts keep which others back.")
    hours: dict[Name, HoursSettings] = Field(default_factory=dict, description="Business hours, by name.")
    rotations: dict[Name, RotationSettings] = Field(default_factory=dict, description="On-call rotations, by name.")
    also: tuple[PatternText, ...] = Field((), description="Further event types that make alerts.")
    warm_up: Seconds = Field(10.0, description="After a start, before the first page.")
    reopen_within: Seconds = Field(1800.0, description="How soon a resolved alert is the same one when it fires again.")
    healing_kinds: tuple[HealthKind, ...] | None = Field(
        None, description="Health kinds whose page waits for healing; left out: those this process has an action for."
    )
    healing_timeout: Seconds = Field(30.0, description="How long such a page waits at most.")
    quiet_after: Annotated[float, Field(gt=0)] = Field(
        300.0, description="Without news for so long, an alert on denials, or on a type of `also`, resolves."
    )
    health_quiet_after: Annotated[float, Field(gt=0)] | None = Field(
        3600.0, description="The same for health alerts; they resolve before that when they are healed."
    )
    send_timeout: Annotated[float, Field(ge=1, le=600)] = Field(
        20.0, description="How long the sending of one message may take before it is tried again later."
    )
    keep_days: Annotated[float, Field(ge=1)] = Field(90.0, description="Days that resolved alerts are kept.")

    @model_validator(mode="wrap")
    @classmethod
    def _names_exist(cls, table: Any, validate: ModelWrapValidatorHandler[Self]) -> Self:
        made: Self = with_names_checked(table, validate)
        return made
