"""Missions over a whole server: policy decides, agents work over HTTP, a contained agent's tasks go to others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from brain.errors import NotFound, Unavailable
from brain.kit.leases import LeaseLost
from brain.missions.claiming import ClaimedTask, Wanted
from brain.missions.client import MissionClient
from brain.missions.settings import MissionSettings
from brain.missions.worker import TaskRefused, Worker
from brain.settings import Settings
from support.server import running_server
from support.waiting import until

KEY = "the key of this test"
RULES: list[dict[str, Any]] = [
    {"id": "start", "field": "action", "operator": "in", "value": ["mission.start", "mission.cancel"]},
    {"id": "tasks", "field": "action", "operator": "matches", "value": "task\\."},
]
APPROVAL = {"effect": "AUDIT", "priority": 10, "metadata": {"requires_approval": True}}
TASKS = [
    {"id": "reserve", "type": "reserve", "undo": {"type": "release"}},
    {"id": "charge", "type": "charge", "depends_on": ["reserve"], "capabilities": ["payments"]},
]


def settings(folder: Path) -> Settings:
    return Settings(
        stream=f"sqlite:///{folder}/brain.db",
        port=0,
        api_key=KEY,  # type: ignore[arg-type]  # pydantic makes a SecretStr of it
        consumers=("missions",),
        missions=MissionSettings(cancel_seconds=60),  # type: ignore[call-arg]  # a table of an installed plug-in
    )


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with running_server(settings(tmp_path)) as (_, found):
        found.headers["Authorization"] = f"Bearer {KEY}"
        for rule in RULES:
            await allow(found, **rule)
        yield found


async def allow(client: httpx.AsyncClient, id: str, field: str, operator: str, value: Any, **more: Any) -> None:
    condition = {"field": field, "operator": operator, "value": value}
    rule = {"id": id, "name": id, "effect": "ALLOW", "conditions": [condition], **more}
    (await client.post("/api/policy/rules", json=rule)).raise_for_status()


async def made(client: httpx.AsyncClient, **more: Any) -> dict[str, Any]:
    answer = await client.post("/api/missions", json={"name": "order", "tasks": TASKS, "by": "planner", **more})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def becomes(client: httpx.AsyncClient, id: str, status: str) -> dict[str, Any]:
    found: dict[str, Any] = {}

    async def there() -> bool:
        found.update((await client.get(f"/api/missions/{id}")).json())
        return bool(found["status"] == status)

    await until(there)
    return found


async def test_agents_do_a_mission_and_what_it_did_is_undone(client: httpx.AsyncClient) -> None:
    done: list[tuple[str, Any]] = []

    async def note(task: ClaimedTask) -> dict[str, str]:
        done.append((task.name, task.context))
        return {"receipt": task.name}

    async def refuse(task: ClaimedTask) -> None:
        raise TaskRefused("card declined")

    first = await made(client, context={"customer": 7})
    async with MissionClient(str(client.base_url), KEY) as tasks:
        can = frozenset({"payments"})
        good = Worker(tasks, "till-1", {"reserve": note, "charge": note, "release": note}, capabilities=can)
        await good.run_until_idle()
        assert done == [("reserve", {"customer": 7}), ("charge", {"customer": 7})]
        assert (await becomes(client, first["id"], "completed"))["completed_tasks"] == 2
        second = await made(client)
        bad = Worker(tasks, "till-2", {"charge": refuse}, capabilities=can)
        working = [asyncio.create_task(worker.run(wait=5)) for worker in (good, bad)]
        # either may get the charge: until the bad one has refused it, more are made
        while (await becomes_over(client, second["id"]))["status"] == "completed":
            second = await made(client)
        for work in working:
            work.cancel()
        await asyncio.gather(*working, return_exceptions=True)
    found = await becomes(client, second["id"], "failed")
    assert (found["compensated"], found["reason"]) == (True, "task charge failed: TaskRefused: card declined")
    stats = (await client.get("/api/missions/stats")).json()
    assert (stats["missions"]["failed"], stats["agents"]["online"]) == (1, 2)
    graph = (await client.get(f"/api/missions/{first['id']}/graph")).json()
    assert graph["edges"] == [{"from": "reserve", "to": "charge"}]


async def becomes_over(client: httpx.AsyncClient, id: str) -> dict[str, Any]:
    found: dict[str, Any] = {}

    async def over() -> bool:
        found.update((await client.get(f"/api/missions/{id}")).json())
        return found["status"] in ("completed", "failed")

    await until(over)
    return found


async def test_policy_decides_who_starts_missions_and_does_tasks(client: httpx.AsyncClient) -> None:
    await allow(client, "no-eve", "agent_id", "==", "eve", effect="DENY", priority=100)
    refused = await client.post("/api/missions", json={"name": "order", "tasks": TASKS, "by": "eve"})
    assert refused.status_code == 403
    mission = await made(client)
    async with MissionClient(str(client.base_url), KEY) as tasks:
        assert await tasks.lease(Wanted("eve")) == []
        (held,) = await tasks.lease(Wanted("ann"))
        rogue = {"agent_id": "ann", "ttl": 600, "reason": "rogue", "by": "op"}
        (await client.post("/api/policy/containments", json=rogue)).raise_for_status()
        (again,) = await tasks.lease(Wanted("bob"), wait=20)
        assert (again.id, again.token) == (held.id, 2)
        for call in (tasks.complete, tasks.heartbeat, tasks.give_back):
            with pytest.raises(LeaseLost, match="lease 1 is over, and bob has lease 2"):
                await call(held.id, held.token)
        assert await tasks.lease(Wanted("ann")) == []
        await tasks.complete(again.id, again.token)
        with pytest.raises(NotFound):
            await tasks.complete("mis_0.x", 1)
        shown = {one["id"]: (one["online"], one["contained"]) for one in (await client.get("/api/agents")).json()}
        assert (shown["ann"], shown["bob"]) == ((False, True), (True, False))
        cancelled = await client.post(f"/api/missions/{mission['id']}/cancel", json={"by": "eve"})
        assert cancelled.status_code == 403
        await client.post(f"/api/missions/{mission['id']}/cancel", json={"by": "planner"})
        (undo,) = await tasks.lease(Wanted("bob"))
        await tasks.complete(undo.id, undo.token)
    assert (await becomes(client, mission["id"], "cancelled"))["compensated"] is True


async def test_who_goes_while_it_waits_gets_no_task(client: httpx.AsyncClient) -> None:
    async with MissionClient(str(client.base_url), KEY) as gone, MissionClient(str(client.base_url), KEY) as tasks:
        waiting = asyncio.create_task(gone.lease(Wanted("ann"), wait=20))
        await seen(client, "ann")
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await made(client)
        (task,) = await tasks.lease(Wanted("bob"), wait=20)
        assert task.name == "reserve"


async def test_who_waits_is_answered_when_the_server_stops(tmp_path: Path) -> None:
    key = {"Authorization": f"Bearer {KEY}"}
    async with httpx.AsyncClient(headers=key, timeout=60, trust_env=False) as agent:
        async with running_server(settings(tmp_path)) as (server, client):
            client.headers.update(key)
            wanted = {"agent_id": "ann", "wait_seconds": 20}
            waiting = asyncio.create_task(agent.post(f"{server.url}/api/tasks/lease", json=wanted))
            await seen(client, "ann")
        assert (await waiting).json() == []


async def seen(client: httpx.AsyncClient, agent: str) -> None:
    async def there() -> bool:
        return agent in {one["id"] for one in (await client.get("/api/agents")).json()}

    await until(there)


async def test_a_task_waits_for_the_approval_that_policy_asks_for(client: httpx.AsyncClient) -> None:
    await allow(client, "ask", "action", "==", "task.charge", **APPROVAL)
    key = (await client.post("/api/access/keys", json={"name": "eve", "role": "approver"})).json()["key"]
    eve = {"Authorization": f"Bearer {key}"}  # the shared key cannot grant what it asked for
    async with MissionClient(str(client.base_url), KEY) as tasks:
        for answer, status in (("grant", "completed"), ("refuse", "failed")):
            mission = await made(client, tasks=[{"id": "charge", "type": "charge"}])
            assert await tasks.lease(Wanted("ann")) == []
            (task,) = (await client.get(f"/api/missions/{mission['id']}")).json()["tasks"]
            assert task["status"] == "waiting"
            path = f"/api/policy/approvals/{task['approval']}/{answer}"
            (await client.post(path, json={"by": "op", "reason": "checked"}, headers=eve)).raise_for_status()
            if answer == "grant":
                assert await tasks.lease(Wanted("bob")) == []  # it was granted to ann
                (held,) = await tasks.lease(Wanted("ann"), wait=20)
                await tasks.complete(held.id, held.token)
            await becomes(client, mission["id"], status)


async def test_many_failures_reach_the_health_of_the_fleet_and_the_events_the_stream(client: httpx.AsyncClient) -> None:
    for _ in range(5):
        await made(client, tasks=[{"id": "charge", "type": "charge", "max_attempts": 1}])
    async with MissionClient(str(client.base_url), KEY) as tasks:
        for task in await tasks.lease(Wanted("ann", most=5)):
            await tasks.fail(task.id, task.token, "no\0route")

    async def reported() -> bool:
        found = (await client.get("/api/immune/events")).json()
        return [(one["kind"], one["module"]) for one in found] == [("ERROR_SPIKE", "missions")]

    await until(reported)

    async def announced() -> bool:
        query = {"pattern": "mission.failed", "limit": 10}
        return len((await client.get("/api/events", params=query)).json()["events"]) == 5

    await until(announced)
    measured = (await client.get("/metrics")).text
    assert 'brain_missions{status="failed"} 5.0' in measured
    assert 'brain_missions_tasks{status="failed"} 5.0' in measured


async def test_a_server_that_is_away_can_be_tried_again() -> None:
    async with MissionClient("http://127.0.0.1:9") as tasks:
        with pytest.raises(Unavailable, match="ConnectError"):
            await tasks.lease(Wanted("ann"))
