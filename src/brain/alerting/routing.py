"""Routes: which alerts make one group, where their pages go, and when. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from brain.alerting.matchers import Matcher, all_match
from brain.alerting.models import Alert
from brain.alerting.schedules import Hours
from brain.charter import Pattern, Severity


@dataclass(frozen=True)
class Escalation:
    """Further receivers of a page that nobody has acknowledged within `after` seconds."""

    after: float
    to: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Route:
    """Where alerts go. Times are in seconds.

    `to` and the escalations name notifiers or rotations. An alert waits `group_wait` for others of its group before the
    first page. `group_interval` is the least time between two pages with news. A page that nobody acknowledged is sent
    again after `repeat_interval`. Pages wait outside `only_during` and inside `not_during`. An alert that this route
    matches is tried on later routes as well when the route `continues`.
    """

    name: str
    to: tuple[str, ...]
    events: Pattern = Pattern("*")  # noqa: RUF009  (never changed)
    severities: frozenset[Severity] = frozenset(Severity)
    matchers: tuple[Matcher, ...] = ()
    continues: bool = False
    group_by: tuple[str, ...] = ("correlation_id",)
    group_wait: float = 10.0
    group_interval: float = 60.0
    repeat_interval: float = 14_400.0
    escalations: tuple[Escalation, ...] = ()
    only_during: Hours | None = None
    not_during: Hours | None = None

    def matches(self, alert: Alert) -> bool:
        """Whether the alert, as it is now, belongs here."""
        return (
            alert.severity in self.severities
            and self.events.matches(alert.event)
            and all_match(self.matchers, alert.all_labels)
        )

    def group_labels(self, alert: Alert) -> dict[str, str]:
        """The labels that identify the alert's group."""
        labels = alert.all_labels
        return {name: labels.get(name, "") for name in self.group_by}

    def is_active(self, at: float) -> bool:
        """Whether pages of this route are sent at the Unix time."""
        if self.only_during is not None and not self.only_during.open_at(at):
            return False
        return self.not_during is None or not self.not_during.open_at(at)

    def next_change(self, at: float) -> float | None:
        """The Unix time at which `is_active` may change next; None when it never does."""
        changes = [hours.next_change(at) for hours in (self.only_during, self.not_during) if hours is not None]
        return min((change for change in changes if change is not None), default=None)


def routes_of(alert: Alert, routes: Sequence[Route]) -> list[Route]:
    """The first route that matches the alert, and those after it as long as each one continues."""
    found: list[Route] = []
    for route in routes:
        if route.matches(alert):
            found.append(route)
            if not route.continues:
                break
    return found


def group_id(route: str, labels: dict[str, str]) -> str:
    """The id of the group: the same for the same route and labels."""
    return "grp_" + hashlib.sha256(json.dumps([route, labels], sort_keys=True).encode()).hexdigest()[:16]
