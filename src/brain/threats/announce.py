"""Publishes the events about a threat, each with its correlation id."""

from __future__ import annotations

from brain.charter import ThreatStatus
from brain.stream.publisher import Publisher, emit_async
from brain.threats.events import DETECTED, ESCALATED, MITIGATED, STATUS_CHANGED, AboutThreat
from brain.threats.models import Threat


async def announce_detected(stream: Publisher | None, threat: Threat) -> None:
    """Publish `threat.detected`."""
    await emit_async(
        stream,
        DETECTED,
        {
            **_about(threat),
            "status": threat.status,
            "description": threat.description,
            "metadata": threat.metadata,
            "detected_at": threat.detected_at,
        },
        meta={"correlation_id": threat.correlation_id},
    )


async def announce_move(stream: Publisher | None, threat: Threat) -> None:
    """Publish `threat.status_changed` for the threat's last move, and the event of its new status besides."""
    move = threat.history[-1]
    about = _about(threat)
    meta = {"correlation_id": threat.correlation_id}
    await emit_async(
        stream,
        STATUS_CHANGED,
        {**about, "old_status": move.old, "new_status": move.new, "reason": move.reason, "changed_at": move.at},
        meta=meta,
    )
    if move.new is ThreatStatus.ESCALATED:
        await emit_async(
            stream,
            ESCALATED,
            {**about, "old_status": move.old, "reason": move.reason, "escalated_at": move.at},
            meta=meta,
        )
    if move.new is ThreatStatus.MITIGATED:
        await emit_async(
            stream,
            MITIGATED,
            {
                **about,
                "old_status": move.old,
                "reason": move.reason,
                "mitigated_at": move.at,
                "duration_seconds": move.at - threat.detected_at,
            },
            meta=meta,
        )


def _about(threat: Threat) -> AboutThreat:
    return {"threat_id": threat.id, "type": threat.type, "severity": threat.severity, "source": threat.source}
