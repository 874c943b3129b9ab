"""Missions on both databases: order, leases, retries, deadlines, stopping, undoing, people."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from brain.errors import Conflict, InvalidInput, NotFound
from brain.kit.database import open_database
from brain.kit.leases import LeaseLost
from brain.kit.outbox.reports import reports as kept
from brain.missions import offers
from brain.missions.durable import durable
from brain.missions.models import NewMission
from brain.missions.tables import TASKS
from brain.missions.timekeeping import prune
from support.missions import World, diamond


@pytest.fixture(params=["sqlite", "postgresql"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    sqlite = request.param == "sqlite"
    engine = open_database(f"sqlite:///{tmp_path}/c.db" if sqlite else request.getfixturevalue("postgres").url)
    yield World(engine, cancel_seconds=20)
    engine.dispose()


def reports(world: World) -> list[dict[str, Any]]:
    """What waits to be reported to the fleet's health."""
    with world.database.connect() as db:
        return list(db.execute(sa.select(kept.c.report).order_by(kept.c.id)).scalars())


def steps(*tasks: dict[str, Any], **more: Any) -> NewMission:
    """A mission of these tasks, each after the one before."""
    chain = [{"depends_on": [tasks[n - 1]["id"]] if n else [], **task} for n, task in enumerate(tasks)]
    return NewMission.model_validate({"name": "chain", "tasks": [{"type": "step", **task} for task in chain], **more})


async def test_tasks_are_done_in_order_and_every_change_is_announced_with_it(world: World) -> None:
    made = await world.service.create(diamond(deadline=world.clock() + 60, by="planner"))
    assert (made["status"], made["total_tasks"]) == ("running", 4)
    assert await world.names() == ["a"]
    assert await world.names("bob") == []
    await world.service.complete(f"{made['id']}.a", 1, {"found": 3})
    first, second = await world.lease("bob", 10)
    assert {first.name, second.name} == {"b", "c"}
    await world.service.complete(first.id, first.token)
    assert await world.names() == []  # d waits for both
    await world.service.complete(second.id, second.token)
    assert await world.work() == ["d"]
    found = await world.service.get(made["id"])
    assert (found["status"], found["completed_tasks"], found["progress"]) == ("completed", 4, 1.0)
    assert found["tasks"][0]["result"] == {"found": 3}
    assert world.counts() == {
        "mission.created": 1,
        "mission.started": 1,
        "mission.completed": 1,
        "task.created": 4,
        "task.started": 4,
        "task.completed": 4,
        "agent.online": 2,
    }
    assert {event.meta["correlation_id"] for event in world.events("task.")} == {made["id"]}
    agents = {agent["id"]: agent for agent in await world.service.agents()}
    assert [(agents[name]["completed"], agents[name]["online"]) for name in ("ann", "bob")] == [(2, True), (2, True)]


async def test_a_graph_that_is_none_is_refused_by_name(world: World) -> None:
    for tasks, words in (
        ([{"id": "a", "type": "x", "depends_on": ["b"]}], "there is no task 'b'"),
        ([{"id": "a", "type": "x"}, {"id": "a", "type": "y"}], "two have the id 'a'"),
        (
            [{"id": "a", "type": "x", "depends_on": ["b"]}, {"id": "b", "type": "x", "depends_on": ["a"]}],
            "they wait for each other: [ab] -> [ab] -> [ab]",
        ),
    ):
        with pytest.raises(InvalidInput, match=words):
            await world.service.create(NewMission.model_validate({"name": "none", "tasks": tasks}))
    assert await world.service.list() == []


async def test_a_key_makes_one_mission(world: World) -> None:
    first = await world.service.create(diamond(), key="k1")
    assert (await world.service.create(diamond(), key="k1"))["id"] == first["id"]
    with pytest.raises(Conflict, match="from other content"):
        await world.service.create(diamond("other"), key="k1")
    assert world.counts()["mission.created"] == 1
    with pytest.raises(NotFound):
        await world.service.get("mis_0")


