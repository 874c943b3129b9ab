"""The audit log's own events: holds and deletions. They are logged as all others are."""

from __future__ import annotations

from typing import Annotated, Any, TypedDict

from msgspec import Meta

from brain.charter import EventType, Frequency, Priority


class HoldChanged(TypedDict):
    """A legal hold, as it was set or lifted."""

    hold_id: Annotated[str, Meta(description="The hold's id.")]
    pattern: Annotated[str | None, Meta(description="The event types that it holds; null for a correlation id.")]
    held_correlation_id: Annotated[str | None, Meta(description="The correlation id held; null for a pattern.")]
    reason: Annotated[str, Meta(description="Why it was set.")]
    by: Annotated[str, Meta(description="Who set or lifted it; empty when not given.")]


class PayloadsDeleted(TypedDict):
    """Payloads that were older than the retention."""

    count: Annotated[int, Meta(ge=1, description="How many payloads were deleted; their hashes are kept.")]
    older_than: Annotated[float, Meta(description="They were logged before this time, Unix seconds.")]
    retention_days: Annotated[float, Meta(description="The retention that was asked for, in days.")]


class PayloadRedacted(TypedDict):
    """A payload that somebody removed from the log before its time."""

    event_id: Annotated[str, Meta(description="The event whose payload was removed.")]
    index: Annotated[int, Meta(ge=0, description="The number of its entry.")]
    leaf_hash: Annotated[str, Meta(description="Its leaf hash, in hexadecimal, which is kept.")]
    reason: Annotated[str, Meta(description="Why.")]
    by: Annotated[str, Meta(description="Who did it.")]


class KeyRotated(TypedDict):
    """The log's key, handed over to a new one."""

    origin: Annotated[str, Meta(description="The log's name.")]
    size: Annotated[int, Meta(ge=1, description="How many entries the log had.")]
    old_key: Annotated[str, Meta(description="The public key that signed until then.")]
    new_key: Annotated[str, Meta(description="The public key that signs from then on.")]
    note: Annotated[str, Meta(description="The hand-over: a checkpoint signed by both keys and the witnesses.")]
    witnesses: Annotated[list[str], Meta(description="The witnesses that signed it.")]
    by: Annotated[str, Meta(description="Who did it.")]


class SubjectErased(TypedDict):
    """An erasure by subject, once it is complete."""

    erasure_id: Annotated[str, Meta(description="Its id, which its certificate has too.")]
    subject: Annotated[str, Meta(description="The keyed mark of the subject, which stands in its place.")]
    counts: Annotated[dict[str, int], Meta(description="How much was changed, by place.")]
    remains: Annotated[list[str], Meta(description="The places where something still names it; see the certificate.")]
    reason: Annotated[str, Meta(description="Why.")]
    by: Annotated[str, Meta(description="Who did it.")]


_HOLD: HoldChanged = {
    "hold_id": "hold_5c0ad81be2f4",
    "pattern": "threat.*",
    "held_correlation_id": None,
    "reason": "case 2026-114",
    "by": "ann",
}

HOLD_ADDED = EventType(
    name="audit.hold_added",
    module="audit",
    payload=HoldChanged,
    priority=Priority.HIGH,
    frequency=Frequency.LOW,
    purpose="A legal hold was set: what it matches is not deleted from the audit log, whatever its age.",
    example=_HOLD,
)
HOLD_REMOVED = EventType(
    name="audit.hold_removed",
    module="audit",
    payload=HoldChanged,
    priority=Priority.HIGH,
    frequency=Frequency.LOW,
    purpose="A legal hold was lifted: what it held may be deleted from now on.",
    example=_HOLD,
)
PAYLOADS_DELETED = EventType(
    name="audit.payloads_deleted",
    module="audit",
    payload=PayloadsDeleted,
    priority=Priority.HIGH,
    frequency=Frequency.LOW,
    purpose="Payloads older than the retention were deleted from the audit log; their hashes are kept.",
    example={"count": 18231, "older_than": 1703001234.5, "retention_days": 365.0},
)
PAYLOAD_REDACTED = EventType(
    name="audit.payload_redacted",
    module="audit",
    payload=PayloadRedacted,
    priority=Priority.HIGH,
    frequency=Frequency.LOW,
    purpose="The payload of one entry was removed from the audit log; its hash is kept, and the log verifies.",
    example={
        "event_id": "evt_policy_1703001234567_9f3ac81b2d40",
        "index": 4711,
        "leaf_hash": "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "reason": "request of the data subject",
        "by": "ann",
    },
)

_OLD = "brain-audit/3f9c02d1a7b84e56+6cc0a2b7+AUvbrMdNHBpY9zDFL8Q5tE6sTGyyTlU4wCwqlY4P6xBv"
_NEW = "brain-audit/3f9c02d1a7b84e56+0d41c9aa+AWp3S0m8jhJzEo3n1lBQ3gq8XyQ2K9WkG6dMZ1Yb2x0E"

KEY_ROTATED = EventType(
    name="audit.key_rotated",
    module="audit",
    payload=KeyRotated,
    priority=Priority.HIGH,
    frequency=Frequency.LOW,
    purpose="The audit log's key was handed over to a new one; both signed that, and the witnesses.",
    example={
        "origin": "brain-audit/3f9c02d1a7b84e56",
        "size": 48213,
        "old_key": _OLD,
        "new_key": _NEW,
        "note": "brain-audit/3f9c02d1a7b84e56\n48213\nbjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB0=\n...",
        "witnesses": ["w1.example.org", "w2.example.org"],
        "by": "ann",
    },
)

SUBJECT_ERASED = EventType(
    name="audit.subject_erased",
    module="audit",
    payload=SubjectErased,
    priority=Priority.HIGH,
    frequency=Frequency.LOW,
    purpose="What named a subject was erased from stream, state, tables and audit log; a signed certificate says so.",
    example={
        "erasure_id": "erasure_5c0ad81be2f4",
        "subject": "redacted:subject:9f3ac81b2d40a1c7",
        "counts": {"stream: events": 12, "tables: dna_agents": 1, "audit log: payloads": 12},
        "remains": ["backups and replicas"],
        "reason": "request of the data subject",
        "by": "ann",
    },
)

EVENTS: tuple[EventType[Any], ...] = (
    HOLD_ADDED,
    HOLD_REMOVED,
    PAYLOADS_DELETED,
    PAYLOAD_REDACTED,
    SUBJECT_ERASED,
    KEY_ROTATED,
)
