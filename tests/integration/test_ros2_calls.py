"""Services and actions of robots through the gate: what is refused reaches nobody, what is asked ends in one event."""

from __future__ import annotations

import asyncio
import struct
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
import zenoh

from brain.errors import Conflict, Forbidden, InvalidInput, NotFound, Unavailable
from brain.kit.protocols import MotionLimit
from brain.ros2_bridge import rosbridge
from brain.ros2_bridge.bridge import Bridge
from brain.ros2_bridge.interfaces import learn_types
from brain.ros2_bridge.messages import from_cdr, to_cdr
from brain.ros2_bridge.settings import LinkSettings
from brain.testing import RecordingStream
from support.alerting import memory
from support.ros2 import Here, Rules, client, linked, zenoh_router
from support.rosbridge import SILENT, RosbridgeServer
from support.waiting import until

LIGHTS, DOCK = "/robot/lights/set", "/robot/dock"
SRV = "bool data\n---\nbool success\nstring message\n"
ACTION = "string station\nfloat64 speed\n---\nuint16 error_code\nstring error_msg\n---\nfloat64 left\n"
ASKED = {
    "services": {
        LIGHTS: {
            "robot": "rover",
            "type": "std_srvs/srv/SetBool",
            "bounds": {"data": 1},
            "most_hz": 1000,
            "moves": False,
            "timeout_seconds": 0.3,
            "definition": SRV,
        }
    },
    "actions": {
        DOCK: {
            "robot": "rover",
            "type": "docking/action/Dock",
            "bounds": {"speed": 0.3},
            "most_hz": 1000,
            "definition": ACTION,
        }
    },
}
GOAL = {"station": "north", "speed": 0.2}


class Limiter:
    """An interlock that lets a robot go so fast."""

    most: float | None = None

    async def limit(self, robot: str) -> MotionLimit | None:
        return None if self.most is None else MotionLimit(self.most, f"{robot} is lost")


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rosbridge, "PATIENCE", 30.0)  # a busy machine is no wire that was cut


def said(here: Here | RecordingStream, kind: str) -> list[dict[str, Any]]:
    stream = here.stream if isinstance(here, Here) else here
    return [event.payload for event in stream.get_events_by_type(f"ros2.{kind}")]


def statuses(here: Here | RecordingStream) -> list[str]:
    return [payload["status"] for payload in said(here, "goal_changed")]


# services


async def test_a_call_is_asked_of_the_rules_and_its_answer_is_one_event() -> None:
    server = RosbridgeServer()
    server.services[LIGHTS] = {"success": True, "message": "on"}
    await server.start()
    async with linked(server=server, more=ASKED) as here:
        found = await here.bridge.service("robot/lights/set").call("driver-1", {"data": True})
        assert (found.rule_id, found.answer) == ("drivers", {"success": True, "message": "on"})
        params = {"service": LIGHTS, "type": "std_srvs/srv/SetBool", "message": {"data": True}}
        assert here.rules.asked == [("driver-1", "ros2.call", "rover", params)]
        assert [one for one in server.called if one[0] == LIGHTS] == [(LIGHTS, {"data": True})]
        (sent,), (answered,) = said(here, "command_sent"), said(here, "service_answered")
        assert (sent["kind"], sent["topic"], sent["rule_id"]) == ("service", LIGHTS, "drivers")
        assert (answered["service"], answered["outcome"], answered["agent_id"]) == (LIGHTS, "answered", "driver-1")
        assert answered["answer"] == '{"success":true,"message":"on"}'
        with pytest.raises(NotFound, match="no service that agents may ask"):
            here.bridge.service("/rosapi/set_param")
    await server.stop()


async def test_what_is_refused_reaches_no_service_and_is_one_event() -> None:
    server = RosbridgeServer()
    server.services[LIGHTS] = {"success": True, "message": ""}
    await server.start()
    async with linked(server=server, more=ASKED) as here:
        gate = here.bridge.service(LIGHTS)
        here.rules.denied = {"guest"}
        with pytest.raises(InvalidInput, match="data is 2, its bound is 1"):
            await gate.call("driver-1", {"data": 2})
        with pytest.raises(InvalidInput, match="has no field 'dat'"):
            await gate.call("driver-1", {"dat": 0})
        with pytest.raises(Forbidden):
            await gate.call("guest", {"data": True})
        here.rules.inside = {"rover": None}
        with pytest.raises(Unavailable, match="rover is contained"):
            await gate.call("driver-1", {"data": True})
        here.rules.inside = {}
        await here.server.stop()
        await until(lambda: not here.bridge.up)
        with pytest.raises(Unavailable, match="the link is down"):
            await gate.call("driver-1", {"data": True})
        codes = [payload["code"] for payload in said(here, "command_refused")]
        assert codes == ["bounds", "message", "denied", "contained", "link_down"]
        assert not [one for one in server.called if one[0] == LIGHTS]
        assert not said(here, "service_answered")