async def test_a_late_completion_is_refused_a_repeated_one_is_not(world: World) -> None:
    made = await world.service.create(steps({"id": "a"}))
    (late,) = await world.lease("ann", seconds=30)
    world.clock.advance(31)
    with pytest.raises(LeaseLost, match="lease 1 ran out"):
        await world.service.complete(late.id, late.token)
    world.pass_time(0)
    (again,) = await world.lease("bob", seconds=30)
    assert again.token == 2
    for call in (world.service.complete, world.service.give_back, world.service.heartbeat):
        with pytest.raises(LeaseLost, match="lease 1 is over"):
            await call(late.id, late.token)
    await world.service.complete(again.id, again.token, "first")
    await world.service.complete(again.id, again.token, "first")  # its answer was lost
    with pytest.raises(LeaseLost, match="is completed"):
        await world.service.complete(late.id, late.token, "late")
    (task,) = (await world.service.get(made["id"]))["tasks"]
    assert (task["result"], task["agent"]) == ("first", "bob")
    assert world.counts()["task.completed"] == 1
    assert world.payloads("task.lease_lost")[0]["reason"] == "expired"


async def test_heartbeats_hold_a_task_for_no_longer_than_a_try_may_take(world: World) -> None:
    await world.service.create(steps({"id": "a", "timeout_seconds": 50, "max_attempts": 1}))
    (task,) = await world.lease("ann", seconds=30)
    for progress, until in ((0.25, 50), (0.5, 50)):
        world.clock.advance(20)
        answer = await world.service.heartbeat(task.id, task.token, 30, progress)
        assert (answer.lease_until, answer.stop) == (1_703_000_000 + until, False)
    assert [event["progress"] for event in world.payloads("task.progress")] == [0.25, 0.5]
    world.pass_time(10)
    assert world.payloads("task.lease_lost")[0]["reason"] == "timeout"
    assert world.payloads("mission.failed")[0]["reason"] == "task a failed: took longer than 50 s"


async def test_a_failed_task_is_tried_again_later_and_later_and_fails_at_last(world: World) -> None:
    made = await world.service.create(steps({"id": "a", "max_attempts": 3, "retry_seconds": 2}, {"id": "b"}))
    for wait in (2, 4):
        (task,) = await world.lease()
        await world.service.fail(task.id, task.token, "no route")
        world.pass_time(wait - 0.5)
        assert await world.lease() == []
        world.pass_time(0.5)
    (task,) = await world.lease()
    assert task.attempt == 3
    await world.service.fail(task.id, task.token, "no route")
    found = await world.service.get(made["id"])
    assert (found["status"], found["reason"]) == ("failed", "task a failed: no route")
    assert [task["status"] for task in found["tasks"]] == ["failed", "cancelled"]
    assert [event["will_retry"] for event in world.payloads("task.failed")] == [True, True, False]
    again = await world.service.retry(made["id"])
    assert [task["status"] for task in again["tasks"]] == ["ready", "pending"]
    assert await world.work() == ["a", "b"]
    assert (await world.service.get(made["id"]))["status"] == "completed"


async def test_many_failures_within_a_minute_are_reported_once(world: World) -> None:
    for _ in range(6):
        await world.service.create(steps({"id": "a", "max_attempts": 1}))
    for task in await world.lease(most=10):
        await world.service.fail(task.id, task.token, "no route")
    assert [report["kind"] for report in reports(world)] == ["ERROR_SPIKE"]


async def test_three_lost_leases_are_reported_and_a_task_that_always_loses_them_fails(world: World) -> None:
    made = await world.service.create(steps({"id": "a"}))
    for lost in range(1, 11):
        (task,) = await world.lease("ann", seconds=5)
        assert task.token == lost
        world.pass_time(5)
    assert [report["kind"] for report in reports(world)] == ["AGENT_FAILURE"] * 3
    assert reports(world)[0]["message"].startswith("agent ann lost 3 leases in a row")
    found = await world.service.get(made["id"])
    assert found["reason"] == "task a failed: its lease was lost 10 times, by ann at last"


