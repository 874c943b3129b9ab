"""100 agents wake up after their lease: each of their completions is refused by its token."""

from __future__ import annotations

from pathlib import Path

from brain.kit.database import open_database
from brain.kit.leases import LeaseLost
from brain.missions.models import NewMission
from support.missions import World

LATE = 100


async def test_a_hundred_of_a_hundred_late_completions_are_refused(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path}/c.db")
    world = World(engine)
    tasks = [{"id": f"t{number}", "type": "step"} for number in range(LATE)]
    mission = await world.service.create(NewMission.model_validate({"name": "late", "tasks": tasks}))
    frozen = await world.lease("frozen", LATE, seconds=30)
    world.pass_time(31)
    taken_over = await world.lease("awake", LATE // 2, seconds=30)
    refused = []
    for task in frozen:  # half of them are with another agent, half with nobody
        try:
            await world.service.complete(task.id, task.token, "late")
        except LeaseLost as error:
            refused.append(error.status)
    assert refused == [409] * LATE
    for task in taken_over:
        await world.service.complete(task.id, task.token, "in time")
    found = (await world.service.get(mission["id"]))["tasks"]
    assert sorted(task["result"] for task in found if task["status"] == "completed") == ["in time"] * (LATE // 2)
    assert {task["agent"] for task in found if task["status"] == "completed"} == {"awake"}
    engine.dispose()
