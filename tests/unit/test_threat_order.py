"""Four views of one threat: whatever order its events come in, and whatever the clocks say, they agree."""

from __future__ import annotations

import random

import pytest
import sqlalchemy as sa

from brain import Event, ThreatService
from brain.errors import Conflict
from brain.incidents import tables as incident_tables
from brain.incidents.projector import IncidentProjector
from brain.incidents.settings import IncidentSettings
from brain.kit import outbox
from brain.kit.database import create_tables
from brain.kit.projection import Item
from brain.lifecycle import OPEN_INCIDENT
from brain.metrics import tables as metrics_tables
from brain.metrics.projector import count_events
from brain.store.memory import MemoryStore
from brain.testing import RecordingStream
from brain.threats import Severity, Status, Threat
from brain.threats.sightings import Sighting
from support.alerting import Alerting
from support.clock import Clock

MOVES = (Status.INVESTIGATING, Status.ESCALATED, Status.MITIGATED, Status.IGNORED, Status.OPEN)


async def schedule(seed: int) -> tuple[Threat, list[Event]]:
    """A threat after random moves and evidence by two nodes of which one is ahead, and its events in any order."""
    chance, store, stream = random.Random(seed), MemoryStore(), RecordingStream()
    clocks = [Clock(), Clock()]
    clocks[1].advance(chance.choice([0.1, 2.0, 3600.0]))
    nodes = [ThreatService(stream, store, clock) for clock in clocks]
    threat = (await nodes[0].record_sighting(sighting(1))).threat
    for number in range(2, 9):
        for clock in clocks:
            clock.advance(0.8)
        node = chance.choice(nodes)
        if chance.random() < 0.4:
            await node.record_sighting(sighting(number))
        else:
            try:
                await node.update_threat_status(threat.id, chance.choice(MOVES))
            except Conflict:
                continue
    events = list(stream.events)
    if seed:
        chance.shuffle(events)
    return await nodes[0].get_threat(threat.id), events


def sighting(failed: int) -> Sighting:
    return Sighting(
        key="test 10.0.0.1",
        type="test",
        source="10.0.0.1",
        reading="file",
        counts={"failed": failed},
        last_seen=float(failed),
        grade=lambda counts: Severity.CRITICAL if counts["failed"] > 6 else Severity.HIGH,
        describe=lambda counts: f"{counts['failed']} failures",
    )


@pytest.mark.parametrize("seed", range(20))
async def test_alert_incident_and_metrics_say_what_the_threat_says(seed: int) -> None:
    threat, events = await schedule(seed)
    alerting, clock = Alerting({}), Clock()
    for metadata in (incident_tables.metadata, metrics_tables.metadata, outbox.metadata):
        create_tables(alerting.engine, metadata)
    incidents = IncidentProjector(IncidentSettings(), clock)
    for event in events:
        alerting.see(event)
        with alerting.engine.begin() as db:
            incidents.apply(db, [Item("1", b"", event)])
            count_events(db, [("1", event)])
    with alerting.engine.begin() as db:
        [counted] = db.execute(sa.select(metrics_tables.threats)).all()
        [kept] = db.execute(sa.select(incident_tables.threats)).all()
        opened = db.execute(sa.select(incident_tables.incidents)).all()
    firing = [alert for alert in alerting.stored().values() if alert.firing]
    assert (counted.status, counted.severity, counted.version) == (threat.status, threat.severity, threat.version)
    assert (counted.closed_at is None) == threat.active
    assert (kept.status, kept.severity, kept.version) == (threat.status, threat.severity, threat.version)
    assert [alert.severity for alert in firing] == [threat.severity] * threat.active
    assert [alert.labels["status"] for alert in firing] == [threat.status] * threat.active
    was_escalated = any(event.type == "threat.escalated" for event in events)
    assert len(opened) == was_escalated
    assert [incident.state in OPEN_INCIDENT for incident in opened] == [threat.active] * was_escalated
