"""The settings of alerting: the table `[alerting]` of brain.toml. docs/alerting.md explains them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time
from typing import Annotated, Any, ClassVar, Literal, Self
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
from brain.alerting.references import with_names_checked
from brain.charter import HealthKind, Pattern, Severity
from brain.connectors.notifiers import AnyNotifier
from brain.errors import InvalidInput

Seconds = Annotated[float, Field(ge=0, le=31_536_000)]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
NAME = r"[A-Za-z0-9][A-Za-z0-9 _.\-]{0,99}"
SettingName = Annotated[str, Field(pattern=rf"^{NAME}$")]


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
        raise InvalidInput(f"{text!r} is not a time zone; write one such as Europe/Berlin") from error


def _clock_time(value: object) -> object:
    return "00:00" if value == "24:00" else value


MatcherText = Annotated[str, _checked(parse_matcher)]
PatternText = Annotated[str, _checked(Pattern)]
ZoneName = Annotated[str, _checked(_zone)]
ClockTime = Annotated[time, BeforeValidator(_clock_time)]


class _Table(BaseModel):
    model_config: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid", frozen=True, populate_by_name=True, hide_input_in_errors=True, defer_build=True
    )


class EscalationSettings(_Table):
    """Further receivers of a page that nobody has acknowledged."""

    after: Annotated[float, Field(gt=0, le=31_536_000)] = Field(description="Seconds after the first page.")
    to: tuple[str, ...] = Field(min_length=1, description="Names of notifiers or rotations.")


class RouteSettings(_Table):
    """Which alerts go where."""

    name: SettingName = Field(description="The route's name; its groups are stored under it.")
    events: tuple[PatternText, ...] = Field(
        ("*",), min_length=1, description="Patterns of the type of the event that triggered last."
    )
    severities: tuple[Severity, ...] = Field(
        tuple(Severity), min_length=1, description="Severities of the alerts that it matches."
    )
    matchers: tuple[MatcherText, ...] = Field((), description="Matchers that the alert's labels must all fit.")
    to: tuple[str, ...] = Field((), description="Notifiers or rotations; none: nobody is paged for these alerts.")
    continues: bool = Field(False, alias="continue", description="Whether later routes are tried as well.")
    group_by: tuple[str, ...] = Field(
        ("correlation_id",), description="Labels whose values make one group, and so one page."
    )
    group_wait: Seconds = Field(10.0, description="Seconds that a new group waits for more before its first page.")
    group_interval: Seconds = Field(60.0, description="Least seconds between two pages with news about a group.")
    repeat_interval: Annotated[float, Field(ge=60, le=31_536_000)] = Field(
        14_400.0, description="Seconds after which a page is sent again while nobody acknowledged."
    )
    escalate: tuple[EscalationSettings, ...] = Field((), description="Further receivers when nobody acknowledges.")
    only_during: str | None = Field(None, description="Name of hours; pages wait outside of them.")
    not_during: str | None = Field(None, description="Name of hours; pages wait inside of them.")


class InhibitSettings(_Table):
    """While an alert that `source` matches fires, alerts that `target` matches are muted."""

    name: SettingName = Field(description="The inhibition's name.")
    source: tuple[MatcherText, ...] = Field(min_length=1, description="Matchers of the alerts that inhibit.")
    target: tuple[MatcherText, ...] = Field(min_length=1, description="Matchers of the alerts that are inhibited.")
    equal: tuple[str, ...] = Field((), description="Labels that both alerts must have, with the same value.")


class HoursSettings(_Table):
    """The same hours on some days of the week, in the wall time of a place."""

    time_zone: ZoneName = Field(description="Such as Europe/Berlin.")
    days: tuple[Weekday, ...] = Field(
        ("mon", "tue", "wed", "thu", "fri"), min_length=1, description="Days on which the hours begin."
    )
    start: time = Field(time(9), description="When they begin.")
    end: ClockTime = Field(time(17), description="When they end; a time at or before `start` is on the next day.")
    closed: tuple[date, ...] = Field((), description="Dates on which they do not begin.")


class RotationSettings(_Table):
    """People who take turns at being on call."""

    time_zone: ZoneName = Field(description="Such as Europe/Berlin.")
    people: tuple[str, ...] = Field(min_length=1, description="Notifiers, in the order of their turns.")
    start: datetime = Field(description="Local date and time, without offset, at which the first person's turn began.")
    shift_days: int = Field(7, ge=1, le=366, description="Days of one turn.")

    @model_validator(mode="after")
    def _local(self) -> Self:
        if self.start.tzinfo is not None:
            raise ValueError("start has an offset; leave it out, since `time_zone` says where the time is")
        return self


DEFAULT_INHIBIT = (
    InhibitSettings.model_construct(
        name="escalated threat before health with its correlation id",
        source=("kind=threat", "status=ESCALATED"),
        target=("kind=health",),
        equal=("correlation_id",),
    ),
    InhibitSettings.model_construct(
        name="critical health before threats with its correlation id",
        source=("kind=health", "severity=CRITICAL"),
        target=("kind=threat", "status!=ESCALATED"),
        equal=("correlation_id",),
    ),
    InhibitSettings.model_construct(
        name="critical health before threats of its agent",
        source=("kind=health", "severity=CRITICAL"),
        target=("kind=threat", "status!=ESCALATED"),
        equal=("agent",),
    ),
)
"""An escalation means that somebody asks for a person: no health alert inhibits it. Made without a check: to build what
checks them would take a third of the time of this import."""


class AlertingSettings(_Table):
    """The table `[alerting]`. Times are in seconds."""

    public_url: str = Field(
        "", pattern=r"^(https?://[^\s]+)?$", description="The URL of this server, for links in pages."
    )
    notifiers: dict[SettingName, AnyNotifier] = Field(
        default_factory=dict, description="Where pages are sent, by name."
    )
    routes: tuple[RouteSettings, ...] | None = Field(
        None,
        description="Which alerts go where; left out: HIGH and CRITICAL threats and health go to every notifier.",
    )
    inhibit: tuple[InhibitSettings, ...] = Field(DEFAULT_INHIBIT, description="Which alerts inhibit which others.")
    hours: dict[SettingName, HoursSettings] = Field(default_factory=dict, description="Business hours, by name.")
    rotations: dict[SettingName, RotationSettings] = Field(
        default_factory=dict, description="On-call rotations, by name."
    )
    also: tuple[PatternText, ...] = Field((), description="Patterns of further event types that make alerts.")
    warm_up: Seconds = Field(10.0, description="Wait after a start, before the first page.")
    reopen_within: Seconds = Field(
        1800.0, description="A resolved alert that fires again within this time is the same alert."
    )
    healing_kinds: tuple[HealthKind, ...] | None = Field(
        None, description="Health kinds whose page waits for healing; left out: those with an action in this process."
    )
    healing_timeout: Seconds = Field(30.0, description="The longest wait of such a page.")
    quiet_after: Annotated[float, Field(gt=0)] = Field(
        300.0, description="An alert on denials, or on a type of `also`, resolves after so long without an event."
    )
    health_quiet_after: Annotated[float, Field(gt=0)] | None = Field(
        3600.0, description="The same for health alerts; healing resolves them earlier."
    )
    send_timeout: Annotated[float, Field(ge=1, le=600)] = Field(
        20.0, description="The longest time to send one message; after that it is sent again later."
    )
    keep_days: Annotated[float, Field(ge=1)] = Field(90.0, description="Days for which resolved alerts are kept.")

    @model_validator(mode="wrap")
    @classmethod
    def _names_exist(cls, table: Any, validate: ModelWrapValidatorHandler[Self]) -> Self:
        made: Self = with_names_checked(table, validate)
        return made
