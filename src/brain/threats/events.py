"""The events of the threats module: from the detection of a threat to its mitigation."""

from __future__ import annotations

from typing import Annotated, Any, NotRequired, TypedDict

from msgspec import Meta

from brain.charter import EventType, Frequency, Priority

ThreatId = Annotated[str, Meta(description="The threat's id, `thr_<16 hex digits>`; it never changes.")]
ThreatType = Annotated[str, Meta(description="What kind of threat, such as `ssh_brute_force` or `policy_denials`.")]
SeverityName = Annotated[str, Meta(description="How bad it is: LOW, MEDIUM, HIGH or CRITICAL.")]
ThreatSource = Annotated[str, Meta(description="Whom or what the threat comes from: an address, an agent's id.")]
StatusName = Annotated[
    str, Meta(description="OPEN, INVESTIGATING, ESCALATED, MITIGATED, RESOLVED, or IGNORED (a false positive).")
]
OldStatus = Annotated[str, Meta(description="The status the threat had before this move.")]
MoveReason = Annotated[
    str, Meta(description="Why it was moved, in the words of whoever moved it; empty when none given.")
]


ThreatVersion = Annotated[
    int,
    Meta(
        ge=1,
        description="Counts the threat's changes from 1: the order in which they were made, whatever the clocks said. "
        "One change may have several events, all with its version and the state after it. Events stored before "
        "versions have none.",
    ),
]
Evidence = Annotated[dict[str, int], Meta(description="The counts of evidence, summed over all that was read.")]


class AboutThreat(TypedDict):
    """The fields that every event about a threat has."""

    threat_id: ThreatId
    type: ThreatType
    severity: SeverityName
    source: ThreatSource
    version: NotRequired[ThreatVersion]


class ThreatDetected(AboutThreat):
    """The threat as it was created."""

    status: StatusName
    description: Annotated[str, Meta(description="What was seen, for a person to read.")]
    metadata: Annotated[dict[str, Any], Meta(description="The detector's own data: evidence counts, first lines, ...")]
    detected_at: Annotated[float, Meta(description="When it was detected, in Unix seconds.")]


class ThreatUpdated(AboutThreat):
    """Evidence that joined a threat."""

    old_severity: Annotated[str, Meta(description="The severity before this evidence.")]
    new_severity: Annotated[str, Meta(description="The severity from now on; it never falls.")]
    status: StatusName
    description: Annotated[str, Meta(description="What was seen in all, for a person to read.")]
    old_counts: Annotated[dict[str, int], Meta(description="The counts before.")]
    counts: Evidence
    last_seen: Annotated[float, Meta(description="When the latest evidence is from, in Unix seconds.")]
    updated_at: Annotated[float, Meta(description="When the evidence joined it, in Unix seconds.")]


class ThreatBecameCritical(AboutThreat):
    """A rise of a threat's severity to CRITICAL: a person should act now."""

    old_severity: Annotated[str, Meta(description="The severity before.")]
    status: StatusName
    description: Annotated[str, Meta(description="What was seen in all, for a person to read.")]
    counts: Evidence
    became_critical_at: Annotated[float, Meta(description="When the evidence joined it, in Unix seconds.")]


class ThreatStatusChanged(AboutThreat):
    """One move of a threat from a status to the next."""

    old_status: OldStatus
    new_status: Annotated[str, Meta(description="The status it has from now on.")]
    by_evidence: NotRequired[
        Annotated[bool, Meta(description="Whether new evidence moved it, not a person or a program.")]
    ]
    reason: MoveReason
    changed_at: Annotated[float, Meta(description="When it was moved, in Unix seconds.")]


class ThreatEscalated(AboutThreat):
    """A move into ESCALATED: a person should act now."""

    old_status: OldStatus
    reason: MoveReason
    escalated_at: Annotated[float, Meta(description="When it was escalated, in Unix seconds.")]


class ThreatMitigated(AboutThreat):
    """A move into MITIGATED: the threat does no more harm."""

    old_status: OldStatus
    reason: MoveReason
    mitigated_at: Annotated[float, Meta(description="When it was mitigated, in Unix seconds.")]
    duration_seconds: Annotated[
        float, Meta(ge=0, description="Seconds from detection to this mitigation; their mean is the MTTM.")
    ]


class ThreatAssigned(AboutThreat):
    """A threat that went into other hands."""

    status: StatusName
    old_assignee: Annotated[str | None, Meta(description="Who worked on it before; null for nobody.")]
    assignee: Annotated[str | None, Meta(description="Who works on it from now on; null for nobody.")]
    assigned_at: Annotated[float, Meta(description="When, in Unix seconds.")]


class ThreatCommented(AboutThreat):
    """A comment on a threat."""

    status: StatusName
    comment_id: Annotated[str, Meta(description="The comment's id, `cmt_<16 hex digits>`.")]
    text: Annotated[str, Meta(description="The words of whoever wrote it; who that was is in `meta.principal`.")]
    commented_at: Annotated[float, Meta(description="When, in Unix seconds.")]


class ThreatsRestored(TypedDict):
    """A store came back with fewer threats than this process knew, and they were restored."""

    restored: Annotated[int, Meta(description="How many threats were written back.")]
    ids: Annotated[list[str], Meta(description="Their ids; at most 100.")]