async def test_a_paused_mission_begins_nothing(world: World) -> None:
    made = await world.service.create(diamond())
    (task,) = await world.lease()
    await world.service.pause(made["id"], "stocktaking", "eve")
    await world.service.complete(task.id, task.token)
    assert await world.lease("bob", 10) == []
    await world.service.resume(made["id"])
    assert await world.names("bob") == ["b", "c"]
    await world.service.cancel(made["id"])
    with pytest.raises(Conflict, match="only one that is paused"):
        await world.service.resume(made["id"])


async def test_a_cancelled_mission_ends_when_its_agents_have_acknowledged(world: World) -> None:
    made = await world.service.create(diamond())
    (task,) = await world.lease()
    stopping = await world.service.cancel(made["id"], "no longer wanted", "eve")
    assert [one["status"] for one in stopping["tasks"]] == ["running", "cancelled", "cancelled", "cancelled"]
    assert (stopping["status"], stopping["outcome"]) == ("stopping", "cancelled")
    assert (await world.service.heartbeat(task.id, task.token)).stop
    await world.service.give_back(task.id, task.token)
    ended = await world.service.get(made["id"])
    assert (ended["status"], ended["escalated"], ended["reason"]) == ("cancelled", [], "no longer wanted (by eve)")
    assert world.counts()["mission.cancelled"] == 1


async def test_who_does_not_acknowledge_loses_the_task_at_the_deadline_and_is_reported(world: World) -> None:
    made = await world.service.create(steps({"id": "a", "undo": {"type": "undo-a"}}))
    (task,) = await world.lease("ann", seconds=3000)
    await world.service.cancel(made["id"])
    world.pass_time(19)
    assert (await world.service.get(made["id"]))["status"] == "stopping"
    world.pass_time(1)
    with pytest.raises(LeaseLost):
        await world.service.complete(task.id, task.token)
    found = await world.service.get(made["id"])
    assert (found["status"], found["escalated"]) == ("compensating", ["a"])  # it may have had its effect
    assert [report["kind"] for report in reports(world)] == ["AGENT_FAILURE"]
    assert await world.work("bob") == ["undo:a"]
    assert (await world.service.get(made["id"]))["status"] == "cancelled"


async def test_what_was_done_is_undone_in_reverse_order(world: World) -> None:
    undo = {name: {"undo": {"type": "undo", "input": {"of": name}}} for name in "abc"}
    tasks = ({"id": "a", **undo["a"]}, {"id": "b", **undo["b"]}, {"id": "c"}, {"id": "d", "max_attempts": 1})
    made = await world.service.create(steps(*tasks))
    for _ in range(3):
        (task,) = await world.lease()
        world.clock.advance(1)
        await world.service.complete(task.id, task.token, {"receipt": task.name})
    (task,) = await world.lease()
    await world.service.fail(task.id, task.token, "no route")
    (first,) = await world.lease(most=10)
    receipt = {"task": "b", "input": {}, "result": {"receipt": "b"}}
    assert (first.type, first.input) == ("undo", {"of": "b", "undo": receipt})
    await world.service.complete(first.id, first.token)
    assert await world.work() == ["undo:a"]
    found = await world.service.get(made["id"])
    assert (found["status"], found["compensated"], found["completed_tasks"]) == ("failed", True, 3)
    assert world.payloads("mission.compensated")[0]["undone"] == ["b", "a"]


