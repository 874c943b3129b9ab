"""Threats: their shape, their moves from status to status, and their statistics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from brain import limits
from brain.charter import Severity, ThreatStatus
from brain.charter.vocabulary import parse_name
from brain.errors import InvalidInput
from brain.lifecycle import ACTIVE_THREAT, THREAT_MOVES
from brain.times import LONGEST

SEVERITIES = tuple(Severity)
"""From the mildest to the worst."""


class Move(msgspec.Struct, frozen=True):
    """One move that a threat made."""

    old: Annotated[ThreatStatus, Meta(description="The status before.")]
    new: Annotated[ThreatStatus, Meta(description="The status after.")]
    at: Annotated[float, Meta(description="When, in Unix seconds.")]
    reason: Annotated[str, Meta(description="Why; empty when nothing was given.")] = ""
    by: Annotated[str | None, Meta(description="Whose doing it was; null where nobody said.")] = None


class Comment(msgspec.Struct, frozen=True):
    """What somebody wrote about a threat."""

    id: Annotated[str, Meta(description="The comment's id, `cmt_` and 16 hex digits; it never changes.")]
    text: Annotated[str, Meta(description="The words.")]
    at: Annotated[float, Meta(description="When, in Unix seconds.")]
    by: Annotated[str | None, Meta(description="Who wrote it; null where nobody said.")] = None


class Threat(msgspec.Struct, frozen=True, kw_only=True):
    """A threat.

    `readings` holds counts of evidence by the input they were read from, so that reading an input again changes
    nothing; their sums are `metadata["evidence"]`. `mitigated_at` is None while the threat is open or its mitigation
    did not hold. Severity may be given by name. Two are equal when all their fields are: the same threat before and
    after a change is not. Raises InvalidInput listing every fault.
    """

    id: Annotated[str, Meta(description="The threat's id; it never changes.")]
    type: Annotated[str, Meta(description="What kind of threat.")]
    severity: Annotated[Severity, Meta(description="How bad it is.")]
    source: Annotated[str, Meta(description="Whom or what it comes from.")]
    status: Annotated[ThreatStatus, Meta(description="Where it stands.")] = ThreatStatus.OPEN
    description: Annotated[str, Meta(description="What was seen.")] = ""
    metadata: Annotated[
        dict[str, Any], Meta(description="The detector's own data; `evidence` holds counts where it counted.")
    ] = {}
    correlation_id: Annotated[str, Meta(description="In the meta of every event about this threat.")]
    detected_at: Annotated[float, Meta(description="When it was detected, in Unix seconds.")]
    last_seen: Annotated[float, Meta(description="When the latest evidence is from, in Unix seconds.")]
    updated_at: Annotated[float, Meta(description="When it was last changed, in Unix seconds; it never goes back.")]
    version: Annotated[
        int, Meta(ge=1, description="1 when it was made, and one more with every change: the order of its events.")
    ] = 1
    mitigated_at: Annotated[
        float | None, Meta(description="When it was mitigated, in Unix seconds; null while it is not.")
    ] = None
    readings: dict[str, dict[str, int]] = {}
    history: Annotated[tuple[Move, ...], Meta(description="Its moves, the oldest first; at most the last 100.")] = ()
    assignee: Annotated[str | None, Meta(description="Who works on it; null for nobody.")] = None
    comments: Annotated[
        tuple[Comment, ...],
        Meta(description="What was written about it, the oldest first; at most the last 50. The events have all."),
    ] = ()

    def __post_init__(self) -> None:
        faults = [
            f"{name}: needs {least} to {most} characters of text"
            for name, least, most in _TEXTS
            if not limits.is_length(getattr(self, name), least, most)
        ]
        try:
            msgspec.structs.force_setattr(self, "severity", parse_name(Severity, self.severity, "severity"))
        except InvalidInput as error:
            faults += error.faults
        if not isinstance(self.metadata, dict):
            faults.append(f"metadata: must be an object, not {type(self.metadata).__name__}")
        elif self.metadata and (fault := limits.fault_of(self.metadata)) is not None:
            faults.append(f"metadata: {fault}")
        if faults:
            raise InvalidInput(f"threat refused: {'; '.join(faults)}", faults)

    def __hash__(self) -> int:
        """By its id, which stays the same through its changes."""
        return hash(self.id)

    @property
    def allowed_moves(self) -> tuple[ThreatStatus, ...]:
        """The statuses it may move to now."""
        return THREAT_MOVES[self.status]

    def document(self) -> dict[str, Any]:
        """The threat as plain JSON values, without its readings; as GET /api/threats/{id} answers."""
        values: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(self))
        del values["readings"]
        return {
            **values,
            "allowed_moves": [str(status) for status in self.allowed_moves],
            **{name: getattr(self, name) for name in STAGES},
        }

    @property
    def evidence(self) -> dict[str, int]:
        """The counts of evidence, summed over all readings; empty for a threat that nothing counted."""
        return total_counts(self.readings)

    @property
    def evidence_events(self) -> list[str]:
        """The ids of the events that it was detected by, as far as the detector names them: the first and the last."""
        named = self.metadata.get(EVIDENCE_EVENTS)
        return [one for one in named if isinstance(one, str)][:EVENTS_NAMED] if isinstance(named, list) else []

    @property
    def detect_seconds(self) -> float | None:
        """Seconds from the first evidence to detection; null where the detector does not say when that was.

        Null too for a time ahead of the detection, and one that is absurdly old: it would make a mean useless.
        """
        first = self.metadata.get(FIRST_SEEN)
        seconds = self.detected_at - first if isinstance(first, int | float) else -1.0
        return seconds if 0 <= seconds <= LONGEST else None

    @property
    def investigate_seconds(self) -> float | None:
        """Seconds from detection to the first move; null while there is none, or when it is not kept any more."""
        first = self.history[0] if self.history else None
        return first.at - self.detected_at if first is not None and first.old is ThreatStatus.OPEN else None

    @property
    def mitigate_seconds(self) -> float | None:
        """Seconds from detection to mitigation; null while it is not mitigated."""
        return None if self.mitigated_at is None else self.mitigated_at - self.detected_at

    @property
    def active(self) -> bool:
        """Whether somebody still has to act: OPEN, INVESTIGATING or ESCALATED."""
        return self.status in ACTIVE_THREAT


HISTORY = 100
COMMENTS = 50
FIRST_SEEN = "first_seen"
"""The key of `metadata` under which a detector says when the first evidence is from, in Unix seconds."""
EVIDENCE_EVENTS = "evidence_events"
"""The key of `metadata` under which a detector names events, which may have other correlation ids than the threat."""
EVENTS_NAMED = 20
STAGES = ("detect_seconds", "investigate_seconds", "mitigate_seconds")
"""How long the stages of a threat took; the means over all threats are in its ThreatStats."""
_TEXTS = (("type", 1, limits.TYPE), ("source", 1, limits.NAME), ("description", 0, limits.TEXT))


@dataclass(frozen=True)
class ThreatStats:
    """Counts and times over all threats.

    `mttm_seconds` says nothing of the threats that are still active: their ages are beside it.
    """

    total: Annotated[int, Meta(description="All threats.")]
    active: Annotated[int, Meta(description="Those OPEN, INVESTIGATING or ESCALATED.")]
    by_status: Annotated[dict[str, int], Meta(description="How many in each status.")]
    by_severity: Annotated[dict[str, int], Meta(description="How many of each severity.")]
    active_by_severity: Annotated[dict[str, int], Meta(description="How many active ones of each severity.")]
    by_type: Annotated[dict[str, int], Meta(description="How many of each type.")]
    mitigated: Annotated[int, Meta(description="Those mitigated or resolved: what `mttm_seconds` is the mean over.")]
    mttm_seconds: Annotated[
        float | None, Meta(description="Mean seconds from detection to mitigation; null when none was.")
    ]
    mttd_seconds: Annotated[
        float | None, Meta(description="Mean seconds from the first evidence to detection, where it is known.")
    ]
    mtti_seconds: Annotated[
        float | None, Meta(description="Mean seconds from detection to the first move of a threat.")
    ]
    resolution_rate: Annotated[
        float | None, Meta(description="The share of the threats, without those IGNORED, that is RESOLVED.")
    ]
    active_mean_age_seconds: Annotated[float | None, Meta(description="Mean age of the active ones, in seconds.")]
    active_oldest_age_seconds: Annotated[float | None, Meta(description="Age of the oldest active one, in seconds.")]
    active_oldest_id: Annotated[str | None, Meta(description="The id of the oldest active one.")]


def total_counts(readings: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    """The counts of evidence, summed over these readings."""
    return dict(sum((Counter(counts) for counts in readings.values()), Counter()))


def moved(threat: Threat, new: ThreatStatus, reason: str, now: float, by: str | None = None) -> Threat:
    """The threat after a move. Raises Conflict, listing the allowed moves, for one that is not allowed."""
    THREAT_MOVES.check(threat.id, threat.status, new)
    at = max(now, threat.updated_at)  # another process's clock may be ahead of this one's
    return msgspec.structs.replace(
        threat,
        status=new,
        updated_at=at,
        version=threat.version + 1,
        mitigated_at=_mitigated_at(threat, new, at),
        history=(*threat.history, Move(threat.status, new, at, reason, by))[-HISTORY:],
    )


def assigned(threat: Threat, assignee: str | None, now: float) -> Threat:
    """The threat in the hands of `assignee`; the same object when it was already."""
    return threat if threat.assignee == assignee else _changed(threat, now, assignee=assignee)


def commented(threat: Threat, comment: Comment) -> Threat:
    """The threat with one comment more; the oldest beyond COMMENTS goes."""
    at = max(comment.at, threat.updated_at)
    kept = msgspec.structs.replace(comment, at=at)
    return _changed(threat, at, comments=(*threat.comments, kept)[-COMMENTS:])


def _changed(threat: Threat, now: float, **fields: Any) -> Threat:
    at = max(now, threat.updated_at)
    return msgspec.structs.replace(threat, version=threat.version + 1, updated_at=at, **fields)


def _mitigated_at(threat: Threat, new: ThreatStatus, now: float) -> float | None:
    if new is ThreatStatus.MITIGATED:
        return now
    return threat.mitigated_at if new is ThreatStatus.RESOLVED else None
