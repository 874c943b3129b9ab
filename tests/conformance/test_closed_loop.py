"""The loop over a real stream: denials become a threat, an incident a healing, each in one story."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest
from sqlalchemy import create_engine

from brain import EventStream, HealthEvent, PolicyEngine, correlation
from brain.immune import HealthKind, HealthSeverity, ImmuneService
from brain.immune.healing import ACTIONS
from brain.immune.tasks import open_component as open_immune
from brain.plugins import PluginContext
from brain.settings import Settings
from brain.store import Store
from brain.threats.tasks import open_component as open_threats


def parts(stream: EventStream, store: Store) -> PluginContext:
    """What the two plug-ins are opened on; neither looks at a database."""
    return PluginContext(stream, store, create_engine("sqlite://"), Settings())


async def story(stream: EventStream, last: str, correlation_id: str) -> list[str]:
    """The types of a story's events, in order, up to the first of type `last`."""
    types = []
    async with asyncio.timeout(60):
        async for event in stream.subscribe("*", after=""):
            if event.correlation_id == correlation_id:
                types.append(event.type)
                if event.type == last and len(types) > 3:
                    break
    return types


async def test_repeated_denials_become_one_threat_in_the_story_of_the_last(stream: EventStream, store: Store) -> None:
    async with AsyncExitStack() as modules:
        await modules.enter_async_context(open_threats(parts(stream, store)))
        running = asyncio.create_task(stream.run_consumers())
        engine = PolicyEngine(event_stream=stream)
        with correlation("story-1"):
            for _ in range(7):
                engine.evaluate({"agent_id": "agent-7", "action": "delete"})
        types = await story(stream, "threat.detected", "story-1")
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert types.count("threat.detected") == 1
    [stored] = await stream.read("threat.detected")
    [cause] = [row.event for row in await stream.read("*") if row.event.id == stored.event.meta["causation_id"]]
    assert cause.type == "policy.action_denied"
    assert (stored.event.payload["source"], stored.event.payload["severity"]) == ("agent-7", "MEDIUM")


async def test_an_incident_is_healed_in_its_story(
    stream: EventStream, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def restart(incident: HealthEvent) -> str:
        return f"restarted {incident.module}"

    monkeypatch.setitem(ACTIONS, HealthKind.AGENT_FAILURE, restart)
    async with AsyncExitStack() as modules:
        await modules.enter_async_context(open_immune(parts(stream, store)))
        running = asyncio.create_task(stream.run_consumers())
        await ImmuneService(stream, store).publish_event(
            HealthEvent(HealthSeverity.CRITICAL, HealthKind.AGENT_FAILURE, "billing", "gone", correlation_id="story-2")
        )
        published = []
        async with asyncio.timeout(60):
            async for event in stream.subscribe("immune.event_published", after=""):
                published.append(event)
                if event.payload["kind"] == "SELF_HEALING_ACTION":
                    break
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert [event.payload["message"] for event in published] == ["gone", "restarted billing"]
    assert {event.correlation_id for event in published} == {"story-2"}
    [critical] = await stream.read("immune.critical_event")
    assert published[1].meta["causation_id"] == critical.event.id