async def test_what_cannot_be_undone_is_said(world: World) -> None:
    undo = {"undo": {"type": "undo"}, "max_attempts": 1}
    made = await world.service.create(steps({"id": "a", **undo}, {"id": "b", **undo}, {"id": "c", "max_attempts": 1}))
    for name in ("a", "b"):
        (task,) = await world.lease()
        assert task.name == name
        await world.service.complete(task.id, task.token)
    for _ in range(2):  # c, and then what undoes b
        (task,) = await world.lease()
        await world.service.fail(task.id, task.token, "no route")
    found = await world.service.get(made["id"])
    assert (found["status"], found["compensated"]) == ("failed", False)
    assert found["reason"].endswith("b could not be undone: no route")
    assert reports(world)[0]["message"].endswith("b could not be undone: no route")
    with pytest.raises(Conflict, match="was undone"):
        await world.service.retry(made["id"])


async def test_a_person_answers(world: World) -> None:
    for yes, status in ((True, "completed"), (False, "failed")):
        made = await world.service.create(steps({"id": "a"}, {"id": "ok", "person": "Go on?"}, {"id": "b"}))
        assert await world.work() == ["a"]
        asked = world.payloads("mission.waiting_for_person")[-1]
        assert (asked["question"], asked["approval_id"]) == ("Go on?", f"{made['id']}.ok")
        await world.service.answer(asked["approval_id"], yes, "eve", "seen it")
        await world.work()
        found = await world.service.get(made["id"])
        assert found["status"] == status
        with pytest.raises(Conflict, match="it waits for no answer"):
            await world.service.answer(asked["approval_id"], True, "eve")
    assert found["reason"] == "task ok failed: eve said no: seen it"
    late = await world.service.create(steps({"id": "ok", "person": "Go on?", "timeout_seconds": 60}))
    world.pass_time(60)
    assert (await world.service.get(late["id"]))["reason"] == "task ok failed: nobody answered in time"


async def test_an_overdue_mission_is_announced_once_and_cancelled_where_it_says_so(world: World) -> None:
    deadline = world.clock() + 60
    for cancel in (False, True):
        await world.service.create(diamond(str(cancel), deadline=deadline, cancel_when_overdue=cancel))
    world.pass_time(60)
    world.pass_time(60)
    assert sorted(event["name"] for event in world.payloads("mission.overdue")) == ["False", "True"]
    assert {one["name"]: one["status"] for one in await world.service.list()} == {
        "False": "running",
        "True": "cancelled",
    }


async def test_urgent_ones_come_first_and_tasks_nobody_can_do_hold_up_no_other(world: World) -> None:
    hard = [{"id": f"t{number}", "type": "weld", "capabilities": ["weld", "lift"]} for number in range(30)]
    await world.service.create(NewMission.model_validate({"name": "hard", "tasks": hard, "priority": "urgent"}))
    await world.service.create(diamond("low", priority="low"))
    await world.service.create(diamond("high", priority="high"))
    first, second = await world.lease("ann", 5)
    missions = {mission["id"]: mission["name"] for mission in await world.service.list()}
    assert [missions[task.mission_id] for task in (first, second)] == ["high", "low"]
    assert await world.lease("bob", 5, capabilities=frozenset({"weld"})) == []
    assert len(await world.lease("cyd", 50, capabilities=frozenset({"weld", "lift", "paint"}))) == 30
    assert await world.lease("dan", 5, types=frozenset({"paint"})) == []


async def test_agents_go_offline_when_they_are_silent_and_their_tasks_go_on_when_they_leave(world: World) -> None:
    await world.service.create(diamond())
    assert await world.names("ann") == ["a"]
    assert await world.service.unregister("ann") == 1
    assert await world.names("bob") == ["a"]
    world.pass_time(61)
    assert [(one["agent_id"], one["reason"]) for one in world.payloads("agent.offline")] == [
        ("ann", "unregistered"),
        ("bob", "silent"),
    ]
    assert {one["id"]: one["online"] for one in await world.service.agents()} == {"ann": False, "bob": False}


