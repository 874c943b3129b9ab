"""How healthy the fleet is: counts of its health events, and the score with its reasons."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from brain.charter import HealthKind, HealthSeverity, Severity
from brain.immune.models import HealthEvent
from brain.kit.health_score import DecisionCounts, HealthRecord, Reason, score_health


class HealthStatus(StrEnum):
    """The score in one word: from 80 HEALTHY, from 50 DEGRADED, below CRITICAL; NO_DATA before anything is known."""

    HEALTHY = "HEALTHY"
    DEGRADED = "DEGRADED"
    CRITICAL = "CRITICAL"
    NO_DATA = "NO_DATA"


@dataclass(frozen=True)
class FleetState:
    """What is known of the fleet beside its health events; None for what is not known."""

    open_threats: Mapping[Severity, int] | None = None
    decisions: DecisionCounts | None = None


@dataclass(frozen=True)
class HealthSummary:
    """How healthy the fleet is."""

    minutes: Annotated[float, Meta(description="How far back the summary looks.")]
    total: Annotated[int, Meta(description="The events in that time.")]
    by_severity: Annotated[dict[str, int], Meta(description="How many of each severity.")]
    by_kind: Annotated[dict[str, int], Meta(description="How many of each kind.")]
    score: Annotated[
        int | None, Meta(description="From 0 to 100, perfect health; null while nothing is known of the fleet.")
    ]
    status: Annotated[
        HealthStatus,
        Meta(
            description="The score in one word: HEALTHY from 80, DEGRADED from 50, else CRITICAL; NO_DATA without one."
        ),
    ]
    reasons: Annotated[tuple[Reason, ...], Meta(description="What took points off, the gravest first.")]


def summarise(
    events: Sequence[HealthEvent], minutes: float, state: FleetState | None = None, *, known: bool = True
) -> HealthSummary:
    """The summary of these events of the last `minutes`, given from the newest to the oldest.

    `known`: something was recorded of the fleet, ever; else there is no score.
    """
    state = state or FleetState()
    health = score_health(map(_record, events), state.open_threats, state.decisions)
    return HealthSummary(
        minutes=minutes,
        total=len(events),
        by_severity=dict.fromkeys(map(str, HealthSeverity), 0) | Counter(str(event.severity) for event in events),
        by_kind=dict.fromkeys(map(str, HealthKind), 0) | Counter(str(event.kind) for event in events),
        score=health.score if known else None,
        status=_status(health.score) if known else HealthStatus.NO_DATA,
        reasons=health.reasons,
    )


@dataclass(frozen=True)
class ModuleHealth:
    """How healthy one module or agent is, by its health events."""

    module: Annotated[str, Meta(description="The module, agent or service.")]
    score: Annotated[int, Meta(description="From 0 to 100, perfect health.")]
    status: Annotated[HealthStatus, Meta(description="The score in one word.")]
    reasons: Annotated[tuple[Reason, ...], Meta(description="What took points off, the gravest first.")]


def by_module(events: Sequence[HealthEvent]) -> list[ModuleHealth]:
    """The modules that these events are about, given from the newest to the oldest; the least healthy first."""
    of_module: dict[str, list[HealthRecord]] = defaultdict(list)
    for event in events:
        of_module[event.module].append(_record(event))
    scored = [(module, score_health(records)) for module, records in of_module.items()]
    found = [ModuleHealth(module, health.score, _status(health.score), health.reasons) for module, health in scored]
    return sorted(found, key=lambda one: (one.score, one.module))


def _record(event: HealthEvent) -> HealthRecord:
    outcome = event.details.get("outcome")
    return HealthRecord(
        event.severity, event.kind, event.module, outcome if isinstance(outcome, str) else "", event.correlation_id
    )


def _status(score: int) -> HealthStatus:
    if score >= 80:
        return HealthStatus.HEALTHY
    return HealthStatus.DEGRADED if score >= 50 else HealthStatus.CRITICAL