async def test_a_service_that_is_not_there_fails_and_one_that_is_silent_times_out() -> None:
    server = RosbridgeServer()
    await server.start()
    async with linked(server=server, more=ASKED) as here:
        gate = here.bridge.service(LIGHTS)
        with pytest.raises(Conflict, match="no such service"):
            await gate.call("driver-1", {"data": True})
        server.services[LIGHTS] = SILENT
        with pytest.raises(Unavailable, match=r"no answer within 0\.3 s; nobody knows whether it was done"):
            await gate.call("driver-1", {"data": True})
        asked = asyncio.create_task(gate.call("driver-1", {"data": False}))
        await until(lambda: len([one for one in server.called if one[0] == LIGHTS]) == 3)
        await server.stop()
        with pytest.raises(Unavailable, match="went down"):
            await asked
        outcomes = [payload["outcome"] for payload in said(here, "service_answered")]
        assert outcomes == ["failed", "timeout", "link_down"]
        assert gate.counts == {"sent": 3, "failed": 1, "timeout": 1, "link_down": 1}


# actions


async def test_a_goal_is_followed_to_its_end() -> None:
    server = RosbridgeServer()
    await server.start()
    async with linked(server=server, more=ASKED) as here:
        gate = here.bridge.action(DOCK)
        sent = await gate.send("driver-1", GOAL)
        assert (sent.status, sent.link, sent.seconds) == ("sent", "hall", None)
        await until(lambda: sent.goal_id in server.goals)
        asked = server.goals[sent.goal_id]
        assert (asked["action"], asked["action_type"], asked["args"]) == (DOCK, "docking/action/Dock", GOAL)
        await server.finish(sent.goal_id, 4, {"error_code": 0, "error_msg": ""})
        await until(lambda: statuses(here) == ["sent", "succeeded"])
        (over,) = gate.goals()
        assert (over.goal_id, over.status, over.answer) == (
            sent.goal_id,
            "succeeded",
            {"error_code": 0, "error_msg": ""},
        )
        assert here.rules.asked[-1][1:3] == ("ros2.send_goal", "rover")
        assert (await gate.cancel(sent.goal_id, "late")).status == "succeeded"
        failed = await gate.send("driver-1", GOAL)
        await until(lambda: failed.goal_id in server.goals)
        await server.finish(failed.goal_id, 0, "no action server", result=False)
        await until(lambda: statuses(here)[2:] == ["sent", "failed"])
        server.takes_goals = False
        await gate.send("driver-1", GOAL)
        await until(lambda: statuses(here)[4:] == ["sent", "failed"])
        assert "Unknown operation" in said(here, "goal_changed")[-1]["reason"]


async def test_a_goal_is_cancelled_by_containment_an_interlock_and_a_person() -> None:
    server, limiter = RosbridgeServer(), Limiter()
    await server.start()
    async with linked(server=server, more=ASKED, interlocks=[limiter]) as here:
        gate = here.bridge.action(DOCK)
        goals = [(await gate.send("driver-1", GOAL)).goal_id]
        await until(lambda: goals[0] in server.goals)
        here.rules.inside = {"rover": None}
        await until(lambda: server.cancelled[:1] == goals)
        with pytest.raises(Unavailable, match="rover is contained"):
            await gate.send("driver-1", GOAL)
        await server.finish(goals[0], 5, {"error_code": 0, "error_msg": ""})
        await until(lambda: statuses(here) == ["sent", "canceling", "canceled"])
        here.rules.inside, server.cancelled = {}, []
        goals.append((await gate.send("driver-1", GOAL)).goal_id)
        limiter.most = 0.1
        await until(lambda: server.cancelled[:1] == goals[1:])
        with pytest.raises(Conflict, match="rover is lost: nobody knows how fast it would go"):
            await gate.send("driver-1", GOAL)
        server.services[LIGHTS] = {"success": True, "message": ""}
        await here.bridge.service(LIGHTS).call("driver-1", {"data": True})  # moves nothing
        await until(lambda: server.cancelled.count(goals[1]) == 2)  # again, as it does not end
        await server.finish(goals[1], 5, {"error_code": 0, "error_msg": ""})
        await until(lambda: statuses(here)[-1] == "canceled")
        limiter.most = None
        goals.append((await gate.send("driver-1", GOAL)).goal_id)
        assert (await gate.cancel(goals[2], "cancelled by ann")).status == "canceling"
        reasons = [one["reason"] for one in said(here, "goal_changed") if one["status"] == "canceling"]
        assert reasons == ["contained", "interlock: rover is lost", "cancelled by ann"]
        with pytest.raises(NotFound):
            await gate.cancel("f" * 32, "ann")


