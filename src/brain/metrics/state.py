"""The state at one moment: the health score, and the open threats."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta
from sqlalchemy import Connection, case, func, or_, select

from brain.charter import Effect, HealthKind, HealthSeverity, Severity, ThreatStatus
from brain.kit.health_score import DecisionCounts, HealthRecord, score_health
from brain.metrics import series, tables

HEALTH_WINDOW = 3600.0
"""Seconds of health events that a score is made of, as `GET /api/immune/health` has by default."""

_SOLVED = (str(ThreatStatus.MITIGATED), str(ThreatStatus.RESOLVED))


@dataclass(frozen=True)
class OpenThreats:
    """The threats that wait to be mitigated."""

    count: Annotated[int, Meta(description="How many.")]
    mean_age_seconds: Annotated[float | None, Meta(description="How old they are in the mean; null without any.")]
    oldest_age_seconds: Annotated[float | None, Meta(description="How old the oldest is; null without any.")]
    oldest_id: Annotated[str | None, Meta(description="The id of the oldest; null without any.")]


def health_scores(connection: Connection, moments: Sequence[float]) -> Iterator[tuple[float, int | None]]:
    """The health score at each of these moments (Unix seconds, rising), from what happened in the HEALTH_WINDOW before.

    None for a moment before the first event was counted: nothing is known of it.
    """
    if not moments:
        return
    first = first_counted(connection)
    threats = list(_threat_spans(connection, moments))
    decisions = _Window(decision_counts(connection, moments[0] - HEALTH_WINDOW, moments[-1]))
    for moment, records in _health_windows(connection, moments):
        if first is None or moment <= first:
            yield moment, None
            continue
        still = Counter(
            severity for severity, since, end in threats if since <= moment and (end is None or end > moment)
        )
        yield moment, score_health(records, still, decisions.at(moment)).score


def decision_counts(connection: Connection, since: float, until: float) -> Iterator[tuple[int, DecisionCounts]]:
    """The decisions of each minute that begins after `since` and up to `until` (Unix seconds), in order."""
    table, minute = tables.points.c, series.STEPS[1]
    query = (
        select(
            table.bucket, func.sum(table.count), func.sum(case((table.label == str(Effect.DENY), table.count), else_=0))
        )
        .where(table.step == minute, table.series == series.DECISIONS_BY_EFFECT)
        .where(table.bucket > since, table.bucket <= until)
        .group_by(table.bucket)
        .order_by(table.bucket)
    )
    for bucket, decisions, denials in connection.execute(query):
        yield bucket, DecisionCounts(int(decisions), int(denials))


class _Window:
    """The sums of the HEALTH_WINDOW before a moment, for moments that rise."""

    def __init__(self, counts: Iterable[tuple[int, DecisionCounts]]) -> None:
        self._coming = deque(counts)
        self._held: deque[tuple[int, DecisionCounts]] = deque()

    def at(self, moment: float) -> DecisionCounts:
        while self._coming and self._coming[0][0] <= moment:
            self._held.append(self._coming.popleft())
        while self._held and self._held[0][0] <= moment - HEALTH_WINDOW:
            self._held.popleft()
        return summed(found for _, found in self._held)


def summed(counts: Iterable[DecisionCounts]) -> DecisionCounts:
    """All of them together."""
    found = list(counts)
    return DecisionCounts(sum(one.decisions for one in found), sum(one.denials for one in found))


def _threat_spans(connection: Connection, moments: Sequence[float]) -> Iterator[tuple[Severity, float, float | None]]:
    """The severity of each threat that is open at one of the moments, when it was detected, and when it ended."""
    table = tables.threats.c
    query = select(table.severity, table.detected_at, table.closed_at).where(
        table.detected_at <= moments[-1], or_(table.closed_at.is_(None), table.closed_at > moments[0])
    )
    for severity, since, end in connection.execute(query):
        if severity in Severity.__members__:
            yield Severity(severity), since, end


def first_counted(connection: Connection) -> float | None:
    """About when the first event was counted, before which nothing is known of the fleet; None when none was."""
    table, kept = tables.buckets.c, tables.kept.c
    since: dict[int, int] = dict(map(tuple, connection.execute(select(kept.step, kept.since))))
    first: dict[int, int] = {
        step: bucket
        for step, bucket in connection.execute(select(table.step, func.min(table.bucket)).group_by(table.step))
        if step
    }
    whole = [first[step] for step in sorted(first) if first[step] > since.get(step, 0)]  # nothing was deleted there
    return whole[0] if whole else min(first.values(), default=None)


def _health_windows(connection: Connection, moments: Sequence[float]) -> Iterator[tuple[float, Iterable[HealthRecord]]]:
    """For each moment the health events of the HEALTH_WINDOW before it, from the newest to the oldest."""
    table = tables.health.c
    found = connection.execute(
        select(table.at, table.severity, table.kind, table.module, table.outcome, table.correlation_id)
        .where(table.at > moments[0] - HEALTH_WINDOW, table.at <= moments[-1])
        .order_by(table.at, table.event_id)
    )
    coming = deque(
        (at, HealthRecord(HealthSeverity(severity), HealthKind(kind), module, outcome, correlation_id))
        for at, severity, kind, module, outcome, correlation_id in found
    )
    window: deque[tuple[float, HealthRecord]] = deque()  # from the newest to the oldest
    for moment in moments:
        while coming and coming[0][0] <= moment:
            window.appendleft(coming.popleft())
        while window and window[-1][0] <= moment - HEALTH_WINDOW:
            window.pop()
        yield moment, [record for _, record in window]


def open_threats_at(connection: Connection, moments: Sequence[float]) -> list[OpenThreats]:
    """The threats detected and not yet mitigated or ignored at each of these moments (Unix seconds, rising).

    One whose mitigation did not hold counts as open all the time since its detection.
    """
    if not moments:
        return []
    table = tables.threats.c
    rows = connection.execute(
        select(table.threat_id, table.detected_at, table.closed_at)
        .where(table.detected_at <= moments[-1], or_(table.closed_at.is_(None), table.closed_at > moments[0]))
        .order_by(table.detected_at, table.threat_id)
    ).all()
    found = []
    for moment in moments:
        ages = [(id, moment - at) for id, at, end in rows if at <= moment and (end is None or end > moment)]
        mean = sum(age for _, age in ages) / len(ages) if ages else None
        oldest_id, oldest_age = ages[0] if ages else (None, None)
        found.append(OpenThreats(len(ages), mean, oldest_age, oldest_id))
    return found


def open_by_severity(connection: Connection) -> dict[str, int]:
    """How many threats of each severity are open now."""
    table = tables.threats.c
    query = select(table.severity, func.count()).where(table.detected_at.is_not(None), table.closed_at.is_(None))
    return {severity: int(count) for severity, count in connection.execute(query.group_by(table.severity))}


def resolution_rate(connection: Connection, since: float, until: float) -> float | None:
    """Of the threats detected in this time, the share that is mitigated or resolved now; None when there were none.

    Ignored ones (false positives) count neither way; those still open count as not resolved.
    """
    table = tables.threats.c
    query = (
        select(table.status, func.count())
        .where(table.detected_at >= since, table.detected_at < until, table.status != str(ThreatStatus.IGNORED))
        .group_by(table.status)
    )
    counts = {status: int(count) for status, count in connection.execute(query)}
    solved = sum(counts.get(status, 0) for status in _SOLVED)
    return solved / sum(counts.values()) if counts else None
