"""The state at one moment: the health score, and the open threats."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta
from sqlalchemy import Connection, func, or_, select

from brain.charter import HealthKind, HealthSeverity, ThreatStatus
from brain.kit.health_score import HealthRecord, score_health
from brain.metrics import tables

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


def health_scores(connection: Connection, moments: Sequence[float]) -> Iterator[tuple[float, int]]:
    """The health score at each of these moments (Unix seconds, rising), from the events of the HEALTH_WINDOW before."""
    if not moments:
        return
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
    score: int | None = None
    for moment in moments:
        while coming and coming[0][0] <= moment:
            window.appendleft(coming.popleft())
            score = None
        while window and window[-1][0] <= moment - HEALTH_WINDOW:
            window.pop()
            score = None
        if score is None:
            score = score_health(record for _, record in window).score
        yield moment, score


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