async def test_a_goal_whose_link_goes_down_is_cancelled_first_when_it_is_up_again_and_a_slow_one_times_out() -> None:
    server = RosbridgeServer()
    await server.start()
    slow = {DOCK: ASKED["actions"][DOCK] | {"timeout_seconds": 1.5}}
    async with linked(server=server, more=ASKED | {"actions": slow}) as here:
        gate = here.bridge.action(DOCK)
        lost = await gate.send("driver-1", GOAL)
        await until(lambda: lost.goal_id in server.goals)
        await server.stop()
        await until(lambda: statuses(here) == ["sent", "lost"])
        with pytest.raises(Unavailable):
            await gate.cancel(lost.goal_id, "ann")
        await server.start()
        await until(lambda: here.bridge.up)
        assert server.cancelled == [lost.goal_id]
        assert statuses(here) == ["sent", "lost", "canceling", "unknown"]
        (late,) = [one for one in [await gate.send("driver-1", GOAL)] if one.goal_id != lost.goal_id]
        await until(lambda: statuses(here)[4:] == ["sent", "canceling", "timeout"])
        await until(lambda: server.cancelled == [lost.goal_id, late.goal_id])


async def test_so_many_goals_may_go_on_and_a_large_result_is_not_kept() -> None:
    server = RosbridgeServer()
    await server.start()
    async with linked(server=server, more=ASKED) as here:
        gate = here.bridge.action(DOCK)
        sent = [await gate.send("driver-1", GOAL) for _ in range(100)]
        with pytest.raises(Unavailable, match="100 goals go on"):
            await gate.send("driver-1", GOAL)
        await until(lambda: sent[0].goal_id in server.goals)
        await server.finish(sent[0].goal_id, 4, {"error_msg": "x" * 70_000})
        await until(lambda: statuses(here)[-1] == "succeeded")
        (over,) = [one for one in gate.goals() if one.seconds is not None]
        assert (over.answer, over.reason) == ({}, "its result of 70,016 bytes is not kept")
    assert sorted(server.cancelled) == sorted(one.goal_id for one in sent[1:])  # at the end of the bridge


# Zenoh


class ZenohRobot:
    """Offers a service and an action in the form of rmw_zenoh, and reads the bytes itself."""

    def __init__(self, session: Any) -> None:
        self.came: list[tuple[str, bytes, bytes]] = []
        self.accepts, self.answers = True, True
        self.done = threading.Event()
        self.offers: list[Any] = []
        self.kept: list[Any] = []
        for name, type, answer in (
            (LIGHTS, "std_srvs::srv::dds_::SetBool_", self._lights),
            (f"{DOCK}/_action/cancel_goal", "action_msgs::srv::dds_::CancelGoal_", self._cancel),
            (f"{DOCK}/_action/get_result", "docking::action::dds_::Dock_GetResult_", self._result),
            (f"{DOCK}/_action/send_goal", "docking::action::dds_::Dock_SendGoal_", self._send_goal),
        ):
            key = f"0{name}/{type}/RIHS01_0123"
            self.offers.append(session.declare_queryable(key, self._asked(key, answer), complete=True))

    def _asked(self, key: str, answer: Any) -> Any:
        def asked(query: Any) -> None:
            name = key.removeprefix("0").rsplit("/", 2)[0]
            self.came.append((name, query.payload.to_bytes(), query.attachment.to_bytes()))
            if not self.answers:
                self.kept.append(query)  # one that is let go of is answered with nothing
            else:
                query.reply(key, answer(query.payload.to_bytes()))

        return asked

    def _lights(self, data: bytes) -> bytes:
        return to_cdr("std_srvs/srv/SetBool_Response", {"success": data[4] == 1, "message": "lit"})

    def _send_goal(self, data: bytes) -> bytes:
        return to_cdr("docking/action/Dock_SendGoal_Response", {"accepted": self.accepts})

    def _cancel(self, data: bytes) -> bytes:
        self.done.set()
        return to_cdr("action_msgs/srv/CancelGoal_Response", {"return_code": 0})

    def _result(self, data: bytes) -> bytes:
        assert self.done.wait(10)
        return to_cdr("docking/action/Dock_GetResult_Response", {"status": 5, "result": {"error_msg": "given up"}})


