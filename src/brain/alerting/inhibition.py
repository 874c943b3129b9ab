"""Inhibition: alerts that keep other alerts from being paged, as in Alertmanager. Pure.

Source: https://prometheus.io/docs/alerting/latest/configuration/#inhibition-related-settings
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from brain.alerting.matchers import Matcher, all_match

Labels = Mapping[str, str]
"""What matchers see of an alert: its `all_labels`."""


@dataclass(frozen=True)
class Inhibition:
    """While an alert that `source` matches fires, alerts that `target` matches are muted.

    Both must have the same values of all labels in `equal`; two empty values do not count as the same.
    """

    name: str
    source: tuple[Matcher, ...]
    target: tuple[Matcher, ...]
    equal: tuple[str, ...]

    def asked_for(self, firing: Iterable[Labels]) -> set[tuple[str, ...]]:
        """The values of `equal` with which a source would inhibit one of these alerts, by their labels."""
        shared = {_shared(self.equal, labels) for labels in firing if all_match(self.target, labels)}
        return {values for values in shared if values is not None}

    def is_source(self, labels: Labels, asked_for: set[tuple[str, ...]]) -> bool:
        """Whether the alert with these labels inhibits those with one of these values of `equal`."""
        return _shared(self.equal, labels) in asked_for and all_match(self.source, labels)


def inhibited(firing: Mapping[str, Labels], inhibitions: Sequence[Inhibition]) -> dict[str, str]:
    """The ids of the inhibited alerts, each with the id of the alert that inhibits it: the first by id, of several.

    `firing` has the labels of the alerts that fire, by id.

    The inhibitions apply in order. An alert that one of them inhibits is no source for those after it; an alert that is
    source and target of the same inhibition is not inhibited by another such alert. So of any number of alerts that
    would inhibit each other, one is always left to be paged.
    """
    ids = sorted(firing)
    found: dict[str, str] = {}
    for inhibition in inhibitions:
        targets = [id for id in ids if all_match(inhibition.target, firing[id])]
        if targets:
            candidates = [id for id in ids if id not in found]
            found |= _inhibited_by(inhibition, candidates, targets, firing)
    return found


def _inhibited_by(
    inhibition: Inhibition, candidates: Sequence[str], targets: Sequence[str], labels: Mapping[str, Labels]
) -> dict[str, str]:
    """What one inhibition inhibits among the `targets`; sources and targets are `candidates` only."""
    sources: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for id in candidates:
        shared = _shared(inhibition.equal, labels[id])
        if shared is not None and all_match(inhibition.source, labels[id]):
            sources[shared].append(id)
    is_source = {id for ids in sources.values() for id in ids}
    is_target, allowed = set(targets), set(candidates)
    found: dict[str, str] = {}
    for target in targets:
        shared = _shared(inhibition.equal, labels[target])
        if target not in allowed or shared is None:
            continue
        both = target in is_source
        source = next((id for id in sources[shared] if id != target and not (both and id in is_target)), None)
        if source is not None:
            found[target] = source
    return found


def _shared(equal: Sequence[str], labels: Labels) -> tuple[str, ...] | None:
    values = tuple(labels.get(name, "") for name in equal)
    return values if all(values) else None
