"""Driving robots: leases, bounds, rules, the deadman, and the emergency stop above everything."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from brain import Condition, Rule
from brain.charter import Effect
from brain.errors import BrainError, Conflict, InvalidInput, NotFound
from brain.hardware.models import Movement
from brain.kit.leases import LeaseLost
from support.postgres_server import PostgresServer
from support.robots import FORWARD, fleet, robots
from support.waiting import until

ALWAYS = {"metric": "memory_percent", "limit": 0.01}
"""A limit that every host is beyond."""


async def test_a_driver_with_the_lease_moves_a_robot_and_every_step_is_an_event(tmp_path: Path) -> None:
    async with fleet(tmp_path, robots=robots("rover", deadman_seconds=1.5)) as here:  # not before it is seen to move
        token = (await here.service.lease("rover", "driver-1")).token
        made = await here.service.command("rover", "driver-1", token, FORWARD)
        assert (made.state, made.seq, here.mock().movement) == ("ACKED", 1, FORWARD)
        await until(lambda: bool(here.stops()))  # nothing more comes

        async def said() -> bool:
            return "deadman_stopped" in await here.types()

        await until(said)
        await here.service.release("rover", "driver-1", token)
        assert here.mock().movement == Movement()
        names = ["lease_changed", "command_sent", "command_acked", "deadman_stopped", "lease_changed"]
        assert await here.types() == names
        sent = next(event for event in await here.events("hardware.command_sent"))
        assert sent.payload == {
            "robot_id": "rover",
            "command_id": made.id,
            "agent_id": "driver-1",
            "command_type": "move",
            "command": {"linear_x": 0.5, "linear_y": 0.0, "angular_z": 0.0},
            "lease_id": f"rover/{token}",
            "seq": 1,
            "rule_id": "drivers",
            "sent_at": sent.payload["sent_at"],
        }
        assert await here.service.list_commands("rover") == [made]


async def test_one_agent_drives_at_a_time_and_who_tries_without_the_lease_is_a_threat(tmp_path: Path) -> None:
    async with fleet(tmp_path) as here:
        token = await here.drive()
        with pytest.raises(Conflict, match="driver-1 has the lease"):
            await here.service.lease("rover", "driver-2")
        for _ in range(3):
            with pytest.raises(LeaseLost, match="the lease is that of driver-1"):
                await here.service.command("rover", "driver-2", token, FORWARD)
        new = (await here.service.lease("rover", "driver-1")).token
        assert new > token
        with pytest.raises(LeaseLost, match="is not the present one"):
            await here.service.command("rover", "driver-1", token, FORWARD)
        assert here.moved() == ["driver-1"]
        refused = [event.payload for event in await here.events("hardware.command_refused")]
        assert [(one["agent_id"], one["code"], one["count"]) for one in refused] == [
            ("driver-2", "no_lease", 1),  # two more alike are counted only
            ("driver-1", "no_lease", 1),
        ]
        await until(lambda: _sync_threats(here) == ["driver-1", "driver-2"])
        assert here.service.parts.refusals.counts["no_lease"] == 4


def _sync_threats(here: object) -> list[str]:
    import json

    store = here.context.store  # type: ignore[attr-defined]
    found = [json.loads(document.data) for document in store.scan("threats")]
    return sorted(one["source"] for one in found if one["type"] == "hardware_hijack")


async def test_all_of_it_works_on_postgresql(tmp_path: Path, postgres: PostgresServer) -> None:
    async with fleet(tmp_path, database=postgres.url, interval=0.2, limits=[ALWAYS]) as here:
        token = await here.drive()
        with pytest.raises(LeaseLost):
            await here.service.command("rover", "driver-2", token, FORWARD)
        await here.service.stop(None, "ann", "smoke")
        assert await here.service.clear(None, "ann", "steam") == ["rover"]
        await asyncio.to_thread(here.engine.contain, "driver-1", ttl=600, reason="it runs over feet")
        names = {"limit_crossed", "command_acked", "command_refused", "emergency_stop", "emergency_cleared"}

        async def ended() -> bool:
            found = [event.payload.get("reason") for event in await here.events("hardware.lease_changed")]
            return "contained" in found and names <= {*await here.types()}

        await until(ended)
        assert [result.state for result in await here.service.list_commands("rover")] == ["REFUSED", "ACKED"]


@pytest.mark.parametrize(
    ("movement", "named"),
    [
        (Movement(linear_x=1.01), "linear_x: 1.01 is beyond the 1"),
        (Movement(linear_y=-2.0), "linear_y"),
        (Movement(angular_z=float("nan")), "angular_z"),
        (Movement(linear_x=float("inf")), "linear_x"),
    ],
)
async def test_a_movement_beyond_the_bounds_is_never_sent(tmp_path: Path, movement: Movement, named: str) -> None:
    async with fleet(tmp_path) as here:
        token = await here.drive()
        with pytest.raises(InvalidInput, match=named):
            await here.service.command("rover", "driver-1", token, movement)
        assert here.moved() == ["driver-1"]


async def test_what_the_rules_deny_is_not_sent_and_unknown_robots_are_named(tmp_path: Path) -> None:
    fast = Rule(
        id="slow",
        name="Nobody drives fast",
        effect=Effect.DENY,
        priority=10,
        conditions=[Condition("action", "==", "hardware.move"), Condition("params.speed", ">", 0.6)],
    )
    async with fleet(tmp_path) as here:
        here.engine.add_rule(fast)
        token = await here.drive()
        with pytest.raises(BrainError, match="Nobody drives fast") as denied:
            await here.service.command("rover", "driver-1", token, Movement(linear_x=0.5, linear_y=0.5))
        assert denied.value.status == 403
        with pytest.raises(BrainError) as stranger:
            await here.service.lease("rover", "stranger")
        assert stranger.value.status == 403
        with pytest.raises(NotFound, match="the settings have rover"):
            await here.service.lease("lander", "driver-1")
        assert here.moved() == ["driver-1"]


async def test_after_a_stop_nothing_moves_until_it_is_cleared_by_who_may(tmp_path: Path) -> None:
    async with fleet(tmp_path) as here:
        token = await here.drive()
        report = await here.service.stop(None, "ann", "smoke")
        assert (report.recorded, report.robots[0].reached, here.mock().movement) == (True, True, Movement())
        for call in (
            here.service.command("rover", "driver-1", token, FORWARD),
            here.service.lease("rover", "driver-1"),
        ):
            with pytest.raises(Conflict, match="an emergency stop holds"):
                await call
        with pytest.raises(BrainError) as denied:
            await here.service.clear(None, "driver-1", "I want to")
        assert denied.value.status == 403
        assert await here.service.clear(None, "ann", "it was steam") == ["rover"]
        await here.drive()
        assert here.moved() == ["driver-1", "driver-1"]
        names = await here.types()
        assert names.count("emergency_stop") == names.count("emergency_cleared") == 1


async def test_what_waits_is_dropped_by_a_stop_and_what_is_being_sent_is_overtaken(tmp_path: Path) -> None:
    slow = robots("rover", options={"seconds": 30}, timeout=20, deadman_seconds=60)
    async with fleet(tmp_path, robots=slow) as here:
        token = (await here.service.lease("rover", "driver-1")).token
        many = [asyncio.create_task(here.service.command("rover", "driver-1", token, FORWARD)) for _ in range(20)]
        await until(lambda: len(here.moved()) == 1 and here.service.robots["rover"].waiting == 19)
        report = await here.service.stop("rover", "ann", "a person")
        results = await asyncio.gather(*many, return_exceptions=True)
        assert report.robots[0].dropped == 19
        assert sum(isinstance(result, Conflict) for result in results) == 19
        (overtaken,) = [result for result in results if not isinstance(result, BaseException)]
        assert (overtaken.state, overtaken.reason) == ("TIMEOUT", "an emergency stop overtook it")
        assert len(here.moved()) == 1
        assert here.mock().received[-1].reason is not None  # the last word is a stop
        (event,) = await here.events("hardware.emergency_stop")
        assert event.payload["dropped"] == 19


async def test_a_contained_driver_loses_its_lease_and_no_queued_command_of_it_passes(tmp_path: Path) -> None:
    slow = robots("rover", options={"seconds": 0.02}, command_ttl=30)
    async with fleet(tmp_path, robots=slow) as here:
        token = (await here.service.lease("rover", "driver-1")).token
        many = [asyncio.create_task(here.service.command("rover", "driver-1", token, FORWARD)) for _ in range(60)]
        await until(lambda: len(here.moved()) >= 5)
        await asyncio.to_thread(here.engine.contain, "driver-1", ttl=600, reason="it runs over feet")
        passed = len(here.moved())
        results = await asyncio.gather(*many, return_exceptions=True)
        assert len(here.moved()) == passed
        assert sum(isinstance(result, BrainError) for result in results) == 60 - passed
        await until(lambda: here.mock().received[-1].reason is not None)

        async def ended() -> bool:
            return (await here.service.list_robots())[0].holder is None

        await until(ended)
        assert (await here.events("hardware.lease_changed"))[-1].payload["reason"] == "contained"
        assert len(here.moved()) == passed
