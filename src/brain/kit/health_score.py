"""The health score: how healthy the fleet is, from 0 to 100, as a pure function of what is known of it.

Its health events of some time, the threats that are open, and how many of its decisions were denials.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, NamedTuple

from msgspec import Meta

from brain.charter import HealthKind, HealthSeverity, Severity

POINTS = {HealthSeverity.WARNING: 3.0, HealthSeverity.CRITICAL: 25.0}
"""How many points one event costs. INFO costs none."""
MOST_POINTS = {HealthSeverity.WARNING: 15.0, HealthSeverity.CRITICAL: 60.0}
"""The most that events of one severity and kind about one module cost together: one noisy part is not the fleet."""
HEALED = 0.2
"""The share of an event's points that remains once a self-healing action dealt with it."""
FAILED = "failed"
"""The outcome of a self-healing action that heals nothing."""
THREAT_POINTS = {Severity.CRITICAL: 30.0, Severity.HIGH: 15.0, Severity.MEDIUM: 5.0, Severity.LOW: 1.0}
"""How many points one open threat costs: with one that is CRITICAL no fleet is HEALTHY."""
MOST_THREAT_POINTS = {Severity.CRITICAL: 60.0, Severity.HIGH: 45.0, Severity.MEDIUM: 20.0, Severity.LOW: 5.0}
"""The most that open threats of one severity cost together."""
DENIAL_POINTS = 40.0
"""What it costs when every decision is a denial."""
USUAL_DENIALS = 0.1
"""The share of denials that costs nothing: rules are there to deny."""
LEAST_DECISIONS = 20
"""Fewer say nothing about a share."""


class HealthRecord(NamedTuple):
    """What the score needs to know of a health event; `outcome` is that of a self-healing action, else empty."""

    severity: HealthSeverity
    kind: HealthKind
    module: str
    outcome: str
    correlation_id: str | None


@dataclass(frozen=True)
class Reason:
    """Why points are missing from the score."""

    points: Annotated[float, Meta(description="How many points are missing for this.")]
    text: Annotated[str, Meta(description="What happened, how often, and how much of it was healed.")]


class DecisionCounts(NamedTuple):
    """How many decisions there were in some time, and how many of them were denials."""

    decisions: int = 0
    denials: int = 0


@dataclass(frozen=True)
class HealthScore:
    """The score, from 0 to 100, and why points are missing; the gravest reason first."""

    score: int
    reasons: tuple[Reason, ...]


def score_health(
    newest_first: Iterable[HealthRecord],
    open_threats: Mapping[Severity, int] | None = None,
    decisions: DecisionCounts | None = None,
) -> HealthScore:
    """The score of these health events, given from the newest to the oldest, beside what else is known.

    An event counts as healed when a later SELF_HEALING_ACTION has its correlation id and has not FAILED.
    """
    groups: dict[tuple[HealthSeverity, HealthKind, str], list[bool]] = defaultdict(list)
    healed: set[str | None] = set()
    for severity, kind, module, outcome, correlation_id in newest_first:
        if kind is HealthKind.SELF_HEALING_ACTION and outcome != FAILED:
            healed.add(correlation_id)
        if severity in POINTS:
            groups[severity, kind, module].append(correlation_id in healed)
    reasons = [_reason(*group, marks) for group, marks in groups.items()]
    reasons += [_of_threats(severity, number) for severity, number in (open_threats or {}).items() if number]
    reasons += _of_denials(decisions or DecisionCounts())
    reasons.sort(key=lambda reason: (-reason.points, reason.text))
    return HealthScore(max(0, round(100 - sum(reason.points for reason in reasons))), tuple(reasons))


def _reason(severity: HealthSeverity, kind: HealthKind, module: str, healed: Sequence[bool]) -> Reason:
    points = min(MOST_POINTS[severity], POINTS[severity] * sum(HEALED if mark else 1.0 for mark in healed))
    after = f", {sum(healed)} of them healed" if any(healed) else ""
    return Reason(round(points, 1), f"{module}: {len(healed)} {severity} {kind}{after}")


def _of_threats(severity: Severity, number: int) -> Reason:
    words = f"{number} {severity} {'threat is' if number == 1 else 'threats are'} open"
    return Reason(min(MOST_THREAT_POINTS[severity], number * THREAT_POINTS[severity]), words)


def _of_denials(counts: DecisionCounts) -> list[Reason]:
    """What a high share of denials costs; nothing while it is usual."""
    share = counts.denials / counts.decisions if counts.decisions >= LEAST_DECISIONS else 0.0
    points = round(DENIAL_POINTS * (share - USUAL_DENIALS) / (1 - USUAL_DENIALS), 1)
    words = f"{counts.denials} of {counts.decisions} decisions were denials ({share:.0%})"
    return [Reason(points, words)] if points > 0 else []
