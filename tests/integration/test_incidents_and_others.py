"""The plug-ins that incidents ask for proofs and moves: found through the kit, and not needed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa
from fastapi import FastAPI

from brain import EventStream, PolicyEngine, ThreatService, correlation
from brain.incidents.component import open_component
from brain.kit.context import open_plugin
from brain.kit.database import open_database
from brain.kit.outbox import outbox
from brain.plugins import PluginContext, Routes, plugins
from brain.settings import Settings
from brain.store.memory import MemoryStore
from support.command import Command
from support.incident_house import running
from support.waiting import until


async def test_without_them_incidents_work_and_the_log_says_what_is_missing_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    url, store = f"sqlite:///{tmp_path}/brain.db", MemoryStore()
    engine = open_database(f"sqlite:///{tmp_path}/consumers.db")
    app = FastAPI()
    async with EventStream.open(url) as stream:
        threats = ThreatService(stream, store)
        context = PluginContext(stream, store, engine, Settings(stream=url), {"incidents": plugins()["incidents"]})
        async with (
            open_component(context) as component,
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client,
        ):
            assert isinstance(component.router, Routes)
            app.include_router(component.router.make())
            tasks = [asyncio.create_task(task()) for task in component.tasks]
            with correlation("c-1"):
                PolicyEngine(event_stream=stream).evaluate({"agent_id": "a", "action": "dump", "resource": "db"})
                threat = await threats.create_threat("scan", "a", "HIGH")
                await threats.update_threat_status(threat.id, "ESCALATED", "a login succeeded")

            async def opened() -> bool:
                return len((await client.get("/incidents")).json()) == 1

            await until(opened)
            id = (await client.get("/incidents")).json()[0]["id"]
            moved = await client.post(f"/incidents/{id}/state", json={"state": "RESOLVED", "by": "ann"})
            assert moved.json()["state"] == "RESOLVED"

            def answered() -> bool:
                query = sa.select(outbox.c.state, outbox.c.answer).where(outbox.c.channel == "threats")
                with engine.begin() as db:
                    return db.execute(query).all() == [("sent", {"note": "no installed plug-in provides ThreatMoves"})]

            await until(answered)
            decisions = [one for _ in range(3) for one in (await client.get(f"/incidents/{id}")).json()["decisions"]]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        assert (await threats.get_threat(threat.id)).status == "ESCALATED"
    engine.dispose()
    assert [decision["proof"] for decision in decisions] == [None] * 3
    said = caplog.text
    assert said.count("no installed plug-in provides AuditProofs") == 1
    assert said.count("no installed plug-in provides ThreatMoves") == 1


async def test_the_command_shows_the_proofs_without_opening_the_stream(tmp_path: Path) -> None:
    async with running(tmp_path) as at_work:
        with correlation("c-1"):
            PolicyEngine(event_stream=at_work.stream).evaluate({"agent_id": "a", "action": "dump", "resource": "db"})
            await at_work.escalated("a")
        async with open_plugin(plugins()["audit"], at_work.house) as audit:
            tasks = [asyncio.create_task(task()) for task in audit.tasks]
            incident = await at_work.one("c-1")
            await at_work.becomes(incident["id"], lambda found: all(one["proof"] for one in found["decisions"]))
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    brain = Command(tmp_path)
    shown = brain(
        "incidents", "show", "1", "--stream", "sqlite:///elsewhere.db", "--database", "sqlite:///consumers.db"
    )
    assert shown.code == 0, shown.err
    assert "decision: DENY: a dump db (default); entry " in shown.out
    assert not (tmp_path / "elsewhere.db").exists()
