"""kill -9 of agents at random: each task's effect once, no mission stuck, no task before those that it waits for."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest

from brain.missions.models import NewMission
from brain.settings import Settings
from support import mission_worker
from support.processes import kill, spawn
from support.server import running_server
from support.sizes import sizes
from support.waiting import until

SEED = 20261129
TASKS = 10
AGENTS = 3


def random_graph(chance: random.Random, number: int) -> dict[str, Any]:
    """Ten tasks, each after up to two others."""
    tasks = [
        {
            "id": f"t{place}",
            "type": "step",
            "depends_on": sorted({f"t{chance.randrange(place)}" for _ in range(chance.randrange(3))} if place else ()),
            "max_attempts": 1,  # a lost lease is no failed try
        }
        for place in range(TASKS)
    ]
    return {"name": f"mission {number}", "tasks": tasks, "by": "planner"}


async def allow_all(client: httpx.AsyncClient) -> None:
    anything = {"field": "action", "operator": "!=", "value": ""}
    rule = {"id": "all", "name": "all", "effect": "ALLOW", "conditions": [anything]}
    (await client.post("/api/policy/rules", json=rule)).raise_for_status()


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("missions", "kills"), sizes((10, 2), (1000, 50)))
async def test_each_effect_once_none_stuck_and_in_order(missions: int, kills: int, tmp_path: Path) -> None:
    chance = random.Random(SEED)
    url = f"sqlite:///{tmp_path}/brain.db"
    effects = mission_worker.open_effects(f"{tmp_path}/effects.db")
    settings = Settings(stream=url, port=0, consumers=("missions",), log_level="error")
    graphs = [random_graph(chance, number) for number in range(missions)]
    async with running_server(settings) as (server, client):
        await allow_all(client)
        ids: list[str] = []
        for graph in graphs:
            answer = await client.post("/api/missions", json=NewMission.model_validate(graph).model_dump(mode="json"))
            ids.append(answer.raise_for_status().json()["id"])
        places = [server.url, server.url, url]  # the third one works on the database itself

        def start(number: int) -> Any:
            return spawn(mission_worker.run, places[number % AGENTS], f"agent-{number}", f"{tmp_path}/effects.db")

        def done() -> int:
            (count,) = effects.execute("SELECT count(*) FROM effects").fetchone()
            return int(count)

        agents = [start(number) for number in range(AGENTS)]
        for number in range(kills):
            wanted = (number + 1) * missions * TASKS // (kills + 1)
            await until(lambda wanted=wanted: done() >= wanted, 300)  # type: ignore[misc]
            victim = chance.randrange(AGENTS)
            assert agents[victim].is_alive()
            await asyncio.to_thread(kill, agents[victim])
            agents[victim] = await asyncio.to_thread(start, victim)

        async def over() -> bool:
            counts = (await client.get("/api/missions/stats")).json()["missions"]
            return bool(counts.get("completed") == missions)

        await until(over, 300)
        for agent in agents:
            await asyncio.to_thread(kill, agent)
        found = [(await client.get(f"/api/missions/{id}")).json() for id in ids]

    order = {task: number for number, task in effects.execute("SELECT number, task FROM effects")}
    lost = sum(task["attempts"] - 1 for mission in found for task in mission["tasks"])
    print(f"{kills} kills, {missions} missions, {len(order)} effects, {lost} leases lost to kills")
    assert Counter(task["status"] for mission in found for task in mission["tasks"]) == {"completed": missions * TASKS}
    assert order.keys() == {task["id"] for mission in found for task in mission["tasks"]}
    for mission in found:
        for task in mission["tasks"]:
            for before in task["depends_on"]:
                assert order[f"{mission['id']}.{before}"] < order[task["id"]]