@asynccontextmanager
async def zenoh_robot() -> AsyncIterator[tuple[Bridge, RecordingStream, ZenohRobot]]:
    async with zenoh_router() as (endpoint, _):
        given = {"driver": "zenoh", "endpoint": endpoint, **ASKED}
        stream = RecordingStream()
        bridge = Bridge("hall", LinkSettings.model_validate(given), Rules(), stream, memory())
        session = await asyncio.to_thread(zenoh.open, client(endpoint))
        robot = await asyncio.to_thread(ZenohRobot, session)
        running = asyncio.create_task(bridge.link.run())
        try:
            await until(lambda: bridge.up)
            await until(partial(is_offered, bridge))
            robot.came.clear()
            yield bridge, stream, robot
        finally:
            robot.done.set()
            await bridge.close()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await asyncio.to_thread(session.close)


async def is_offered(bridge: Bridge) -> bool:
    """Whether the last of what a session offers is known to others, and so all of it."""
    return (await bridge.link.call(f"{DOCK}/_action/send_goal", "docking/action/Dock_SendGoal", {}, 5.0)).ok


async def test_over_zenoh_a_service_is_asked_as_rmw_zenoh_does_it() -> None:
    async with zenoh_robot() as (bridge, stream, robot):
        found = await bridge.service(LIGHTS).call("driver-1", {"data": True})
        assert found.answer == {"success": True, "message": "lit"}
        ((name, data, attachment),) = robot.came
        assert (name, data[:5]) == (LIGHTS, b"\x00\x01\x00\x00\x01")  # CDR, little endian; true
        number, at, length = struct.unpack("<qqB", attachment[:17])
        assert (number > 0, at > 1.7e18, length, len(attachment)) == (True, True, 16, 33)
        robot.answers = False
        with pytest.raises(Unavailable, match="no answer within"):
            await bridge.service(LIGHTS).call("driver-1", {"data": True})
        robot.kept.clear()
        for queryable in robot.offers:
            await asyncio.to_thread(queryable.undeclare)
        with pytest.raises(Conflict, match="no node offers it"):
            await bridge.service(LIGHTS).call("driver-1", {"data": True})
        outcomes = [payload["outcome"] for payload in said(stream, "service_answered")]
        assert outcomes == ["answered", "timeout", "failed"]


async def test_over_zenoh_a_goal_is_accepted_cancelled_and_its_result_read() -> None:
    async with zenoh_robot() as (bridge, stream, robot):
        gate = bridge.action(DOCK)
        sent = await gate.send("driver-1", GOAL)
        await until(lambda: statuses(stream) == ["sent", "accepted"])
        name, data, _ = robot.came[0]
        assert (name, data[4:20].hex()) == (f"{DOCK}/_action/send_goal", sent.goal_id)
        assert b"north\x00" in data
        assert data.endswith(struct.pack("<d", 0.2))
        await gate.cancel(sent.goal_id, "cancelled by ann")
        await until(lambda: statuses(stream) == ["sent", "accepted", "canceling", "canceled"])
        (over,) = gate.goals()
        assert over.answer == {"error_code": 0, "error_msg": "given up"}
        (cancelled,) = [one for name, one, _ in robot.came if name.endswith("cancel_goal")]
        assert cancelled[4:20].hex() == sent.goal_id
        robot.accepts = False
        await gate.send("driver-1", GOAL)
        await until(lambda: statuses(stream)[4:] == ["sent", "rejected"])


# definitions


def test_a_definition_that_is_none_is_refused_with_the_remedy() -> None:
    with pytest.raises(ValueError, match="Zenoh needs its definition"):
        LinkSettings.model_validate(
            {"driver": "zenoh", "endpoint": "tcp/a:1", "actions": {"/a": {"robot": "r", "type": "t"}}}
        )
    for number, (type, text, words) in enumerate(
        [
            ("std_srvs/SetBool", SRV, "PACKAGE/srv/NAME"),
            ("a/srv/Wrong{}", "bool data", "has 1 parts; a .srv file has 2"),
            ("a/srv/Wrong{}", "bool !\n---\n", "cannot be read"),
            ("a/srv/Wrong{}", "other_msgs/Thing[] x\n---\n", "has x of type other_msgs/msg/Thing"),
        ]
    ):
        one = {"robot": "r", "type": type.format(number), "definition": text}
        settings = LinkSettings.model_validate({"driver": "rosbridge", "endpoint": "ws://a:1", "services": {"/a": one}})
        with pytest.raises(InvalidInput, match=words):
            learn_types(settings)


def test_a_message_without_fields_is_one_byte_as_in_ros() -> None:
    one = {"robot": "r", "type": "std_srvs/srv/Trigger", "definition": "---\nbool success\nstring message"}
    learn_types(LinkSettings.model_validate({"driver": "rosbridge", "endpoint": "ws://a:1", "services": {"/a": one}}))
    assert to_cdr("std_srvs/srv/Trigger_Request", {}).hex() == "0001000000"
    assert from_cdr("std_srvs/srv/Trigger_Response", bytes.fromhex("0001000001000000030000006f6b00"))["message"] == "ok"
