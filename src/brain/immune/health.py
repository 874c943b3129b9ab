"""How healthy the fleet is: a score from 0 to 100, and what took points off it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from brain.charter import HealthKind, HealthSeverity
from brain.immune.models import HealthEvent


class HealthStatus(StrEnum):
    """The score in one word: from 80 HEALTHY, from 50 DEGRADED, below CRITICAL."""

    HEALTHY = "HEALTHY"
    DEGRADED = "DEGRADED"
    CRITICAL = "CRITICAL"


POINTS = {HealthSeverity.WARNING: 3.0, HealthSeverity.CRITICAL: 25.0}
"""What one event takes off the score. INFO takes nothing."""
MOST_POINTS = {HealthSeverity.WARNING: 15.0, HealthSeverity.CRITICAL: 60.0}
"""The most that events of one severity and kind about one module take together: one noisy part is not the fleet."""
HEALED = 0.2
"""The share that is left of an event's points once a self-healing action dealt with it."""


@dataclass(frozen=True)
class Reason:
    """Why points are missing."""

    points: float
    text: str


@dataclass(frozen=True)
class HealthSummary:
    """The health over the last `minutes`, from `total` events; `reasons` has the gravest first."""

    minutes: float
    total: int
    by_severity: dict[str, int]
    by_kind: dict[str, int]
    score: int
    status: HealthStatus
    reasons: tuple[Reason, ...]


def summarise(events: Sequence[HealthEvent], minutes: float) -> HealthSummary:
    """The summary of these events, the newest first.

    An event counts as healed when a later SELF_HEALING_ACTION has its correlation id, unless that one's details say
    `"outcome": "failed"`.
    """
    groups: dict[tuple[HealthSeverity, HealthKind, str], list[bool]] = defaultdict(list)
    healed: set[str | None] = set()
    for event in events:
        if event.kind is HealthKind.SELF_HEALING_ACTION and event.details.get("outcome") != "failed":
            healed.add(event.correlation_id)
        if event.severity in POINTS:
            groups[event.severity, event.kind, event.module].append(event.correlation_id in healed)
    reasons = [_reason(*group, marks) for group, marks in groups.items()]
    reasons.sort(key=lambda reason: (-reason.points, reason.text))
    score = max(0, round(100 - sum(reason.points for reason in reasons)))
    return HealthSummary(
        minutes=minutes,
        total=len(events),
        by_severity=_counts((event.severity for event in events), HealthSeverity),
        by_kind=_counts((event.kind for event in events), HealthKind),
        score=score,
        status=HealthStatus.HEALTHY if score >= 80 else HealthStatus.DEGRADED if score >= 50 else HealthStatus.CRITICAL,
        reasons=tuple(reasons),
    )


def _reason(severity: HealthSeverity, kind: HealthKind, module: str, healed: Sequence[bool]) -> Reason:
    points = min(MOST_POINTS[severity], POINTS[severity] * sum(HEALED if mark else 1.0 for mark in healed))
    after = f", {sum(healed)} of them healed" if any(healed) else ""
    return Reason(round(points, 1), f"{module}: {len(healed)} {severity} {kind}{after}")


def _counts(values: Iterable[str], names: Iterable[str]) -> dict[str, int]:
    counts = Counter({str(name): 0 for name in names})
    counts.update(str(value) for value in values)
    return dict(counts)
