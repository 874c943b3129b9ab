"""What is told of a group of alerts, to whom and when: one pure function over what was told before.

It may be called at any time and as often as one likes: what it has decided is in the `Told` it gives back, and given
that again it decides nothing twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from brain.alerting.alerts import Alert
from brain.alerting.routing import Route


class Action(StrEnum):
    """What a notice says."""

    TRIGGER = "trigger"
    """Something fires that this notifier knows nothing of."""
    UPDATE = "update"
    """Something more, or something worse, fires in the group that it was told of."""
    REPEAT = "repeat"
    """Nobody has acknowledged for the repeat interval."""
    ACKNOWLEDGE = "acknowledge"
    """Somebody has taken it on."""
    RESOLVE = "resolve"
    """All that it was told of is over."""


PAGES = frozenset({Action.TRIGGER, Action.UPDATE, Action.REPEAT})
"""The actions that ask for a person, which rate limits count."""


class Standing(StrEnum):
    """What a notifier knows of a group."""

    OPEN = "open"
    """It was sent the trigger."""
    SUMMARISED = "summarised"
    """Its page was held back by the rate limit; a summary tells of it."""
    CLOSED = "closed"
    """It was told that all is over, or was never told anything."""


@dataclass(frozen=True)
class Mark:
    """Which state of an alert a notifier was told of, and when (Unix seconds)."""

    mark: str
    at: float


@dataclass(frozen=True, kw_only=True)
class Told:
    """What one notifier was told of one group: an entry of the notification log."""

    standing: Standing = Standing.CLOSED
    marks: Mapping[str, Mark] = field(default_factory=dict)
    at: float = 0.0
    acknowledged: bool = False
    number: int = 0
    """How many notices it was given so far; it makes each of them unique."""


@dataclass(frozen=True)
class Notice:
    """One thing to say to one notifier; `alerts` are the ids of those it is about, the leading one first."""

    notifier: str
    action: Action
    alerts: tuple[str, ...]
    number: int


@dataclass(frozen=True)
class Decision:
    """What is to be said, what has then been told, and the Unix time at which to decide again (None: on news only)."""

    notices: tuple[Notice, ...]
    told: Mapping[str, Told]
    due_at: float | None


Staff = Callable[[str, float], str | None]
"""The notifier that a name (of a notifier or a rotation) means at a Unix time; None when there is none of that name."""


def decide(
    members: Sequence[Alert],
    quiet: frozenset[str],
    told: Mapping[str, Told],
    route: Route | None,
    staff: Staff,
    now: float,
) -> Decision:
    """What to tell of the group `members` at `now`. `quiet` are ids of those that are muted.

    `told` is by notifier. Without a route (it was taken out of the settings) only what is open is brought to an end.
    """
    firing = [alert for alert in members if alert.firing]
    heard = _leading_first([alert for alert in firing if alert.id not in quiet])
    asking = [alert for alert in heard if alert.acknowledged_by is None]
    wanted: list[str] = []
    due: list[float] = []
    if route is not None and asking:
        wanted, due = _wanted(route, asking, told, staff, now)
    notices: list[Notice] = []
    after = dict(told)
    for name in dict.fromkeys([*wanted, *told]):
        before = told.get(name, Told())
        action, later = None, None
        if route is not None and name in wanted:
            action, later = _page(route, firing, asking, before, now)
        if action is None and later is None:
            action = _closing(firing, before)
        if later is not None:
            due.append(later)
        after[name] = before if action is None else _noted(before, action, heard, now)
        if action is None:
            continue
        if before.standing is Standing.SUMMARISED and action not in PAGES:
            continue  # it was never sent the trigger: it is not sent the end either
        about = heard if action in PAGES else _leading_first([alert for alert in members if alert.id in before.marks])
        notices.append(Notice(name, action, tuple(alert.id for alert in about), before.number + 1))
        if action in PAGES and route is not None:
            due.append(now + route.repeat_interval)
            due += [now + step.after for step in route.escalations]
    return Decision(tuple(notices), after, min(due, default=None))


def _page(
    route: Route, firing: Sequence[Alert], asking: Sequence[Alert], before: Told, now: float
) -> tuple[Action | None, float | None]:
    """The page that is due, or when one will be."""
    known = before.marks if before.standing is not Standing.CLOSED else {}
    fresh = any(_is_news(alert, known.get(alert.id)) for alert in asking)
    speaking = before.standing is Standing.OPEN
    if fresh:
        ready = min(alert.fired_at for alert in firing) + route.group_wait
        if before.number and not any(_demanding(alert, known.get(alert.id)) for alert in asking):
            ready = max(ready, before.at + route.group_interval)
        news = Action.UPDATE if speaking else Action.TRIGGER
    else:
        ready = before.at + route.repeat_interval
        news = Action.REPEAT if speaking else Action.TRIGGER
    return (news, None) if now >= ready else (None, ready)


def _is_news(alert: Alert, known: Mark | None) -> bool:
    """Whether the alert fires anew, asks anew, or is worse than the notifier was told; milder is no news."""
    return known is None or _rank(alert.mark) > _rank(known.mark)


def _same_call(alert: Alert, known: Mark) -> bool:
    """Whether the notifier was told of this very call for a person, however bad it was then."""
    return _rank(known.mark)[:2] == (alert.period, alert.demand)


def _rank(mark: str) -> tuple[int, ...]:
    return tuple(map(int, mark.split(".")))


def _demanding(alert: Alert, known: Mark | None) -> bool:
    """Whether somebody has asked for a person since the notifier was told: that waits for no interval."""
    return known is not None and _rank(known.mark)[:2] == (alert.period, alert.demand - 1)


def _closing(firing: Sequence[Alert], before: Told) -> Action | None:
    """Whether what the notifier was told of is over, or has been taken on."""
    if before.standing is Standing.CLOSED:
        return None
    still = [alert for alert in firing if alert.id in before.marks]
    if not still:
        return Action.RESOLVE
    if not before.acknowledged and all(alert.acknowledged_by is not None for alert in still):
        return Action.ACKNOWLEDGE
    return None


def _noted(before: Told, action: Action, heard: Sequence[Alert], now: float) -> Told:
    told = replace(before, at=now, number=before.number + 1)
    match action:
        case Action.RESOLVE:
            return replace(told, standing=Standing.CLOSED, marks={}, acknowledged=False)
        case Action.ACKNOWLEDGE:
            return replace(told, acknowledged=True)
        case _:
            known = before.marks if before.standing is not Standing.CLOSED else {}
            marks = dict(known)
            for alert in heard:
                mark = known.get(alert.id)
                if _is_news(alert, mark):
                    # What gets worse has been waiting for somebody since it was first told.
                    since = mark.at if mark is not None and _same_call(alert, mark) else now
                    marks[alert.id] = Mark(alert.mark, since)
            return replace(told, standing=Standing.OPEN, marks=marks, acknowledged=False)


def _wanted(
    route: Route, asking: Sequence[Alert], told: Mapping[str, Told], staff: Staff, now: float
) -> tuple[list[str], list[float]]:
    """Who should know by now, and the times at which that changes."""
    due: list[float] = []
    if not route.may_speak(now):
        change = route.speaks_again(now)
        return [], [] if change is None else [change]
    names = list(route.to)
    since = min(
        (
            mark.at
            for entry in told.values()
            for alert in asking
            if (mark := entry.marks.get(alert.id)) is not None and _same_call(alert, mark)
        ),
        default=None,
    )
    for step in route.escalations:
        if since is None:
            break
        if now >= since + step.after:
            names += step.to
        else:
            due.append(since + step.after)
    found = [notifier for name in names if (notifier := staff(name, now)) is not None]
    return list(dict.fromkeys(found)), due


def _leading_first(alerts: Sequence[Alert]) -> list[Alert]:
    """Threats first, then the oldest: the first one's key is what a page is known by outside."""
    return sorted(alerts, key=lambda alert: (alert.labels.get("kind") != "threat", alert.first_at, alert.id))
