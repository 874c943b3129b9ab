"""Groups of alerts: which notifications are due, for whom and when. One pure function over the notification log.

It may be called at any time and any number of times: its decision is in the log entries that it gives back, and with
those it decides nothing twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from brain.alerting.models import Alert
from brain.alerting.notification_log import (
    AlertFingerprint,
    NotificationLogEntry,
    NotificationState,
    demands_more,
    is_news,
    is_same_demand,
    leading_first,
    logged,
)
from brain.alerting.routing import Route
from brain.connectors.pages import PageAction
from brain.times import due_after

URGENT_WAIT = 1.0
"""Seconds that a new group waits for more when somebody asks for a person already. Later ones wait for nothing."""

CLOSING_INTERVAL = 60.0
"""Seconds between two tries to end a page whose route is gone from the settings."""

LEAST_INTERVAL = 1.0
"""Least seconds between two tries of a message that is refused."""

ResolveReceiver = Callable[[str, float], str | None]
"""The notifier that a name (of a notifier or a rotation) means at a Unix time; None when nothing has that name."""


@dataclass(frozen=True)
class PlannedNotification:
    """One notification to one notifier. `alerts` are the ids of the alerts that it is about, the leading one first."""

    notifier: str
    action: PageAction
    alerts: tuple[str, ...]


@dataclass(frozen=True)
class GroupDecision:
    """The notifications that are due, the log entries after them, and the Unix time of the next decision.

    `due_at` is None when only a new event or setting can change anything.
    """

    notifications: tuple[PlannedNotification, ...]
    log: Mapping[str, NotificationLogEntry]
    due_at: float | None


@dataclass(frozen=True, kw_only=True)
class AlertGroup:
    """The alerts of one group at a moment.

    `members` are the alerts that fire, and the resolved ones that somebody was notified of. `muted` are ids. `log` has
    an entry for each notifier that was notified. `route` is None when it is gone from the settings: then notifiers are
    only sent the resolution of what is open.
    """

    members: Sequence[Alert]
    muted: frozenset[str]
    log: Mapping[str, NotificationLogEntry]
    route: Route | None

    @cached_property
    def firing(self) -> list[Alert]:
        """The alerts that fire."""
        return [alert for alert in self.members if alert.firing]

    @cached_property
    def audible(self) -> list[Alert]:
        """The alerts that fire and are not muted, the leading one first."""
        return leading_first([alert for alert in self.firing if alert.id not in self.muted])

    @cached_property
    def demanding(self) -> list[Alert]:
        """The audible alerts that nobody has acknowledged."""
        return [alert for alert in self.audible if alert.acknowledged_by is None]


def decide(group: AlertGroup, resolve_receiver: ResolveReceiver, now: float) -> GroupDecision:
    """The notifications about the group that are due at `now`, in Unix seconds."""
    receivers, due = _receivers(group, resolve_receiver, now)
    notifications: list[PlannedNotification] = []
    after = dict(group.log)
    for name in dict.fromkeys([*receivers, *group.log]):
        before = group.log.get(name, NotificationLogEntry())
        action, later = _action(group, before, now, is_receiver=name in receivers)
        if later is not None:
            due.append(later)
        after[name] = before if action is None else logged(before, action, group.audible, now)
        if action is None:
            continue
        if before.state is NotificationState.SUMMARISED and not action.is_paging:
            continue  # the trigger was never sent, so its end is not sent either
        notifications.append(PlannedNotification(name, action, _about(group, before, action)))
        if action.is_paging and group.route is not None:
            due.append(now + group.route.repeat_interval)
            due += [now + step.after for step in group.route.escalations]
    return GroupDecision(tuple(notifications), after, min(due, default=None))


def _action(
    group: AlertGroup, before: NotificationLogEntry, now: float, *, is_receiver: bool
) -> tuple[PageAction | None, float | None]:
    """The action that is due for one notifier, or the time at which one will be."""
    if group.route is not None and is_receiver:
        action, later = _page(group, group.route, before, now)
        if action is not None or later is not None:
            return action, later
    return _closing(group, before, now)


def _about(group: AlertGroup, before: NotificationLogEntry, action: PageAction) -> tuple[str, ...]:
    if action.is_paging:
        alerts = group.audible
    else:
        alerts = leading_first([alert for alert in group.members if alert.id in before.fingerprints])
    return tuple(alert.id for alert in alerts)


def _page(
    group: AlertGroup, route: Route, before: NotificationLogEntry, now: float
) -> tuple[PageAction | None, float | None]:
    """The page that is due, or the time at which one will be."""
    known = before.open_fingerprints
    is_open = before.state is NotificationState.OPEN and before.is_accepted
    news = [alert for alert in group.demanding if is_news(alert, known.get(alert.id))]
    if news and before.is_waiting and all(_is_refused(alert, known.get(alert.id)) for alert in news):
        return None, None  # the page that is on its way tells of them too
    if news:
        urgent = any(demands_more(alert, known.get(alert.id)) for alert in group.demanding)
        wait = min(route.group_wait, URGENT_WAIT) if urgent else route.group_wait
        ready = min(alert.fired_at for alert in group.firing) + wait
        if before.number and not urgent:
            # A message of a later time is one of another machine, whose clock is ahead.
            ready = max(ready, due_after(before.at, route.group_interval, now), _again_at(before, route, now))
        action = PageAction.UPDATE if is_open else PageAction.TRIGGER
    else:
        ready = max(before.at, before.accepted_at) + route.repeat_interval
        if before.refusal is not None and before.refusal.action == PageAction.REPEAT:
            ready = min(ready, _again_at(before, route, now))
        action = PageAction.REPEAT if is_open else PageAction.TRIGGER
    return (action, None) if now >= ready else (None, ready)


def _again_at(before: NotificationLogEntry, route: Route | None, now: float) -> float:
    """When a message that was refused is tried again, in Unix seconds; a time long ago when none was."""
    if before.refusal is None:
        return 0.0
    interval = max(LEAST_INTERVAL, CLOSING_INTERVAL if route is None else route.group_interval)
    return due_after(before.refusal.at, interval, now)


def _is_refused(alert: Alert, known: AlertFingerprint | None) -> bool:
    """Whether the alert is news only because its page was refused."""
    return known is not None and known.refused and not is_news(alert, replace(known, refused=False))


def _closing(group: AlertGroup, before: NotificationLogEntry, now: float) -> tuple[PageAction | None, float | None]:
    """RESOLVE when all that the notifier was notified of is over, ACKNOWLEDGE when all of it is acknowledged.

    Also the time at which one that was refused is due again.
    """
    if before.state is NotificationState.CLOSED:
        return None, None
    still = [alert for alert in group.firing if alert.id in before.fingerprints]
    action = None
    if not still:
        action = PageAction.RESOLVE
    elif not before.acknowledged and all(alert.acknowledged_by is not None for alert in still):
        action = PageAction.ACKNOWLEDGE
    if action is None or before.refusal is None or not before.refusal.closing:
        return action, None
    ready = _again_at(before, group.route, now)
    return (action, None) if now >= ready else (None, ready)


def _receivers(group: AlertGroup, resolve_receiver: ResolveReceiver, now: float) -> tuple[list[str], list[float]]:
    """The notifiers that should know by now, and the times at which that changes."""
    route = group.route
    if route is None or not group.demanding:
        return [], []
    if not route.is_active(now):
        change = route.next_change(now)
        return [], [] if change is None else [change]
    names = list(route.to)
    due: list[float] = []
    since = _notified_since(group)
    for step in route.escalations:
        if since is None:
            break
        if now >= since + step.after:
            names += step.to
        else:
            due.append(since + step.after)
    found = [notifier for name in names if (notifier := resolve_receiver(name, now)) is not None]
    return list(dict.fromkeys(found)), due


def _notified_since(group: AlertGroup) -> float | None:
    """When the first notifier was notified of what still asks for a person; None while nobody was."""
    times = [
        known.at
        for entry in group.log.values()
        for alert in group.demanding
        if (known := entry.fingerprints.get(alert.id)) is not None and is_same_demand(alert, known)
    ]
    return min(times, default=None)
