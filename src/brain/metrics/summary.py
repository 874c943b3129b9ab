"""The summary: all figures of a range of time at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta
from sqlalchemy import Connection

from brain.charter import Effect
from brain.metrics import series
from brain.metrics.query import Sums, totals
from brain.metrics.series import OTHER
from brain.metrics.state import OpenThreats, health_scores, open_threats_at, resolution_rate
from brain.metrics.time_range import TimeRange

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
    """How often one agent, or one action, is refused."""

    name: Annotated[str, Meta(description="The agent or the action; `other` for all that are not listed.")]
    decisions: Annotated[int, Meta(description="How many decisions there were.")]
    denials: Annotated[int, Meta(description="How many of them were denials.")]
    denial_rate: Annotated[float, Meta(description="The share of denials, from 0 to 1.")]


@dataclass(frozen=True)
class MetricsSummary:
    """The figures of a span of time. Mean times are null where nothing was observed."""

    since: Annotated[int, Meta(description="The start of the span, in Unix seconds, widened to whole steps.")]
    until: Annotated[int, Meta(description="The end of the span, likewise.")]
    step: Annotated[int, Meta(description="The width of the stored buckets that were added up, in seconds.")]
    events: Annotated[int, Meta(description="How many events.")]
    decisions: Annotated[dict[str, int], Meta(description="How many decisions, by effect.")]
    denial_rate: Annotated[
        float | None, Meta(description="The share of denials among all decisions; null without any.")
    ]
    denial_rate_by_agent: Annotated[list[DenialRate], Meta(description="Those with the most denials first.")]
    denial_rate_by_action: Annotated[list[DenialRate], Meta(description="Those with the most denials first.")]
    detected: Annotated[dict[str, int], Meta(description="How many threats were detected, by severity.")]
    mttd_seconds: Annotated[float | None, Meta(description="Mean time from the first evidence to detection.")]
    mtti_seconds: Annotated[float | None, Meta(description="Mean time from detection to investigation.")]
    mttm_seconds: Annotated[
        float | None, Meta(description="Mean time from detection to mitigation; see `open` for the others.")
    ]
    mttr_seconds: Annotated[float | None, Meta(description="Mean time from detection to resolution.")]
    resolution_rate: Annotated[
        float | None,
        Meta(
            description="Of the threats detected in the span, ignored ones left out, the share mitigated or resolved "
            "now."
        ),
    ]
    open: Annotated[OpenThreats, Meta(description="The threats that were active at the end of the span.")]
    healing: Annotated[dict[str, int], Meta(description="How many self-healing actions, by outcome.")]
    health_score: Annotated[
        int | None,
        Meta(description="The fleet's health at the end of the span, from 0 to 100, perfect; null before any event."),
    ]


def summarise_range(connection: Connection, period: TimeRange, now: float, top: int) -> MetricsSummary:
    """The summary of the range; the `top` agents and actions, those with the most denials first."""
    found = totals(connection, period, _READ)
    decisions = {str(effect): found[series.DECISIONS_BY_EFFECT].get(effect, (0, 0))[0] for effect in Effect}
    if unknown := found[series.DECISIONS_BY_EFFECT].get(OTHER):
        decisions[OTHER] = unknown[0]
    every = sum(count for count, _ in found[series.DECISIONS_BY_EFFECT].values())
    stages = found[series.STAGE]
    end = min(float(period.until), now)
    return MetricsSummary(
        since=period.since,
        until=period.until,
        step=period.stored,
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
        resolution_rate=resolution_rate(connection, period.since, period.until),
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