async def test_missions_that_ended_long_ago_are_deleted(world: World) -> None:
    await world.service.create(diamond("old"))
    await world.work()
    at = world.clock()
    world.clock.advance(100)
    young = await world.service.create(diamond("young"))
    await world.work()
    await world.service.create(diamond("open"))
    with world.database.begin() as db:
        assert prune(db, at + 50) == 1
        assert prune(db, at + 50) == 0
    assert {mission["name"] for mission in await world.service.list()} == {"open", "young"}
    assert len((await world.service.get(young["id"]))["tasks"]) == 4
    with world.database.connect() as db:
        assert db.execute(sa.select(sa.func.count()).select_from(TASKS)).scalar_one() == 8


async def test_what_is_answered_is_on_the_disk(world: World) -> None:
    """SQLite syncs at each of these commits, and as before at others (2 is FULL, 1 NORMAL)."""
    if world.database.dialect.name != "sqlite":
        return
    with durable(world.database) as db:
        assert db.exec_driver_sql("PRAGMA synchronous").scalar_one() == 2
    with world.database.connect() as db:
        assert db.exec_driver_sql("PRAGMA synchronous").scalar_one() == 1


async def test_many_calls_at_once_are_one_transaction(world: World) -> None:
    tasks = [{"id": f"t{number}", "type": "step"} for number in range(100)]
    await world.service.create(NewMission.model_validate({"name": "wide", "tasks": tasks}))
    found = await world.lease(most=100)
    before = world.service.committer.groups
    await asyncio.gather(*(world.service.complete(task.id, task.token) for task in found))
    assert world.service.committer.groups == before + 1
    assert world.counts()["task.completed"] == 100


async def test_in_one_group_each_call_is_answered_for_itself(world: World) -> None:
    results = [None, True, 7, 1.5, "text", "12", "\u00e9\u2028", [1, {"a": None}], {"deep": {"er": []}}]
    tasks = [{"id": f"t{place}", "type": "step"} for place in range(len(results))]
    after = {"id": "z", "type": "step", "depends_on": [one["id"] for one in tasks], "person": "Go on?"}
    made = await world.service.create(NewMission.model_validate({"name": "all", "tasks": [*tasks, after]}))
    found = sorted(await world.lease(most=50), key=lambda one: one.name)
    (other,) = (await world.service.create(steps({"id": "a", "timeout_seconds": 5})))["tasks"]
    (short,) = await world.lease("bob", seconds=30)
    assert (short.id, short.lease_until) == (other["id"], world.clock() + 5), "no lease outlives the time of a try"
    before = world.service.committer.groups
    answers = await asyncio.gather(
        *(world.service.complete(task.id, task.token, result) for task, result in zip(found, results, strict=True)),
        world.service.complete(found[0].id, 1 << 70, "of another lease"),
        world.service.complete(found[0].id, found[0].token, "sent again"),
        world.service.complete("mis_nothing.a", 1),
        world.service.complete("mis_nul\0.a", 1),
        world.service.complete(f"{made['id']}.z", 1),
        return_exceptions=True,
    )
    assert world.service.committer.groups == before + 1
    assert answers[: len(results)] == [None] * len(results)
    wrong, again, *nothing, waits = answers[len(results) :]
    assert isinstance(wrong, LeaseLost)
    assert again is None
    assert [type(one) for one in nothing] == [NotFound, NotFound]
    assert isinstance(waits, LeaseLost)
    stored = {task["name"]: task for task in (await world.service.get(made["id"]))["tasks"]}
    assert [stored[f"t{place}"]["result"] for place in range(len(results))] == results
    assert stored["z"]["status"] == "waiting"
    assert world.counts()["task.completed"] == len(results)
    assert world.counts()["mission.waiting_for_person"] == 1


async def test_a_look_at_the_tasks_that_takes_long_still_gives_them(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a busy machine every look takes longer than what it found is handed out for."""
    monkeypatch.setattr(offers, "FRESH", 0.0)
    await world.service.create(diamond())
    assert await world.work() == ["a", "b", "c", "d"]
