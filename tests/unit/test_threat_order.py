"""Views of one threat: whatever order its events come in, and whatever the clocks say, they agree."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from brain import Event, ThreatService
from brain.alerting import tables as alerting_tables
from brain.charter import IncidentState
from brain.connectors.jira import Jira
from brain.connectors.sender import Sender
from brain.connectors.servicenow import ServiceNow
from brain.demo.stand_ins import StandIns
from brain.errors import Conflict
from brain.incidents import tables as incident_tables
from brain.incidents.projector import IncidentProjector
from brain.incidents.settings import IncidentSettings
from brain.incidents.ticket_sync import TicketSync
from brain.kit import outbox
from brain.kit.database import create_tables
from brain.kit.outbox import claims
from brain.kit.projection import Item
from brain.lifecycle import OPEN_INCIDENT
from brain.metrics import tables as metrics_tables
from brain.metrics.projector import count_events
from brain.store.memory import MemoryStore
from brain.testing import RecordingStream
from brain.threats import Severity, Status, Threat
from brain.threats.sightings import Sighting
from support.alerting import Alerting, memory, renewed
from support.clock import Clock
from support.incident_house import mirrored
from support.sizes import sizes
from support.vendors import jira_settings, servicenow_settings

MOVES = (Status.INVESTIGATING, Status.ESCALATED, Status.MITIGATED, Status.IGNORED, Status.OPEN)
URL = "https://stand-ins"


async def schedule(chance: random.Random) -> tuple[Threat, list[Event]]:
    """A threat after random moves and evidence by two nodes, and its events in any order.

    The second node's clock differs by 0.1 s to 1 h either way; both are set while the nodes work.
    """
    store, stream = MemoryStore(), RecordingStream()
    clocks = [Clock(), Clock()]
    clocks[1].advance(chance.choice((-1, 1)) * 10 ** chance.uniform(-1, 3.556))
    nodes = [ThreatService(stream, store, clock) for clock in clocks]
    threat = (await nodes[0].record_sighting(sighting(1))).threat
    for number in range(2, 11):
        for clock in clocks:
            clock.advance(0.8 if chance.random() < 0.8 else chance.uniform(-3600, 3600))
        node, before = chance.choice(nodes), threat
        if chance.random() < 0.4:
            threat = (await node.record_sighting(sighting(number))).threat
        else:
            try:
                threat = await node.update_threat_status(threat.id, chance.choice(MOVES))
            except Conflict:
                continue
        assert threat.version >= before.version
        assert threat.updated_at >= before.updated_at
    events = list(stream.events)
    if chance.random() < 0.9:
        chance.shuffle(events)
    assert await nodes[0].get_threat(threat.id) == threat
    return threat, events


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


class Tickets:
    """The tickets of the incidents in the database, at real connectors and the stand-ins, without sockets."""

    def __init__(self, engine: sa.Engine, clock: Clock, sender: Sender, settings: IncidentSettings) -> None:
        systems: dict[str, Any] = {
            "jira": Jira(jira_settings(URL), sender),
            "servicenow": ServiceNow(servicenow_settings(URL), sender),
        }
        self._sync = TicketSync(engine, settings, systems, clock, lambda: None)
        self._engine = engine
        self._clock = clock

    async def bring_up_to_date(self) -> None:
        """Send what waits in the outbox."""
        for kind in ("jira", "servicenow"):
            while (row := self._claimed(kind)) is not None:
                answer = await self._sync.update(row.body["incident"], kind)
                with self._engine.begin() as db:
                    assert claims.mark_sent(db, row, "test", answer, self._clock())

    def _claimed(self, kind: str) -> outbox.OutboxRow | None:
        with self._engine.begin() as db:
            claims.bound_times(db, "incidents", self._clock(), 60.0, 100.0)
            return claims.claim(db, "incidents", kind, "test", self._clock(), 100.0)


@asynccontextmanager
async def talking_to(stand_ins: StandIns) -> AsyncIterator[Sender]:
    """A sender whose requests reach the stand-ins in this process."""
    async with Sender() as sender, httpx.AsyncClient(transport=httpx.ASGITransport(app=stand_ins.app)) as client:
        sender.__dict__["_client"] = client
        yield sender


STATES = {"NEW": ("To Do", "1"), "IN_PROGRESS": ("In Progress", "2"), "RESOLVED": ("Done", "6")}


@cache
def all_tables() -> sa.Engine:
    """A database in memory with the tables of alerting, incidents and metrics."""
    engine = memory()
    for metadata in (alerting_tables.METADATA, incident_tables.metadata, metrics_tables.metadata, outbox.metadata):
        create_tables(engine, metadata)
    return engine


async def check(seed: int, stand_ins: StandIns, sender: Sender) -> None:
    chance = random.Random(seed)
    threat, events = await schedule(chance)
    alerting, clock, settings = Alerting({}, renewed(all_tables())), Clock(), IncidentSettings(**mirrored(URL))
    incidents = IncidentProjector(settings, clock, dict[str, bytes]().get)
    tickets = Tickets(alerting.engine, clock, sender, settings)
    stand_ins.reset()
    for event in events:
        clock.advance(1.0 if chance.random() < 0.9 else chance.uniform(-3600, 3600))
        alerting.see(event)
        with alerting.engine.begin() as db:
            incidents.apply(db, [Item("1", b"", event)])
            count_events(db, [("1", event)])
        if chance.random() < 0.2:
            await tickets.bring_up_to_date()
    clock.advance(3600.0)
    await tickets.bring_up_to_date()
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
    shown = [STATES[IncidentState(incident.state)] for incident in opened]
    assert [issue["status"] for issue in stand_ins.jira.issues.values()] == [issue for issue, _ in shown]
    assert [record["state"] for record in stand_ins.servicenow.incidents.values()] == [record for _, record in shown]


@pytest.mark.parametrize("schedules", sizes(10, 500))
async def test_alert_incident_tickets_and_metrics_say_what_the_threat_says(schedules: int) -> None:
    stand_ins = StandIns()
    async with talking_to(stand_ins) as sender:
        for seed in (*range(schedules), 99, 126):  # these two were once wrong
            try:
                await check(seed, stand_ins, sender)
            except AssertionError as error:
                raise AssertionError(f"schedule {seed}: {error}") from error
