"""The statistics of threats, from the counts that their list keeps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from brain.charter import Severity, ThreatStatus
from brain.lifecycle import ACTIVE_THREAT
from brain.threats.list_schema import EPOCH
from brain.threats.listing import Counted, Place
from brain.threats.models import ThreatStats


def statistics(counts: Sequence[Counted], oldest: Place | None, now: float) -> ThreatStats:
    """The ThreatStats of so many threats at `now` (Unix seconds); `oldest` is the active one detected first."""
    by_status, by_severity, by_type = Counter[str](), Counter[str](), Counter[str]()
    for one in sorted(counts):
        by_status[one.status] += one.number
        by_severity[one.severity] += one.number
        by_type[one.type] += one.number
    active = [one for one in counts if one.status in ACTIVE_THREAT]
    active_by_severity = Counter[str]()
    for one in active:
        active_by_severity[one.severity] += one.number
    number = active_by_severity.total()
    total = sum(by_status.values())
    counted, mitigated = total - by_status[ThreatStatus.IGNORED], sum(one.mitigated for one in counts)
    return ThreatStats(
        total=total,
        active=number,
        by_status=dict.fromkeys(map(str, ThreatStatus), 0) | by_status,
        by_severity=dict.fromkeys(map(str, Severity), 0) | by_severity,
        active_by_severity=dict.fromkeys(map(str, Severity), 0) | active_by_severity,
        by_type=dict(by_type),
        mitigated=mitigated,
        mttm_seconds=_mean(sum(one.mitigate for one in counts), mitigated),
        mttd_seconds=_mean(sum(one.detect for one in counts), sum(one.detected for one in counts)),
        mtti_seconds=_mean(sum(one.investigate for one in counts), sum(one.investigated for one in counts)),
        resolution_rate=by_status[ThreatStatus.RESOLVED] / counted if counted else None,
        active_mean_age_seconds=_mean_age(active, number, now),
        active_oldest_age_seconds=None if oldest is None else max(0.0, now - oldest.at),
        active_oldest_id=None if oldest is None else oldest.key,
    )


def _mean(microseconds: int, number: int) -> float | None:
    return microseconds / 1_000_000 / number if number else None


def _mean_age(active: Sequence[Counted], number: int, now: float) -> float | None:
    if not number:
        return None
    return max(0.0, now - EPOCH - sum(one.at for one in active) / 1_000 / number)
