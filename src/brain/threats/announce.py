"""The events of a change of a threat: built from its state before and after, each with its correlation id."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

from brain.charter import EventType, Severity, ThreatStatus
from brain.stream.announcer import EventDraft
from brain.threats.events import (
    ASSIGNED,
    BECAME_CRITICAL,
    COMMENTED,
    DETECTED,
    ESCALATED,
    MITIGATED,
    STATUS_CHANGED,
    UPDATED,
    AboutThreat,
)
from brain.threats.models import Threat

P = TypeVar("P")


def events_of(before: Threat | None, after: Threat) -> Iterator[EventDraft[Any]]:
    """The events of this change, in the order to publish them; `before` is None for a new threat.

    Every change has at least one, and every one says the state after it and its version. They carry the threat's
    correlation id, and the rest of the present context.
    """
    if before is None:
        yield _detected(after)
    else:
        yield from _growth(before, after)
        yield from _moves(before, after)
        yield from _notes(before, after)


def _detected(threat: Threat) -> EventDraft[Any]:
    return _event(
        DETECTED,
        threat,
        {
            **_about(threat),
            "status": threat.status,
            "description": threat.description,
            "metadata": threat.metadata,
            "detected_at": threat.detected_at,
        },
    )


def _growth(before: Threat, after: Threat) -> Iterator[EventDraft[Any]]:
    """The events of evidence that joined."""
    if before.readings == after.readings:
        return
    yield _event(
        UPDATED,
        after,
        {
            **_about(after),
            "old_severity": before.severity,
            "new_severity": after.severity,
            "status": after.status,
            "description": after.description,
            "old_counts": before.evidence,
            "counts": after.evidence,
            "last_seen": after.last_seen,
            "updated_at": after.updated_at,
        },
    )
    escalated = after.status is ThreatStatus.ESCALATED is not before.status
    if after.severity is Severity.CRITICAL is not before.severity and not escalated:
        yield _event(
            BECAME_CRITICAL,
            after,
            {
                **_about(after),
                "old_severity": before.severity,
                "status": after.status,
                "description": after.description,
                "counts": after.evidence,
                "became_critical_at": after.updated_at,
            },
        )


def _moves(before: Threat, after: Threat) -> Iterator[EventDraft[Any]]:
    """The events of a move to another status: `threat.status_changed`, and that of the new status besides."""
    if before.status is after.status:
        return
    move = after.history[-1]
    about = _about(after)
    yield _event(
        STATUS_CHANGED,
        after,
        {
            **about,
            "old_status": move.old,
            "new_status": move.new,
            "by_evidence": before.readings != after.readings,
            "reason": move.reason,
            "changed_at": move.at,
        },
    )
    if move.new is ThreatStatus.ESCALATED:
        yield _event(
            ESCALATED, after, {**about, "old_status": move.old, "reason": move.reason, "escalated_at": move.at}
        )
    if move.new is ThreatStatus.MITIGATED:
        yield _event(
            MITIGATED,
            after,
            {
                **about,
                "old_status": move.old,
                "reason": move.reason,
                "mitigated_at": move.at,
                "duration_seconds": move.at - after.detected_at,
            },
        )


def _notes(before: Threat, after: Threat) -> Iterator[EventDraft[Any]]:
    """The events of what people noted: whose it is, and comments."""
    about = _about(after)
    if before.assignee != after.assignee:
        yield _event(
            ASSIGNED,
            after,
            {
                **about,
                "status": after.status,
                "old_assignee": before.assignee,
                "assignee": after.assignee,
                "assigned_at": after.updated_at,
            },
        )
    if after.comments[-1:] != before.comments[-1:]:
        new = after.comments[-1]
        yield _event(
            COMMENTED,
            after,
            {**about, "status": after.status, "comment_id": new.id, "text": new.text, "commented_at": new.at},
        )


def _event(declared: EventType[P], threat: Threat, payload: P) -> EventDraft[P]:
    return EventDraft(declared, payload, {"correlation_id": threat.correlation_id})


def _about(threat: Threat) -> AboutThreat:
    return {
        "threat_id": threat.id,
        "type": threat.type,
        "severity": threat.severity,
        "source": threat.source,
        "version": threat.version,
    }
