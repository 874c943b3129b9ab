"""What connectors do by themselves, on both databases: refusals announced together, drift, sweeping, health reports."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from brain import EventStream
from brain.immune.service import ImmuneService
from brain.kit.context import plugin_context
from brain.kit.outbox import ReportDelivery
from brain.links import tables
from brain.links.drift import SETTLED
from brain.links.models import ConnectorStatus, DeliveryState
from brain.links.receiving import Delivery, Receipt
from brain.links.service import ConnectorService
from brain.links.settings import ConnectorSettings
from brain.links.singer_run import SingerRun
from brain.links.tasks import ConnectorTasks
from brain.plugins import PluginContext
from brain.settings import Settings
from brain.store import open_store
from brain.threats.service import ThreatService
from support.clock import Clock
from support.webhook_senders import connector, github

DAY = 86_400.0


class World:
    """The parts of connectors, driven by hand."""

    def __init__(self, tasks: ConnectorTasks, service: ConnectorService, context: PluginContext) -> None:
        self.tasks, self.service, self.stream, self.store = tasks, service, context.stream, context.store
        self.reports = ReportDelivery(context)

    def deliver(self, number: int, content: Any) -> Receipt:
        body = json.dumps(content).encode()
        delivery = Delivery(github(body, f"d-{number}"), body, "192.0.2.1", self.service.clock())
        return self.service.receive("github", delivery)

    async def events(self, type: str) -> list[dict[str, Any]]:
        self.tasks.shipping.ship()
        return [event.payload async for event in self.stream.replay(type)]


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/consumers.db"
    return str(request.getfixturevalue("postgres").url)


@pytest.fixture
def clock() -> Clock:
    return Clock(time.time())  # what is old goes by the real one


@asynccontextmanager
async def opened(database: str, tmp_path: Path, clock: Clock) -> AsyncIterator[World]:
    url = f"sqlite:///{tmp_path}/brain.db"
    inbound = {"github": connector("github"), "orders": {"kind": "singer"}}
    settings = Settings(stream=url, database=database, connectors=ConnectorSettings(inbound=inbound))
    async with EventStream.open(url) as stream:
        with closing(open_store(url)) as store, plugin_context(stream, store, settings) as context:
            service = ConnectorService(context.database, settings, clock)
            async with ConnectorTasks.open(context, service) as tasks:
                service.prepare()
                yield World(tasks, service, context)


async def test_connectors_by_themselves(database: str, tmp_path: Path, clock: Clock) -> None:
    async with opened(database, tmp_path, clock) as world:
        assert [one["connector_id"] for one in await world.events("connector.registered")] == ["github", "orders"]
        await drift_is_told_once(world)
        await refusals_are_told_together(world, clock)
        await an_error_that_stays_is_reported(world, clock)
        await what_waits_is_mapped_and_what_is_old_goes(world, clock)
        await a_tap_is_read(world)


async def drift_is_told_once(world: World) -> None:
    for number in range(SETTLED):
        assert world.deliver(number, {"number": number, "ref": "main"}).events == 1
    for number in range(SETTLED, SETTLED + 3):
        world.deliver(number, {"number": "seven"})
    found = [(one["path"], one["change"], one["seen"]) for one in await world.events("connector.schema_drift")]
    assert found == [("number", "type", "string"), ("ref", "vanished", None)]
    assert len(await world.events("connector.received")) == SETTLED + 3
    assert len(await world.events("connector.status_changed")) == 1  # the first one made it OK


async def refusals_are_told_together(world: World, clock: Clock) -> None:
    threats = ThreatService(None, world.store)
    for _ in range(2):
        world.tasks.refused("github", "203.0.113.7", "does not match", clock())
    await world.tasks.tell()
    await world.reports.deliver()
    assert await threats.list_threats() == []
    for _ in range(500):
        world.tasks.refused("github", "203.0.113.7", "does not match", clock())
        await world.tasks.tell()
    assert [one["count"] for one in await world.events("connector.signature_refused")] == [2]
    assert world.tasks.refusals.due_in(clock()) == 60
    clock.advance(60)
    await world.tasks.tell()
    assert [one["count"] for one in await world.events("connector.signature_refused")] == [2, 500]
    for minute in range(5):
        world.tasks.refused("github", "203.0.113.7", f"again {minute}", clock())
        clock.advance(60)
        await world.tasks.tell()
    assert await world.reports.deliver()
    (threat,) = await threats.list_threats()
    assert (threat.type, threat.source) == ("webhook_forgery", "203.0.113.7")
    assert world.service.get("github").refused == 507
    clock.advance(60)
    assert (world.tasks.refusals.take(clock()), world.tasks.refusals.due_in(clock())) == ([], None)


async def an_error_that_stays_is_reported(world: World, clock: Clock) -> None:
    immune = ImmuneService(None, world.store)
    delivery = Delivery(github(b"{", "bad"), b"{", "192.0.2.1", clock())
    for _ in range(2):
        assert world.service.receive("github", delivery).state is DeliveryState.FAILED
    assert len(await world.events("connector.error")) == 1  # the second one is no news
    await world.tasks.sweep()
    clock.advance(299)
    await world.tasks.sweep()
    await world.reports.deliver()
    assert immune.get_recent_events() == []
    clock.advance(1)
    for _ in range(2):
        await world.tasks.sweep()
        await world.reports.deliver()
    (event,) = immune.get_recent_events()
    assert (event.kind, event.module) == ("AGENT_FAILURE", "connectors")
    world.deliver(100, {"number": 1})
    assert world.service.get("github").status is ConnectorStatus.OK


async def what_waits_is_mapped_and_what_is_old_goes(world: World, clock: Clock) -> None:
    world.service.pause("github", "ann", "")
    assert world.deliver(101, {"number": 2}).state is DeliveryState.WAITING
    await world.tasks.sweep()
    assert len(world.service.deliveries("github", DeliveryState.WAITING, 10)) == 1
    with world.service.database.begin() as db:  # as if resuming had been killed after its first transaction
        db.execute(sa.update(tables.connectors).values(paused=False))
    await world.tasks.sweep()
    assert len(world.service.deliveries("github", DeliveryState.WAITING, 10)) == 0
    assert (await world.events("connector.received"))[-1]["dedup_key"] == "d-101"
    before = len(world.service.deliveries("github", None, 1000))
    assert before > SETTLED
    world.service.resume("github", None)
    clock.advance(8 * DAY)
    world.deliver(102, {"number": 2})
    with world.service.database.begin() as db:
        from brain.links.sweeping import prune

        assert prune(db, world.service.settings, clock()) == before
        clock.advance(23 * DAY)
        prune(db, world.service.settings, clock())
        assert db.execute(sa.select(sa.func.count()).select_from(tables.seen)).scalar_one() == 1
    assert world.deliver(102, {"number": 2}).duplicates == 1
    assert world.deliver(1, {"number": 2}).events == 1  # it was forgotten


async def a_tap_is_read(world: World) -> None:
    run = SingerRun(world.service, "orders")
    schema = {"type": "SCHEMA", "stream": "o", "schema": {"properties": {"id": {}}}, "key_properties": ["id"]}
    large = "x" * 40_000
    lines = [
        schema,
        {"type": "RECORD", "stream": "o", "record": {"id": 1}},
        {"type": "RECORD", "stream": "o", "record": {"id": 1}},
        {"type": "RECORD", "stream": "o", "record": {"id": 2, "text": large}},
        {"type": "STATE", "value": {"at": 2}},
    ]
    for line in lines:
        run.take(json.dumps(line).encode())
    run.store()
    run.end(None, {})
    assert (run.counts.records, run.counts.duplicates, run.counts.states) == (2, 1, 1)
    (small, big) = [one for one in await world.events("connector.received") if one["kind"] == "singer"]
    assert (small["subject"], small["fields"], small["payload_ref"]) == ("1", {"id": 1}, None)
    assert (big["fields"], big["fields_cut"]) == ({}, True)
    kept = world.service.delivery("orders", int(big["payload_ref"]["uri"].rpartition("/")[2]))
    assert large.encode() in kept.body
    (moved,) = await world.events("connector.cursor_moved")
    assert (moved["previous"], moved["cursor"], moved["records"]) == (None, {"at": 2}, 2)
