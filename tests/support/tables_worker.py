"""A process that changes silences and incidents in the consumers' database until it is killed; what must then be so."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from multiprocessing.connection import Connection

import sqlalchemy as sa

from brain import Event, EventStream
from brain.alerting import repository
from brain.alerting.configuration import configuration
from brain.alerting.service import AlertService
from brain.alerting.settings import AlertingSettings
from brain.alerting.tables import make_tables as make_alert_tables
from brain.charter import IncidentState
from brain.incidents import tables
from brain.incidents.service import IncidentService
from brain.incidents.settings import IncidentSettings
from brain.incidents.tables import make_tables as make_incident_tables
from brain.kit.database import open_database
from brain.kit.outbox import EventShipping, waiting_events
from support.waiting import until

CONSUMERS = ("alerting", "incidents")
Changes = Counter[tuple[str, str]]
"""How many changes there were, by what was done and to what."""


def prepare(database: sa.Engine) -> None:
    make_alert_tables(database)
    make_incident_tables(database)


def change(url: str, database: str, journal: str, name: str, going: Connection) -> None:
    """Make one change after the other."""
    asyncio.run(_change(url, database, journal, name, going))


async def _change(url: str, database: str, journal: str, name: str, going: Connection) -> None:
    stream, engine = await EventStream.open(url, journal=journal), open_database(database)
    shipping = [EventShipping(engine, consumer, stream) for consumer in CONSUMERS]
    running = [asyncio.create_task(each.run()) for each in shipping]
    alerts = AlertService(engine, configuration(AlertingSettings()))
    incidents = IncidentService(engine, IncidentSettings())
    number = 0
    while all(not task.done() for task in running):
        key = f"{name}-{number}"
        silence = await asyncio.to_thread(alerts.add_silence, [f"source={key}"], "ann", key, 9e10)
        if number % 3:
            await asyncio.to_thread(alerts.remove_silence, silence.id)
        incident = (await incidents.open(key))["id"]
        await incidents.note(incident, key)
        await incidents.move(incident, IncidentState.IN_PROGRESS)
        number += 1
        if number == 1:
            going.send("going")


async def shipped(url: str, database: sa.Engine, journal: str) -> list[Event]:
    """What is on the stream once nothing waits."""

    def waits() -> bool:
        with database.begin() as db:
            return any(waiting_events(db, consumer)[0] for consumer in CONSUMERS)

    async with EventStream.open(url, journal=journal) as stream:
        running = [asyncio.create_task(EventShipping(database, each, stream).run()) for each in CONSUMERS]
        await until(lambda: not waits())
        for task in running:
            task.cancel()
        await asyncio.wait(running)
        return [event async for event in stream.replay()]


def announced(events: Sequence[Event]) -> Changes:
    """What the events say; a silence that was removed says nothing more of its beginning."""
    said: Changes = Counter()
    for event in events:
        payload = event.payload
        match event.type:
            case "alert.silence_added" | "alert.silence_removed":
                said[event.type, payload["silence_id"]] += 1
            case "incident.opened" | "incident.updated":
                said["incident", payload["incident_id"]] += 1
    for (kind, id), count in list(said.items()):
        if kind == "alert.silence_removed":
            said["alert.silence_added", id] -= 1
            said[kind, id] = count - 1
    return Counter({key: count for key, count in said.items() if count})


def made(database: sa.Engine) -> Changes:
    """What the tables say: the silences there are, and each step in the life of an incident."""
    done: Changes = Counter()
    with database.begin() as db:
        for silence in repository.silences(db):
            done["alert.silence_added", silence.id] = 1
        for incident in db.execute(sa.select(tables.timeline.c.incident)).scalars():
            done["incident", incident] += 1
    return done
