"""The figures of a span of time, all at once."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from brain.charter import Effect
from brain.metrics import series
from brain.metrics.query import Sums, totals
from brain.metrics.series import OTHER
from brain.metrics.state import OpenThreats, health_scores, open_threats_at, resolution_rate
from brain.metrics.time_range import Span

_READ = (
    series.EVENTS_BY_TYPE,
    series.DECISIONS_BY_EFFECT,
    series.DECISIONS_BY_AGENT,
    series.DECISIONS_BY_ACTION,
    series.THREATS_BY_SEVERITY,
    series.STAGE,
    series.HEALING_BY_OUTCOME,
)


@dataclass(frozen=True)
class DenialRate:
    """How many of the decisions about one agent or action were denials."""

    name: str
    decisions: int
    denials: int
    denial_rate: float


@dataclass(frozen=True)
class Summary:
    """The figures from `since` to `until` (Unix seconds). Mean times in seconds, None where nothing was observed.

    `mttm_seconds` is about the threats that were mitigated in that time; those that still wait are in `open`, which,
    like `health_score`, is as of the end of the span.
    """

    since: int
    until: int
    step: int
    events: int
    decisions: dict[str, int]
    denial_rate: float | None
    denial_rate_by_agent: list[DenialRate]
    denial_rate_by_action: list[DenialRate]
    detected: dict[str, int]
    mttd_seconds: float | None
    mtti_seconds: float | None
    mttm_seconds: float | None
    mttr_seconds: float | None
    resolution_rate: float | None
    open: OpenThreats
    healing: dict[str, int]
    health_score: int


def summarise_span(connection: Connection, span: Span, now: float, top: int) -> Summary:
    """The summary of the span; the `top` agents and actions, those with the most denials first."""
    found = totals(connection, span, _READ)
    decisions = {str(effect): found[series.DECISIONS_BY_EFFECT].get(effect, (0, 0))[0] for effect in Effect}
    if unknown := found[series.DECISIONS_BY_EFFECT].get(OTHER):
        decisions[OTHER] = unknown[0]
    every = sum(count for count, _ in found[series.DECISIONS_BY_EFFECT].values())
    stages = found[series.STAGE]
    end = min(float(span.until), now)
    return Summary(
        since=span.since,
        until=span.until,
        step=span.stored,
        events=sum(count for count, _ in found[series.EVENTS_BY_TYPE].values()),
        decisions=decisions,
        denial_rate=decisions[Effect.DENY] / every if every else None,
        denial_rate_by_agent=denial_rates(found[series.DECISIONS_BY_AGENT], top),
        denial_rate_by_action=denial_rates(found[series.DECISIONS_BY_ACTION], top),
        detected={severity: count for severity, (count, _) in sorted(found[series.THREATS_BY_SEVERITY].items())},
        mttd_seconds=_mean(stages.get(series.DETECT)),
        mtti_seconds=_mean(stages.get(series.INVESTIGATE)),
        mttm_seconds=_mean(stages.get(series.MITIGATE)),
        mttr_seconds=_mean(stages.get(series.RESOLVE)),
        resolution_rate=resolution_rate(connection, span.since, span.until),
        open=open_threats_at(connection, [end])[0],
        healing={outcome: count for outcome, (count, _) in sorted(found[series.HEALING_BY_OUTCOME].items())},
        health_score=next(score for _, score in health_scores(connection, [end])),
    )


def denial_rates(sums: dict[str, Sums], top: int) -> list[DenialRate]:
    """The `top` with the most denials (of equal ones those with the most decisions), then the rest as OTHER."""
    order = sorted((name for name in sums if name != OTHER), key=lambda name: (-sums[name][1], -sums[name][0], name))
    rest = [sums[name] for name in (*order[top:], *([OTHER] if OTHER in sums else []))]
    rates = [DenialRate(name, *sums[name], sums[name][1] / sums[name][0]) for name in order[:top]]
    if rest:
        decisions, denials = (sum(column) for column in zip(*rest, strict=True))
        rates.append(DenialRate(OTHER, decisions, denials, denials / decisions))
    return rates


def _mean(sums: Sums | None) -> float | None:
    return sums[1] / series.SCALE[series.STAGE] / sums[0] if sums else None
