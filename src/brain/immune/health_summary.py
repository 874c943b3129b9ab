"""How healthy the fleet is: counts of its health events, and their score with its reasons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from brain.charter import HealthKind, HealthSeverity
from brain.immune.models import HealthEvent
from brain.kit.health_score import HealthRecord, Reason, score_health


class HealthStatus(StrEnum):
    """The score in one word: from 80 HEALTHY, from 50 DEGRADED, below CRITICAL."""

    HEALTHY = "HEALTHY"
    DEGRADED = "DEGRADED"
    CRITICAL = "CRITICAL"


@dataclass(frozen=True)
class HealthSummary:
    """How healthy the fleet is."""

    minutes: Annotated[float, Meta(description="How far back the summary looks.")]
    total: Annotated[int, Meta(description="The events in that time.")]
    by_severity: Annotated[dict[str, int], Meta(description="How many of each severity.")]
    by_kind: Annotated[dict[str, int], Meta(description="How many of each kind.")]
    score: Annotated[int, Meta(ge=0, le=100, description="100 is perfect health.")]
    status: Annotated[
        HealthStatus, Meta(description="The score in one word: HEALTHY from 80, DEGRADED from 50, else CRITICAL.")
    ]
    reasons: Annotated[tuple[Reason, ...], Meta(description="What took points off, the gravest first.")]


def summarise(events: Sequence[HealthEvent], minutes: float) -> HealthSummary:
    """The summary of these events of the last `minutes`, given from the newest to the oldest."""
    health = score_health(map(_record, events))
    return HealthSummary(
        minutes=minutes,
        total=len(events),
        by_severity=dict.fromkeys(map(str, HealthSeverity), 0) | Counter(str(event.severity) for event in events),
        by_kind=dict.fromkeys(map(str, HealthKind), 0) | Counter(str(event.kind) for event in events),
        score=health.score,
        status=_status(health.score),
        reasons=health.reasons,
    )


def _record(event: HealthEvent) -> HealthRecord:
    outcome = event.details.get("outcome")
    return HealthRecord(
        event.severity, event.kind, event.module, outcome if isinstance(outcome, str) else "", event.correlation_id
    )


def _status(score: int) -> HealthStatus:
    if score >= 80:
        return HealthStatus.HEALTHY
    return HealthStatus.DEGRADED if score >= 50 else HealthStatus.CRITICAL
