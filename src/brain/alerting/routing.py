"""Routes: which alerts are told together, to whom, and how patiently. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from brain.alerting.alerts import SEVERITIES, Alert
from brain.alerting.matchers import Matcher, all_match
from brain.alerting.schedules import Hours
from brain.charter import Pattern


@dataclass(frozen=True)
class Escalation:
    """Who is told besides when nobody has acknowledged `after` seconds of the alert being told."""

    after: float
    to: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Route:
    """Where alerts go. Times are in seconds.

    `to` and the escalations name notifiers or rotations. `group_wait` is how long an alert waits for others of its
    group before the first page, `group_interval` the least time between two pages with news, `repeat_interval` after
    which a page that nobody acknowledged is sent again. Outside `only_during`, and in `not_during`, pages wait.
    """

    name: str
    to: tuple[str, ...]
    events: Pattern = Pattern("*")  # noqa: RUF009  (never changed)
    severities: frozenset[str] = frozenset(SEVERITIES)
    matchers: tuple[Matcher, ...] = ()
    go_on: bool = False
    group_by: tuple[str, ...] = ("correlation_id",)
    group_wait: float = 10.0
    group_interval: float = 60.0
    repeat_interval: float = 14_400.0
    escalations: tuple[Escalation, ...] = ()
    only_during: Hours | None = None
    not_during: Hours | None = None

    def takes(self, alert: Alert) -> bool:
        """Whether the alert, as it is now, belongs here."""
        return (
            alert.severity in self.severities
            and self.events.matches(alert.event)
            and all_match(self.matchers, alert.all_labels)
        )

    def group_of(self, alert: Alert) -> dict[str, str]:
        """The labels that the alert's group is known by."""
        labels = alert.all_labels
        return {name: labels.get(name, "") for name in self.group_by}

    def may_speak(self, at: float) -> bool:
        """Whether pages of this route are sent at the Unix time."""
        if self.only_during is not None and not self.only_during.open_at(at):
            return False
        return self.not_during is None or not self.not_during.open_at(at)

    def speaks_again(self, at: float) -> float | None:
        """When that next may change; None when it never does."""
        changes = [hours.next_change(at) for hours in (self.only_during, self.not_during) if hours is not None]
        return min((change for change in changes if change is not None), default=None)


def routes_of(alert: Alert, routes: Sequence[Route]) -> list[Route]:
    """The first route that takes the alert, and those after it as long as each says to go on."""
    found: list[Route] = []
    for route in routes:
        if route.takes(alert):
            found.append(route)
            if not route.go_on:
                break
    return found


def group_id(route: str, labels: dict[str, str]) -> str:
    """The id of the group: the same for the same route and labels."""
    return "grp_" + hashlib.sha256(json.dumps([route, labels], sort_keys=True).encode()).hexdigest()[:16]
