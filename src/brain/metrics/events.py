"""The events of metrics: limits, service levels, jobs, and what users define. Without news there is none."""

from __future__ import annotations

from typing import Annotated, Any, TypedDict

from msgspec import Meta

from brain.charter import EventType, Frequency, Priority

Moment = Annotated[float, Meta(description="When, in Unix seconds.")]
Labels = Annotated[dict[str, str], Meta(description="The label and value that it is about; empty for all together.")]


class LimitEvent(TypedDict):
    """What the two events about a limit have in common."""

    limit_name: Annotated[str, Meta(description="The limit's name.")]
    metric: Annotated[str, Meta(description="The metric that it is on.")]
    labels: Labels
    value: Annotated[float | None, Meta(description="The value that made the change; null where there is none.")]
    limit: Annotated[float, Meta(description="The level that is watched.")]
    window_seconds: Annotated[int, Meta(description="Seconds that are looked back.")]
    direction: Annotated[str, Meta(description="Where the trouble lies: above or below.")]
    since: Annotated[float, Meta(description="When the trouble began, in Unix seconds.")]


class LimitCrossed(LimitEvent):
    """A limit was crossed."""


class LimitCleared(LimitEvent):
    """A limit is kept again."""

    reason: Annotated[str, Meta(description="`value`: by the value; `definition`: it was changed or removed.")]
    for_seconds: Annotated[float, Meta(ge=0, description="How long it was crossed.")]


class SloBurning(TypedDict):
    """An error budget is spent too fast."""

    slo: Annotated[str, Meta(description="The objective's name.")]
    objective: Annotated[float, Meta(description="The share of events that should be good.")]
    burn_rate: Annotated[float, Meta(description="How many times too fast, over the long window.")]
    burn_rate_short: Annotated[float, Meta(description="The same over the short window.")]
    burn_limit: Annotated[float, Meta(description="The rate that is an alert for these windows.")]
    window_long: Annotated[int, Meta(description="The long window, in seconds.")]
    window_short: Annotated[int, Meta(description="The short window, in seconds.")]
    budget_left: Annotated[float, Meta(description="The share of the error budget that is left; below 0: overspent.")]
    since: Moment


class SloCleared(TypedDict):
    """An error budget is not spent too fast any more."""

    slo: Annotated[str, Meta(description="The objective's name.")]
    objective: Annotated[float, Meta(description="The share of events that should be good.")]
    budget_left: Annotated[float | None, Meta(description="The share of the error budget that is left.")]
    since: Moment
    reason: Annotated[str, Meta(description="`value`: by the value; `definition`: it was changed or removed.")]
    for_seconds: Annotated[float, Meta(ge=0, description="How long it burnt.")]


class DefinitionsChanged(TypedDict):
    """What is defined has changed."""

    version: Annotated[int, Meta(ge=1, description="The version since then.")]
    source: Annotated[str, Meta(description="Where they come from: settings, or api.")]
    begun: Annotated[list[str], Meta(description="The metrics that began to count, from here on.")]
    ended: Annotated[list[str], Meta(description="The metrics whose former definition counts no more.")]
    changed_at: Moment


class AggregationCompleted(TypedDict):
    """A job that a person asked for is done."""

    job: Annotated[str, Meta(description="verify, or backfill.")]
    metrics: Annotated[list[str], Meta(description="The metrics it was about; empty: all.")]
    entries_processed: Annotated[int, Meta(ge=0, description="How many events were counted.")]
    differences: Annotated[int, Meta(ge=0, description="How many rows differ from the stored ones.")]
    duration_ms: Annotated[float, Meta(ge=0, description="How long it took, in milliseconds.")]
    completed_at: Moment


class AggregationFailed(TypedDict):
    """A job, or the counting itself, has failed."""

    job: Annotated[str, Meta(description="count, verify, or backfill.")]
    error_type: Annotated[str, Meta(description="The kind of the error.")]
    error_message: Annotated[str, Meta(description="The error, in words.")]
    failed_at: Moment
    events_behind: Annotated[int | None, Meta(description="How many events wait to be counted; null: not known.")]


