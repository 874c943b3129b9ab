"""Queries: the series that can be asked for, and their points."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated

from msgspec import Meta
from sqlalchemy import ColumnElement, Connection, func, select

from brain.errors import InvalidInput
from brain.metrics import series, tables
from brain.metrics.series import OTHER
from brain.metrics.state import OpenThreats, health_scores, open_threats_at
from brain.metrics.time_range import TimeRange

Sums = tuple[int, int]
"""Count and sum of the observations of a stretch of time."""


@dataclass(frozen=True)
class Line:
    """One line of a series."""

    labels: Annotated[dict[str, str], Meta(description="What the line is about; empty when the series is not split.")]
    points: Annotated[
        list[tuple[int, float]],
        Meta(
            description="The start of each step, in Unix seconds, and the value. Counts have a point for every step; "
            "rates and means have none where nothing was observed; states are as of the end of the step."
        ),
    ]


@dataclass(frozen=True)
class Series:
    """A series over time."""

    name: Annotated[str, Meta(description="Which series.")]
    by: Annotated[str, Meta(description="The label it is split by; empty when it is not.")]
    since: Annotated[int, Meta(description="Where the first step begins, in Unix seconds.")]
    until: Annotated[int, Meta(description="Where the last step ends, in Unix seconds.")]
    step: Annotated[int, Meta(description="Seconds between two points.")]
    series: Annotated[list[Line], Meta(description="The lines, the largest first, and `other` last.")]
    open: Annotated[
        OpenThreats | None,
        Meta(
            description="With a mean time: the threats that were still open at the end, and are in none yet; else null."
        ),
    ]
    statistic: Annotated[
        str | None, Meta(description="Of a metric that users define: which figure of its values; else null.")
    ] = None
    epoch: Annotated[
        int | None, Meta(description="Of a metric that users define: the how-many-th definition of its name this is.")
    ] = None
    covers_since: Annotated[
        float | None, Meta(description="Of a metric that users define: from when on it counts, in Unix seconds.")
    ] = None


@dataclass(frozen=True)
class SeriesKind:
    """How a series is read: from which stored series, as which value; `filled`: a step without observations is 0."""

    stored: str
    value: Callable[[Sums], float]
    filled: bool


def _count(sums: Sums) -> float:
    return sums[0]


def _sum(sums: Sums) -> float:
    return sums[1]


def _ratio(sums: Sums) -> float:
    return sums[1] / sums[0]


def _mean_of(scale: int) -> Callable[[Sums], float]:
    return lambda sums: sums[1] / scale / sums[0]


def _counted(stored: str) -> SeriesKind:
    return SeriesKind(stored, _count, True)


SERIES: Mapping[tuple[str, str], SeriesKind] = MappingProxyType(
    {
        ("events", "type"): _counted(series.EVENTS_BY_TYPE),
        ("events", "module"): _counted(series.EVENTS_BY_MODULE),
        ("events", "severity"): _counted(series.EVENTS_BY_SEVERITY),
        ("decisions", "effect"): _counted(series.DECISIONS_BY_EFFECT),
        ("decisions", "agent"): _counted(series.DECISIONS_BY_AGENT),
        ("decisions", "action"): _counted(series.DECISIONS_BY_ACTION),
        ("denials", "agent"): SeriesKind(series.DECISIONS_BY_AGENT, _sum, True),
        ("denials", "action"): SeriesKind(series.DECISIONS_BY_ACTION, _sum, True),
        ("denial_rate", "agent"): SeriesKind(series.DECISIONS_BY_AGENT, _ratio, False),
        ("denial_rate", "action"): SeriesKind(series.DECISIONS_BY_ACTION, _ratio, False),
        ("evaluation_seconds", ""): SeriesKind(series.EVALUATION, _mean_of(series.SCALE[series.EVALUATION]), False),
        ("threats", "severity"): _counted(series.THREATS_BY_SEVERITY),
        ("threat_moves", "status"): _counted(series.THREATS_BY_STATUS),
        ("health_events", "severity"): _counted(series.HEALTH_BY_SEVERITY),
        ("health_events", "kind"): _counted(series.HEALTH_BY_KIND),
        ("healing", "outcome"): _counted(series.HEALING_BY_OUTCOME),
    }
)
"""The series that are read off stored points, by name and label; those of stages and states are beside them."""

LABELS_OF: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {name: tuple(by for known, by in SERIES if known == name and by) for name, _ in SERIES}
)
"""The labels that each of these may be split by, the usual one first."""

STAGE_SERIES: Mapping[str, str] = MappingProxyType(
    {
        "mttd_seconds": series.DETECT,
        "mtti_seconds": series.INVESTIGATE,
        "mttm_seconds": series.MITIGATE,
        "mttr_seconds": series.RESOLVE,
    }
)
STATE_SERIES = ("health_score", "open_threats", "open_threats_oldest_age_seconds")
MOST_STATES = 1000
"""Most points of these in an answer: each is computed by itself."""
NAMES = (*dict.fromkeys(name for name, _ in SERIES), *STAGE_SERIES, *STATE_SERIES)


def labels_of(name: str) -> list[str]:
    """The labels that the series may be split by, the usual one first; empty when there is none."""
    return list(LABELS_OF.get(name, ()))


def read_series(connection: Connection, name: str, by: str | None, period: TimeRange, top: int, now: float) -> Series:
    """The series in this range: the `top` largest lines, the rest as OTHER.

    Raises InvalidInput for a name or label that does not exist.
    """
    label = _label(name, by)
    lines = _lines(connection, name, label, period, top, now)
    waiting = open_threats_at(connection, [min(float(period.until), now)])[0] if name in STAGE_SERIES else None
    return Series(name, label, period.since, period.until, period.step, lines, waiting)


def _label(name: str, by: str | None) -> str:
    """The label that the series is split by; "" for none."""
    if name not in NAMES:
        raise InvalidInput(
            f"name: no series is called {name!r}; use one of {', '.join(NAMES)}, or a metric that is defined"
        )
    allowed = labels_of(name)
    if by and by not in allowed:
        remedy = f"use {' or '.join(allowed)}" if allowed else "leave it out"
        raise InvalidInput(f"by: {name} cannot be split by {by!r}; {remedy}")
    return by or (allowed[0] if allowed else "")


def _lines(connection: Connection, name: str, label: str, period: TimeRange, top: int, now: float) -> list[Line]:
    if name in STATE_SERIES:
        return [Line({}, list(_states(connection, name, period, now)))]
    if stage := STAGE_SERIES.get(name):
        kind = SeriesKind(series.STAGE, _mean_of(series.SCALE[series.STAGE]), False)
        found = sums_by_label(connection, kind.stored, period, stage)
        return [Line({}, _points(kind, found.get(stage, {}), period))]
    kind = SERIES[name, label]
    found = top_of(sums_by_label(connection, kind.stored, period), top, _sum if kind.value is not _count else _count)
    return [Line({label: value} if label else {}, _points(kind, sums, period)) for value, sums in found.items()]


def sums_by_label(
    connection: Connection, stored: str, period: TimeRange, label: str | None = None
) -> dict[str, dict[int, Sums]]:
    """What was observed, by label and by the start of each step."""
    table = tables.points.c
    start: ColumnElement[int] = table.bucket - (table.bucket - period.origin) % period.step
    query = (
        select(table.label, start, func.sum(table.count), func.sum(table.sum))
        .where(table.step == period.stored, table.series == stored, *_within(period))
        .group_by(table.label, start)
    )
    if label is not None:
        query = query.where(table.label == label)
    found: defaultdict[str, dict[int, Sums]] = defaultdict(dict)
    for name, at, count, total in connection.execute(query):
        found[name][int(at)] = (int(count), int(total))
    return dict(found)


def totals(connection: Connection, period: TimeRange, names: Iterable[str]) -> dict[str, dict[str, Sums]]:
    """What was observed in the whole period, by stored series and label."""
    table = tables.points.c
    query = (
        select(table.series, table.label, func.sum(table.count), func.sum(table.sum))
        .where(table.step == period.stored, table.series.in_(list(names)), *_within(period))
        .group_by(table.series, table.label)
    )
    found: dict[str, dict[str, Sums]] = {name: {} for name in names}
    for name, label, count, total in connection.execute(query):
        found[name][label] = (int(count), int(total))
    return found


def top_of(
    by_label: Mapping[str, dict[int, Sums]], top: int, rank: Callable[[Sums], float] = _count
) -> dict[str, dict[int, Sums]]:
    """The `top` labels with the largest totals, in that order; the rest is added up under OTHER, the last one."""

    def weight(label: str) -> tuple[float, float, str]:
        sums = by_label[label].values()
        return -sum(map(rank, sums)), -sum(map(_count, sums)), label

    order = sorted((label for label in by_label if label != OTHER), key=weight)
    found = {label: by_label[label] for label in order[:top]}
    rest: defaultdict[int, Sums] = defaultdict(lambda: (0, 0))
    for label in (*order[top:], OTHER):
        for at, (count, total) in by_label.get(label, {}).items():
            rest[at] = (rest[at][0] + count, rest[at][1] + total)
    return {**found, OTHER: dict(rest)} if rest else found


def _within(period: TimeRange) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return tables.points.c.bucket >= period.since, tables.points.c.bucket < period.until


def _points(kind: SeriesKind, sums: Mapping[int, Sums], period: TimeRange) -> list[tuple[int, float]]:
    if kind.filled:
        return [(at, kind.value(sums.get(at, (0, 0)))) for at in period.starts]
    return [(at, kind.value(sums[at])) for at in period.starts if at in sums]


def _states(connection: Connection, name: str, period: TimeRange, now: float) -> Iterable[tuple[int, float]]:
    """The state at the end of each step that has begun; of the present step, the state now."""
    starts = [at for at in period.starts if at <= now]
    if len(starts) > MOST_STATES:
        raise InvalidInput(
            f"step: {name} has {len(starts)} points, at most {MOST_STATES} are allowed; use a larger step"
        )
    ends = [min(float(at + period.step), now) for at in starts]
    if name == "health_score":
        scores = zip(starts, health_scores(connection, ends), strict=True)
        return [(at, score) for at, (_, score) in scores if score is not None]
    found = list(zip(starts, open_threats_at(connection, ends), strict=True))
    if name == "open_threats":
        return [(at, threats.count) for at, threats in found]
    return [(at, threats.oldest_age_seconds or 0.0) for at, threats in found]
