"""What a threat is, and the one table of the moves it may make."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

import msgspec

from brain import limits
from brain.charter import Severity
from brain.charter import ThreatStatus as Status
from brain.errors import InvalidInput
from brain.lifecycle import ACTIVE_THREAT as ACTIVE
from brain.lifecycle import THREAT_MOVES as MOVES

SEVERITIES = tuple(Severity)
"""From the mildest to the worst."""


class Move(msgspec.Struct, frozen=True):
    """One move that a threat made; `at` in Unix seconds."""

    old: Status
    new: Status
    at: float
    reason: str = ""


class Threat(msgspec.Struct, frozen=True, kw_only=True):
    """One threat. Times are in Unix seconds.

    `source` is whom or what it comes from (an address, an agent's id). `readings` holds counts of evidence by the
    input they were read from, so that reading an input again changes nothing; their sums are `metadata["evidence"]`.
    `mitigated_at` is None while the threat is open or its mitigation did not hold. `history` keeps the last HISTORY
    moves. Severity may be given by name. Raises InvalidInput listing every fault.
    """

    id: str
    type: str
    severity: Severity
    source: str
    status: Status = Status.OPEN
    description: str = ""
    metadata: dict[str, Any] = {}
    correlation_id: str
    detected_at: float
    last_seen: float
    updated_at: float
    mitigated_at: float | None = None
    readings: dict[str, dict[str, int]] = {}
    history: tuple[Move, ...] = ()

    def __post_init__(self) -> None:
        faults = [
            f"{name}: needs {least} to {most} characters of text"
            for name, least, most in _TEXTS
            if not limits.is_length(getattr(self, name), least, most)
        ]
        try:
            msgspec.structs.force_setattr(self, "severity", parse(Severity, self.severity, "severity"))
        except InvalidInput as error:
            faults += error.faults
        if not isinstance(self.metadata, dict):
            faults.append(f"metadata: must be an object, not {type(self.metadata).__name__}")
        elif self.metadata and (fault := limits.fault_of(self.metadata)) is not None:
            faults.append(f"metadata: {fault}")
        if faults:
            raise InvalidInput(f"threat refused: {'; '.join(faults)}", faults)

    @property
    def allowed_moves(self) -> tuple[Status, ...]:
        """The statuses it may move to now."""
        return MOVES[self.status]

    def document(self) -> dict[str, Any]:
        """The threat as plain JSON values, without the bookkeeping of readings; as GET /api/threats/{id} answers."""
        values: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(self))
        del values["readings"]
        return {**values, "allowed_moves": [str(status) for status in self.allowed_moves]}

    @property
    def active(self) -> bool:
        """Whether it still asks for work: OPEN, INVESTIGATING or ESCALATED."""
        return self.status in ACTIVE


HISTORY = 100
_TEXTS = (("type", 1, limits.TYPE), ("source", 1, limits.NAME), ("description", 0, limits.TEXT))


@dataclass(frozen=True)
class ThreatStats:
    """Counts and times over all threats; seconds, None where there is nothing to average.

    `mttm_seconds` is the mean time from detection to mitigation of the threats that are mitigated or resolved. It
    says nothing of those still active: their ages are beside it.
    """

    total: int
    active: int
    by_status: dict[str, int]
    by_severity: dict[str, int]
    by_type: dict[str, int]
    mitigated: int
    mttm_seconds: float | None
    active_mean_age_seconds: float | None
    active_oldest_age_seconds: float | None
    active_oldest_id: str | None


E = TypeVar("E", bound=StrEnum)


def parse(kind: type[E], value: str, field: str) -> E:
    """The member of `kind` named `value`, in any case. Raises InvalidInput listing the names."""
    try:
        return kind(value.upper())
    except (ValueError, AttributeError) as error:
        raise InvalidInput(f"{field}: {limits.shown(value)} is not one of {', '.join(kind)}") from error


def moved(threat: Threat, new: Status, reason: str, now: float) -> Threat:
    """The threat after a move. Raises Conflict, listing the allowed moves, for one that is not in the table."""
    MOVES.check(threat.id, threat.status, new)
    at = max(now, threat.detected_at)  # a clock set back must not give a negative duration
    return msgspec.structs.replace(
        threat,
        status=new,
        updated_at=at,
        mitigated_at=at if new is Status.MITIGATED else threat.mitigated_at if new is Status.RESOLVED else None,
        history=(*threat.history, Move(threat.status, new, at, reason))[-HISTORY:],
    )


def statistics(threats: Sequence[Threat], now: float) -> ThreatStats:
    """The ThreatStats of these threats at `now` (Unix seconds)."""
    active = sorted((threat for threat in threats if threat.active), key=lambda threat: threat.detected_at)
    ages = [max(0.0, now - threat.detected_at) for threat in active]
    durations = [threat.mitigated_at - threat.detected_at for threat in threats if threat.mitigated_at is not None]
    return ThreatStats(
        total=len(threats),
        active=len(active),
        by_status=_counts((threat.status for threat in threats), Status),
        by_severity=_counts((threat.severity for threat in threats), Severity),
        by_type=_counts(sorted(threat.type for threat in threats)),
        mitigated=len(durations),
        mttm_seconds=sum(durations) / len(durations) if durations else None,
        active_mean_age_seconds=sum(ages) / len(ages) if ages else None,
        active_oldest_age_seconds=ages[0] if ages else None,
        active_oldest_id=active[0].id if active else None,
    )


def _counts(values: Iterable[str], names: Iterable[str] = ()) -> dict[str, int]:
    counts = Counter({str(name): 0 for name in names})
    counts.update(str(value) for value in values)
    return dict(counts)
