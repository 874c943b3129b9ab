"""The configuration: the settings as the objects that routing, muting and evaluation work with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from brain.alerting.inhibition import Inhibition
from brain.alerting.matchers import parse_matchers
from brain.alerting.routing import Escalation, Route
from brain.alerting.schedules import WEEKDAYS, Hours, Rotation
from brain.alerting.settings import AlertingSettings, HoursSettings, RotationSettings, RouteSettings
from brain.alerting.signal_rules import SignalRules
from brain.charter import Pattern, Severity
from brain.connectors.notifiers import NOTIFIERS, NotifierSettings
from brain.errors import InvalidInput
from brain.kit.healing import is_healed
from brain.secret import secret_faults


@dataclass(frozen=True, kw_only=True)
class AlertingConfiguration:
    """How events become alerts, and alerts pages. Times are in seconds."""

    signal_rules: SignalRules
    routes: tuple[Route, ...]
    inhibitions: tuple[Inhibition, ...]
    notifiers: Mapping[str, NotifierSettings]
    rotations: Mapping[str, Rotation]
    warm_up: float
    reopen_within: float
    send_timeout: float
    keep: float
    public_url: str

    def resolve_receiver(self, name: str, at: float) -> str | None:
        """The notifier that a name means at the Unix time: itself, or the one of a rotation that is on call then."""
        rotation = self.rotations.get(name)
        meant = name if rotation is None else rotation.on_call(at)
        return meant if meant in self.notifiers else None

    def next_handover(self, route: Route, at: float) -> float | None:
        """The Unix time at which a rotation that the route pages hands over next; None without a rotation."""
        names = {name for receivers in (route.to, *(step.to for step in route.escalations)) for name in receivers}
        changes = [self.rotations[name].next_change(at) for name in names & self.rotations.keys()]
        return min(changes, default=None)

    def group_interval(self, route: str) -> float:
        """The least seconds between two tries of a message about a group of that route, at least 1."""
        found = self.route(route)
        return Route.group_interval if found is None else max(1.0, found.group_interval)

    def route(self, name: str) -> Route | None:
        """The route of that name."""
        return next((route for route in self.routes if route.name == name), None)


def configuration(settings: AlertingSettings) -> AlertingConfiguration:
    """The configuration that the settings describe."""
    hours = {name: _hours(table) for name, table in settings.hours.items()}
    if settings.routes is None:
        routes = _default_routes(settings)
    else:
        routes = tuple(_route(table, hours) for table in settings.routes)
    return AlertingConfiguration(
        signal_rules=SignalRules(
            is_healed=_is_healed(settings),
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


def notifier_faults(settings: AlertingSettings) -> list[str]:
    """The faults of the notifiers that show without asking a service: secrets that are missing or of a wrong form."""
    return [fault for name, table in settings.notifiers.items() for fault in _faults(name, table)]


def _faults(name: str, table: NotifierSettings) -> list[str]:
    place = f"alerting.notifiers.{name}"
    found = list(secret_faults(table, place))
    if found:
        return found
    try:
        NOTIFIERS.find(table.kind).check(table)
    except InvalidInput as error:
        return [f"{place}: {fault}" for fault in error.faults]
    return []


def _default_routes(settings: AlertingSettings) -> tuple[Route, ...]:
    if not settings.notifiers:
        return ()
    return (
        Route(
            name="default",
            to=tuple(settings.notifiers),
            events=Pattern(("threat.*", "immune.*", "ticket.*")),
            severities=frozenset({Severity.HIGH, Severity.CRITICAL}),
        ),
    )


def _is_healed(settings: AlertingSettings) -> Callable[[str], bool]:
    if settings.healing_kinds is None:
        return is_healed
    kinds = frozenset(map(str, settings.healing_kinds))
    return lambda kind: kind in kinds


def _route(table: RouteSettings, hours: Mapping[str, Hours]) -> Route:
    return Route(
        name=table.name,
        to=table.to,
        events=Pattern(table.events),
        severities=frozenset(table.severities),
        matchers=parse_matchers(table.matchers),
        continues=table.continues,
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