_LIMIT: LimitCrossed = {
    "limit_name": "denials_of_an_agent",
    "metric": "denials",
    "labels": {"agent": "agent-7"},
    "value": 61.0,
    "limit": 50.0,
    "window_seconds": 300,
    "direction": "above",
    "since": 1703001420.0,
}
LIMIT_CROSSED = EventType(
    name="metrics.limit_crossed",
    module="metrics",
    payload=LimitCrossed,
    priority=Priority.HIGH,
    frequency=Frequency.LOW,
    purpose="A series has crossed a limit.",
    example=_LIMIT,
)
LIMIT_CLEARED = EventType(
    name="metrics.limit_cleared",
    module="metrics",
    payload=LimitCleared,
    priority=Priority.MEDIUM,
    frequency=Frequency.LOW,
    purpose="A series keeps a limit again, or the limit was changed or removed.",
    example={**_LIMIT, "value": 12.0, "reason": "value", "for_seconds": 340.0},
)
SLO_BURNING = EventType(
    name="metrics.slo_burning",
    module="metrics",
    payload=SloBurning,
    priority=Priority.CRITICAL,
    frequency=Frequency.LOW,
    purpose="An error budget is spent too fast, or faster than was said before.",
    example={
        "slo": "tasks",
        "objective": 0.999,
        "burn_rate": 16.2,
        "burn_rate_short": 21.0,
        "burn_limit": 14.4,
        "window_long": 3600,
        "window_short": 300,
        "budget_left": 0.91,
        "since": 1703001420.0,
    },
)
SLO_CLEARED = EventType(
    name="metrics.slo_cleared",
    module="metrics",
    payload=SloCleared,
    priority=Priority.MEDIUM,
    frequency=Frequency.LOW,
    purpose="An error budget is not spent too fast any more, or the objective was changed or removed.",
    example={
        "slo": "tasks",
        "objective": 0.999,
        "budget_left": 0.88,
        "since": 1703001420.0,
        "reason": "value",
        "for_seconds": 900.0,
    },
)
DEFINITIONS_CHANGED = EventType(
    name="metrics.definitions_changed",
    module="metrics",
    payload=DefinitionsChanged,
    priority=Priority.MEDIUM,
    frequency=Frequency.LOW,
    purpose="Metrics, limits or service level objectives were defined, changed or removed.",
    example={"version": 3, "source": "api", "begun": ["task_failures"], "ended": [], "changed_at": 1703001420.0},
)
AGGREGATION_COMPLETED = EventType(
    name="metrics.aggregation_completed",
    module="metrics",
    payload=AggregationCompleted,
    priority=Priority.MEDIUM,
    frequency=Frequency.LOW,
    purpose="A recount or a backfill that a person asked for is done.",
    example={
        "job": "backfill",
        "metrics": ["task_failures"],
        "entries_processed": 48213,
        "differences": 0,
        "duration_ms": 1210.5,
        "completed_at": 1703001420.0,
    },
)
AGGREGATION_FAILED = EventType(
    name="metrics.aggregation_failed",
    module="metrics",
    payload=AggregationFailed,
    priority=Priority.MEDIUM,
    frequency=Frequency.LOW,
    purpose="A recount or a backfill has failed, or events could not be counted.",
    example={
        "job": "backfill",
        "error_type": "Unavailable",
        "error_message": "the database does not answer",
        "failed_at": 1703001420.0,
        "events_behind": None,
    },
)

EVENTS: tuple[EventType[Any], ...] = (
    LIMIT_CROSSED,
    LIMIT_CLEARED,
    SLO_BURNING,
    SLO_CLEARED,
    DEFINITIONS_CHANGED,
    AGGREGATION_COMPLETED,
    AGGREGATION_FAILED,
)
