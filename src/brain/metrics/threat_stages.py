"""The stages of each threat: their times, and how long they took."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass

from brain.charter import Event, Severity, ThreatStatus
from brain.lifecycle import ACTIVE_THREAT, version_of
from brain.metrics import series
from brain.metrics.accumulate import STATUSES, Increments, correlation_of, number, one_of, text
from brain.times import LONGEST

_TIMES = {"threat.detected": "detected_at", "threat.updated": "updated_at", "threat.status_changed": "changed_at"}
_ACTIVE = frozenset(map(str, ACTIVE_THREAT))
_SEVERITIES = tuple(map(str, Severity))

AHEAD = 86_400.0
"""Seconds by which clocks may differ: what lies further ahead is milliseconds, or another mistake."""


@dataclass(slots=True)
class ThreatRow:
    """A threat, as its events describe it. Times are in Unix seconds; None where no event gave one.

    `first_position` is the position of its first event: a stream that begins after it cannot confirm what the
    threat's later events add. `version` is that of its latest known change, 0 while no event had one; severity and
    status are those after it. `investigated_at` is the first move to INVESTIGATING, `closed_at` the last move out of
    the active statuses.
    """

    threat_id: str
    first_position: str
    type: str = series.NONE
    severity: str = series.OTHER
    status: str = str(ThreatStatus.OPEN)
    correlation_id: str = ""
    detected_at: float | None = None
    investigated_at: float | None = None
    closed_at: float | None = None
    resolved_at: float | None = None
    updated_at: float = 0.0
    version: int = 0


def threat_id_of(event: Event) -> str:
    """Which threat the event is about, as it is kept."""
    return text(event.payload["threat_id"])


def advance(rows: MutableMapping[str, ThreatRow], position: str, event: Event, increments: Increments) -> str:
    """Apply one event of `Increments.threats` to the rows, and add the durations that it completes.

    Returns the position of the threat's first event, which the increments depend on.
    """
    payload = event.payload
    id = threat_id_of(event)
    row = rows.get(id)
    if row is None:
        row = rows[id] = ThreatRow(id, position)
    row.type = text(payload.get("type"))
    row.correlation_id = correlation_of(event)
    at = _time(payload.get(_TIMES[event.type]), event)
    is_latest = _is_latest(row, event, at)
    if is_latest:
        row.severity = one_of(_SEVERITIES, payload.get("severity"))
    if event.type == "threat.detected":
        _detected(row, event, at, increments)
    elif is_latest:
        _moved(row, event, at, increments)
    return row.first_position


def _is_latest(row: ThreatRow, event: Event, at: float) -> bool:
    """Whether the event's change is no earlier than the latest known one, which it then is.

    Versions decide. Events that were stored without are ordered by the times of moves.
    """
    if version := version_of(event):
        is_latest = version >= row.version
        row.version = max(row.version, version)
        return is_latest
    return row.version == 0 and (event.type != "threat.status_changed" or at >= row.updated_at)


def _detected(row: ThreatRow, event: Event, at: float, increments: Increments) -> None:
    if row.detected_at is not None:
        return
    row.detected_at = at
    row.updated_at = max(row.updated_at, at)
    metadata = event.payload.get("metadata")
    evidence = number(metadata.get("first_seen"), most=1e11) if isinstance(metadata, dict) else None
    if evidence:
        _observe(increments, event, series.DETECT, evidence, at)
    if row.investigated_at is not None:  # the two events came from two processes, in the other order
        _observe(increments, event, series.INVESTIGATE, at, row.investigated_at)


def _moved(row: ThreatRow, event: Event, at: float, increments: Increments) -> None:
    status = one_of(STATUSES, event.payload.get("new_status", event.payload.get("status")))
    if status == series.OTHER:
        return
    row.updated_at = max(row.updated_at, at)
    row.status = status
    if status in _ACTIVE:
        row.closed_at = None
    elif row.closed_at is None or status == ThreatStatus.MITIGATED:
        row.closed_at = at
    if status == ThreatStatus.INVESTIGATING and row.investigated_at is None:
        row.investigated_at = at
        stage = series.INVESTIGATE
    elif status == ThreatStatus.RESOLVED and row.resolved_at is None:
        row.resolved_at = at
        stage = series.RESOLVE
    else:
        return
    if row.detected_at is not None:
        _observe(increments, event, stage, row.detected_at, at)


def _time(value: object, event: Event) -> float:
    """The time in the payload, where that is plausible beside the event's own; else that."""
    at = number(value, most=1e11)
    return at if at is not None and -LONGEST <= at - event.timestamp <= AHEAD else event.timestamp


def _observe(increments: Increments, event: Event, stage: str, start: float, end: float) -> None:
    """Count how long a stage took; not when it took longer than anything does, or began long after its end."""
    took = end - start
    if -AHEAD <= took <= LONGEST:
        increments.observe(event, series.STAGE, stage, max(0.0, took))
