"""Moves of an incident's threats: rows of the outbox, carried out through the protocol ThreatMoves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Row

from brain.charter import IncidentState, ThreatStatus
from brain.errors import Conflict
from brain.incidents.models import CONSUMER, THREATS_CHANNEL, Incident
from brain.kit.outbox import Message, OutboxRow, put
from brain.lifecycle import THREAT_MOVES
from brain.logs import Log

if TYPE_CHECKING:
    from brain.kit.protocols import ThreatMoves

log: Log = Log("brain.incidents")

_TARGETS: Mapping[IncidentState, Mapping[ThreatStatus, ThreatStatus]] = {
    IncidentState.RESOLVED: dict.fromkeys(
        (ThreatStatus.OPEN, ThreatStatus.INVESTIGATING, ThreatStatus.ESCALATED, ThreatStatus.MITIGATED),
        ThreatStatus.RESOLVED,
    ),
    # An escalated threat stays escalated: that somebody works on it makes it no less urgent.
    IncidentState.IN_PROGRESS: {
        ThreatStatus.OPEN: ThreatStatus.INVESTIGATING,
        ThreatStatus.MITIGATED: ThreatStatus.INVESTIGATING,
    },
}
"""For each state that a person gives an incident, the statuses that its threats move from and to."""


def put_threat_moves(db: Connection, incident: Incident, threats: Sequence[Row[Any]], reason: str, now: float) -> None:
    """Put the moves of the incident's threats that its new state asks for into the outbox."""
    if incident.state not in _TARGETS:
        return
    for threat in threats:
        put(
            db,
            Message(
                consumer=CONSUMER,
                channel=THREATS_CHANNEL,
                key=threat.threat,
                dedup=f"threat {threat.threat} {incident.id} {incident.version}",
                body={
                    "threat": threat.threat,
                    "state": incident.state,
                    "reason": f"incident {incident.number} is {incident.state}" + (f": {reason}" if reason else ""),
                },
            ),
            now,
        )


async def move_threat(threats: ThreatMoves, row: OutboxRow) -> Mapping[str, Any]:
    """Move a threat as its row asks, by allowed moves from its present status; a row done twice moves it once.

    Raises Unavailable when the store does not answer.
    """
    id, reason = row.body["threat"], row.body["reason"][:1000]
    moves: list[str] = []
    while True:
        status = await threats.status(id)
        if status is None:
            return {"moves": moves, "note": "there is no such threat"}
        target = _TARGETS[IncidentState(row.body["state"])].get(status)
        steps = THREAT_MOVES.shortest_path(status, target) if target is not None else ()
        if not steps:
            return {"moves": moves}
        try:
            await threats.move(id, steps[0], reason)
        except Conflict:
            log.info("a threat was moved by somebody else; its status is read again", threat=id, wanted=steps[0])
            continue
        moves.append(steps[0])
