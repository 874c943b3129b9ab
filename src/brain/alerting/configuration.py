"""The settings turned into what the rules of this consumer work with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from brain.alerting.matchers import parse_matchers
from brain.alerting.muting import Inhibition
from brain.alerting.notifier_settings import Notifier, PagerDutyNotifier, WebhookNotifier
from brain.alerting.routing import Escalation, Route
from brain.alerting.schedules import WEEKDAYS, Hours, Rotation
from brain.alerting.settings import HoursSettings, RotationSettings, RouteSettings, SocSettings
from brain.alerting.signals import Reading
from brain.charter import Pattern
from brain.connectors.pagerduty import follow_up_event
from brain.connectors.webhook import sign
from brain.errors import InvalidInput
from brain.immune.healing import ACTIONS
from brain.secret import Secret


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """What decides how events become alerts and alerts pages."""

    reading: Reading
    routes: tuple[Route, ...]
    inhibitions: tuple[Inhibition, ...]
    notifiers: Mapping[str, Notifier]
    rotations: Mapping[str, Rotation]
    warm_up: float
    reopen_within: float
    send_timeout: float
    keep: float
    public_url: str

    def staff(self, name: str, at: float) -> str | None:
        """The notifier that a name means at the Unix time: itself, or who of a rotation is on call then."""
        rotation = self.rotations.get(name)
        meant = name if rotation is None else rotation.on_call(at)
        return meant if meant in self.notifiers else None

    def route(self, name: str) -> Route | None:
        """The route of that name."""
        return next((route for route in self.routes if route.name == name), None)


def configuration(settings: SocSettings) -> Configuration:
    """The settings, put to work."""
    hours = {name: _hours(table) for name, table in settings.hours.items()}
    if settings.routes is None:
        routes = _default_routes(settings)
    else:
        routes = tuple(_route(table, hours) for table in settings.routes)
    return Configuration(
        reading=Reading(
            healed_kinds=_healed_kinds(settings),
            healing_timeout=settings.healing_timeout,
            quiet_after=settings.quiet_after,
            health_quiet_after=settings.health_quiet_after,
            also=Pattern(settings.also) if settings.also else None,
        ),
        routes=routes,
        inhibitions=tuple(
            Inhibition(table.name, parse_matchers(table.source), parse_matchers(table.target), table.equal)
            for table in settings.inhibit
        ),
        notifiers=settings.notifiers,
        rotations={name: _rotation(table) for name, table in settings.rotations.items()},
        warm_up=settings.warm_up,
        reopen_within=settings.reopen_within,
        send_timeout=settings.send_timeout,
        keep=settings.keep_days * 86_400,
        public_url=settings.public_url.rstrip("/"),
    )


def secret_faults(settings: SocSettings) -> list[str]:
    """What is wrong with the secrets of the notifiers: not set, not readable, not of the service's form."""
    found: list[str] = []
    for name, notifier in settings.notifiers.items():
        faults: list[str] = []
        for field in type(notifier).model_fields:
            value = getattr(notifier, field)
            if isinstance(value, Secret):
                try:
                    value.reveal()
                except InvalidInput as error:
                    faults += [f"soc.notifiers.{name}.{field}: {fault}" for fault in error.faults]
        if not faults:
            faults += [f"soc.notifiers.{name}: {fault}" for fault in _form_faults(notifier)]
        found += faults
    return found


def _form_faults(notifier: Notifier) -> tuple[str, ...]:
    """What the service would not take, as far as the connector can tell without asking it."""
    try:
        match notifier:
            case PagerDutyNotifier():
                follow_up_event(notifier, "resolve", "brain")
            case WebhookNotifier():
                sign(notifier.key, "brain", b"", 0.0)
    except InvalidInput as error:
        return error.faults
    return ()


def _default_routes(settings: SocSettings) -> tuple[Route, ...]:
    if not settings.notifiers:
        return ()
    return (
        Route(
            name="default",
            to=tuple(settings.notifiers),
            events=Pattern(("threat.*", "immune.*")),
            severities=frozenset({"HIGH", "CRITICAL"}),
        ),
    )


def _healed_kinds(settings: SocSettings) -> Callable[[str], bool]:
    if settings.healing_kinds is None:
        return lambda kind: kind in ACTIONS  # looked up at each event: actions may be registered later
    kinds = frozenset(map(str, settings.healing_kinds))
    return lambda kind: kind in kinds


def _route(table: RouteSettings, hours: Mapping[str, Hours]) -> Route:
    return Route(
        name=table.name,
        to=table.to,
        events=Pattern(table.events),
        severities=frozenset(table.severities),
        matchers=parse_matchers(table.matchers),
        go_on=table.go_on,
        group_by=table.group_by,
        group_wait=table.group_wait,
        group_interval=table.group_interval,
        repeat_interval=table.repeat_interval,
        escalations=tuple(Escalation(step.after, step.to) for step in table.escalate),
        only_during=hours[table.only_during] if table.only_during is not None else None,
        not_during=hours[table.not_during] if table.not_during is not None else None,
    )


def _hours(table: HoursSettings) -> Hours:
    days = frozenset(WEEKDAYS.index(day) for day in table.days)
    return Hours(ZoneInfo(table.time_zone), days, table.start, table.end, frozenset(table.closed))


def _rotation(table: RotationSettings) -> Rotation:
    return Rotation(ZoneInfo(table.time_zone), table.people, table.start, table.shift_days)
