"""What people do to an incident, done to its threats too: rows of the outbox, delivered through ThreatService."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row

from brain.charter import IncidentState as State
from brain.charter import ThreatStatus as Status
from brain.errors import Conflict, NotFound
from brain.incidents.announcing import CONSUMER
from brain.incidents.models import Incident
from brain.kit.outbox import OutboxRow, put
from brain.lifecycle import THREAT_MOVES
from brain.logs import Log
from brain.threats import ThreatService

log = Log("brain.incidents")

THREATS = "threats"
"""The channel of the outbox whose rows are moves of threats."""

_WANTED: Mapping[State, Mapping[Status, Status]] = {
    State.RESOLVED: dict.fromkeys(
        (Status.OPEN, Status.INVESTIGATING, Status.ESCALATED, Status.MITIGATED), Status.RESOLVED
    ),
    # An escalated threat stays so: that somebody works on it makes it no less urgent.
    State.IN_PROGRESS: {Status.OPEN: Status.INVESTIGATING, Status.MITIGATED: Status.INVESTIGATING},
}
"""For a state that an incident was given, where its threats go from where they are."""


def follow(db: Connection, incident: Incident, threats: Sequence[Row[Any]], reason: str, now: float) -> None:
    """Put up the moves of the incident's threats that its new state asks for."""
    if incident.state not in _WANTED:
        return
    for threat in threats:
        put(
            db,
            consumer=CONSUMER,
            channel=THREATS,
            key=threat.threat,
            dedup=f"threat {threat.threat} {incident.id} {incident.version}",
            body={
                "threat": threat.threat,
                "state": incident.state,
                "reason": f"incident {incident.number} is {incident.state}" + (f": {reason}" if reason else ""),
            },
            now=now,
        )


async def move_threat(service: ThreatService, row: OutboxRow) -> Mapping[str, Any]:
    """Move a threat as its row asks, by allowed moves from where it is now; what it has done is not done again.

    Raises Unavailable when the store does not answer.
    """
    id, reason = row.body["threat"], row.body["reason"][:1000]
    moves: list[str] = []
    while True:
        try:
            threat = await service.get_threat(id)
        except NotFound:
            return {"moves": moves, "note": "there is no such threat"}
        target = _WANTED[State(row.body["state"])].get(threat.status)
        steps = THREAT_MOVES.shortest_path(threat.status, target) if target is not None else ()
        if not steps:
            return {"moves": moves}
        try:
            await service.update_threat_status(id, steps[0], reason)
        except Conflict:  # somebody moved it meanwhile: look again
            log.info("a threat moved by itself", threat=id, wanted=steps[0])
            continue
        moves.append(steps[0])