DETECTED = EventType(
    name="threat.detected",
    module="threats",
    payload=ThreatDetected,
    priority=Priority.CRITICAL,
    frequency=Frequency.MEDIUM,
    purpose="A threat was found and is open.",
    example={
        "threat_id": "thr_4f1a09be27c3d815",
        "type": "ssh_brute_force",
        "severity": "CRITICAL",
        "source": "203.0.113.77",
        "status": "OPEN",
        "description": "286 failed passwords for root from 203.0.113.77",
        "metadata": {"evidence": {"failed_passwords": 286}, "users": ["root"]},
        "detected_at": 1703001234.567,
    },
)
UPDATED = EventType(
    name="threat.updated",
    module="threats",
    payload=ThreatUpdated,
    priority=Priority.HIGH,
    frequency=Frequency.MEDIUM,
    purpose="Evidence joined a threat: its counts grew, and its severity may have risen.",
    example={
        "threat_id": "thr_4f1a09be27c3d815",
        "type": "ssh_brute_force",
        "severity": "CRITICAL",
        "source": "203.0.113.77",
        "old_severity": "HIGH",
        "new_severity": "CRITICAL",
        "status": "OPEN",
        "description": "sshd log: 286 failed passwords, 1 login after failures",
        "old_counts": {"failed_passwords": 80},
        "counts": {"failed_passwords": 286, "logins_after_failures": 1},
        "last_seen": 1703001290.4,
        "updated_at": 1703001291.1,
    },
)
BECAME_CRITICAL = EventType(
    name="threat.became_critical",
    module="threats",
    payload=ThreatBecameCritical,
    priority=Priority.CRITICAL,
    frequency=Frequency.LOW,
    purpose="Evidence raised a threat's severity to CRITICAL; comes besides threat.updated, unless the same evidence "
    "escalated the threat: then threat.escalated says it.",
    example={
        "threat_id": "thr_4f1a09be27c3d815",
        "type": "ssh_brute_force",
        "severity": "CRITICAL",
        "source": "203.0.113.77",
        "old_severity": "HIGH",
        "status": "OPEN",
        "description": "sshd log: 286 failed passwords, 1 login after failures",
        "counts": {"failed_passwords": 286, "logins_after_failures": 1},
        "became_critical_at": 1703001291.1,
    },
)
STATUS_CHANGED = EventType(
    name="threat.status_changed",
    module="threats",
    payload=ThreatStatusChanged,
    priority=Priority.HIGH,
    frequency=Frequency.MEDIUM,
    purpose="A threat was moved to another status; published for every move.",
    example={
        "threat_id": "thr_4f1a09be27c3d815",
        "type": "ssh_brute_force",
        "severity": "CRITICAL",
        "source": "203.0.113.77",
        "old_status": "OPEN",
        "new_status": "INVESTIGATING",
        "by_evidence": False,
        "reason": "looking at the logins of that night",
        "changed_at": 1703001301.2,
    },
)
ESCALATED = EventType(
    name="threat.escalated",
    module="threats",
    payload=ThreatEscalated,
    priority=Priority.CRITICAL,
    frequency=Frequency.LOW,
    purpose="A threat was moved to ESCALATED and needs a person now; comes besides threat.status_changed.",
    example={
        "threat_id": "thr_4f1a09be27c3d815",
        "type": "ssh_brute_force",
        "severity": "CRITICAL",
        "source": "203.0.113.77",
        "old_status": "INVESTIGATING",
        "reason": "a login succeeded",
        "escalated_at": 1703001420.9,
    },
)
MITIGATED = EventType(
    name="threat.mitigated",
    module="threats",
    payload=ThreatMitigated,
    priority=Priority.HIGH,
    frequency=Frequency.MEDIUM,
    purpose="A threat was moved to MITIGATED, with the time that took; comes besides threat.status_changed.",
    example={
        "threat_id": "thr_4f1a09be27c3d815",
        "type": "ssh_brute_force",
        "severity": "CRITICAL",
        "source": "203.0.113.77",
        "old_status": "ESCALATED",
        "reason": "the address is blocked at the edge",
        "mitigated_at": 1703001834.567,
        "duration_seconds": 600.0,
    },
)
ASSIGNED = EventType(
    name="threat.assigned",
    module="threats",
    payload=ThreatAssigned,
    priority=Priority.MEDIUM,
    frequency=Frequency.LOW,
    purpose="A threat was given to somebody, or to nobody; who did it is in `meta.principal`.",
    example={
        "threat_id": "thr_4f1a09be27c3d815",
        "type": "ssh_brute_force",
        "severity": "CRITICAL",
        "source": "203.0.113.77",
        "version": 3,
        "status": "INVESTIGATING",
        "old_assignee": None,
        "assignee": "ann",
        "assigned_at": 1703001310.5,
    },
)
COMMENTED = EventType(
    name="threat.commented",
    module="threats",
    payload=ThreatCommented,
    priority=Priority.MEDIUM,
    frequency=Frequency.LOW,
    purpose="Somebody wrote a comment on a threat; who did it is in `meta.principal`.",
    example={
        "threat_id": "thr_4f1a09be27c3d815",
        "type": "ssh_brute_force",
        "severity": "CRITICAL",
        "source": "203.0.113.77",
        "version": 4,
        "status": "INVESTIGATING",
        "comment_id": "cmt_0b6d81f2c4a95e37",
        "text": "the address belongs to a hosting provider; they are informed",
        "commented_at": 1703001390.0,
    },
)

STORE_RESTORED = EventType(
    name="threat.store_restored",
    module="threats",
    payload=ThreatsRestored,
    priority=Priority.CRITICAL,
    frequency=Frequency.LOW,
    purpose="The store had lost threats or their moves (an older snapshot, a failover); they were written back.",
    example={"restored": 1, "ids": ["thr_4f1a09be27c3d815"]},
)

EVENTS: tuple[EventType[Any], ...] = (
    DETECTED,
    UPDATED,
    BECAME_CRITICAL,
    STATUS_CHANGED,
    ESCALATED,
    MITIGATED,
    ASSIGNED,
    COMMENTED,
    STORE_RESTORED,
)
