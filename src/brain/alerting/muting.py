"""Why an alert that fires is told to nobody now: a silence, an inhibition, a healing action. Pure.

Both are worked out anew whenever they are needed, from the alerts that fire and the silences that are in force: nothing
that is remembered can be out of date.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from brain.alerting.alerts import Alert
from brain.alerting.matchers import Matcher, all_match


@dataclass(frozen=True)
class Silence:
    """Who does not want to hear of what, from when until when (Unix seconds), and why."""

    id: str
    matchers: tuple[Matcher, ...]
    starts_at: float
    ends_at: float
    by: str
    reason: str
    created_at: float

    def in_force(self, at: float) -> bool:
        """Whether it silences anything at that time; the end is excluded."""
        return self.starts_at <= at < self.ends_at

    def covers(self, alert: Alert) -> bool:
        """Whether it is about this alert."""
        return all_match(self.matchers, alert.all_labels)


@dataclass(frozen=True)
class Inhibition:
    """While an alert that `source` matches fires, those that `target` matches and that share all `equal` are not told.

    A label of `equal` that is empty on either side does not count as shared: it says nothing.
    """

    name: str
    source: tuple[Matcher, ...]
    target: tuple[Matcher, ...]
    equal: tuple[str, ...]


@dataclass(frozen=True)
class Muted:
    """Why an alert is not told: by which silence, by which other alert, or until when it is held for healing."""

    silenced_by: str | None = None
    inhibited_by: str | None = None
    held_until: float | None = None

    def __bool__(self) -> bool:
        return self != _HEARD


_HEARD = Muted()


def muted(
    firing: Sequence[Alert], silences: Sequence[Silence], inhibitions: Sequence[Inhibition], now: float
) -> dict[str, Muted]:
    """What mutes each of the alerts that fire, by the alert's id; those that are told are left out."""
    active = [silence for silence in silences if silence.in_force(now)]
    by_alert = inhibited(firing, inhibitions)
    found: dict[str, Muted] = {}
    for alert in firing:
        silence = next((silence.id for silence in active if silence.covers(alert)), None)
        held = alert.held_until if alert.held_until is not None and alert.held_until > now else None
        if why := Muted(silence, by_alert.get(alert.id), held):
            found[alert.id] = why
    return found


def inhibited(firing: Sequence[Alert], inhibitions: Sequence[Inhibition]) -> dict[str, str]:
    """The alerts that are inhibited, each with the one that does it.

    The inhibitions are taken in order, and an alert that one of them inhibits is no source for those after it; an alert
    that is source and target of the same one is not inhibited by another such. So of any number of alerts that would
    inhibit each other, one is always left to be told.
    """
    labels = {alert.id: alert.all_labels for alert in firing}
    found: dict[str, str] = {}
    for inhibition in inhibitions:
        targets = [alert.id for alert in firing if all_match(inhibition.target, labels[alert.id])]
        if not targets:
            continue
        both = set(targets)
        sources: dict[tuple[str, ...], list[str]] = defaultdict(list)
        for alert in firing:
            shared = _shared(inhibition.equal, labels[alert.id])
            if shared is not None and alert.id not in found and all_match(inhibition.source, labels[alert.id]):
                sources[shared].append(alert.id)
        new: dict[str, str] = {}
        is_source = {id for ids in sources.values() for id in ids}
        for target in targets:
            shared = _shared(inhibition.equal, labels[target])
            if target in found or shared is None:
                continue
            for source in sources.get(shared, ()):
                if source != target and not (target in is_source and source in both):
                    new[target] = source
                    break
        found |= new
    return found


def _shared(equal: Sequence[str], labels: Mapping[str, str]) -> tuple[str, ...] | None:
    values = tuple(labels.get(name, "") for name in equal)
    return values if all(values) else None
