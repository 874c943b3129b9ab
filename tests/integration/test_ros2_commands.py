"""Commands, calls and goals at the command line and over HTTP: through the gate of a server that runs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from typer.testing import CliRunner, Result

from brain.errors import BrainError
from brain.ros2_bridge import rosbridge
from brain.ros2_bridge.commands import app
from brain.ros2_bridge.settings import Ros2Settings
from brain.settings import Settings
from support.ports import free_port
from support.rosbridge import RosbridgeServer
from support.server import ServeThread
from support.waiting import until

LIGHTS, DOCK, CMD = "/robot/lights/set", "/robot/dock", "/robot/cmd_vel"
RULE = {
    "id": "drivers",
    "name": "Drivers ask the rover",
    "effect": "ALLOW",
    "conditions": [
        {"field": "agent_id", "operator": "==", "value": "driver-1"},
        {"field": "action", "operator": "in", "value": ["ros2.publish", "ros2.call", "ros2.send_goal"]},
    ],
}


pytestmark = pytest.mark.asyncio(loop_scope="module")  # one server for all of them


class Served:
    """A server with a link to a rosbridge of ours."""

    def __init__(self, url: str, robot: RosbridgeServer) -> None:
        self.url, self.robot = url, robot

    async def say(self, *arguments: str) -> Result:
        """What the command line says to `brain ros2`."""
        return await asyncio.to_thread(CliRunner().invoke, app, [*arguments, "--url", self.url])

    async def post(self, path: str, body: dict[str, Any]) -> httpx.Response:
        async with httpx.AsyncClient(base_url=self.url, trust_env=False, timeout=30) as client:
            return await client.post(path, json=body)

    async def links(self) -> Any:
        async with httpx.AsyncClient(base_url=self.url, trust_env=False, timeout=30) as client:
            return (await client.get("/api/ros2/links")).json()

    async def is_up(self) -> bool:
        return all(link["up"] for link in await self.links())


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[Served]:
    robot = RosbridgeServer()
    await robot.start()
    asked = {"robot": "rover", "most_hz": 1000}
    link = {
        "driver": "rosbridge",
        "endpoint": robot.url,
        "commands": {CMD: asked | {"deadman_seconds": 30.0}},
        "services": {LIGHTS: asked | {"type": "std_srvs/srv/SetBool", "bounds": {"data": 1}}},
        "actions": {DOCK: asked | {"type": "docking/action/Dock"}},
    }
    settings = Settings(
        stream=f"sqlite:///{folder}/brain.db",
        port=free_port(),
        consumers=(),
        ros2_bridge=Ros2Settings.model_validate({"links": {"hall": link}}),
    )
    server = await asyncio.to_thread(ServeThread(settings).start)
    here = Served(f"http://127.0.0.1:{settings.port}", robot)
    try:
        await until(here.is_up)
        (await here.post("/api/policy/rules", RULE)).raise_for_status()
        yield here
    finally:
        await asyncio.to_thread(server.stop)
        await robot.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rosbridge, "PATIENCE", 30.0)  # a busy machine is no wire that was cut
        async with served(tmp_path_factory.mktemp("served")) as found:
            yield found


async def published(here: Served, seconds: int) -> list[float]:
    """Publish a speed for so long; all the speeds that the robot was sent so far."""
    done = await here.say("publish", CMD, '{"linear": {"x": 0.3}}', "--agent", "driver-1", "--seconds", str(seconds))
    assert done.output.endswith("sent, let through by rule drivers\n"), done.output
    return [message["linear"]["x"] for message in here.robot.on(CMD)]


async def test_the_command_line_publishes_calls_and_sends_goals_through_the_gate(here: Served) -> None:
    speeds = await published(here, seconds=1)
    assert speeds[0] == 0.0
    assert {speed for speed in speeds if speed} == {0.3}  # and a zero one, should the link come up again
    assert speeds.count(0.3) <= 10
    assert speeds.count(0.3) >= 2 or (await published(here, seconds=5)).count(0.3) >= 3, "busy or not"
    here.robot.services[LIGHTS] = {"success": True, "message": "lit"}
    done = await here.say("call", LIGHTS, '{"data": true}', "--agent", "driver-1")
    assert done.output.startswith('{"success":true,"message":"lit"} after '), done.output
    done = await here.say("goal", DOCK, '{"station": "north"}', "--agent", "driver-1", "--json")
    goal = json.loads(done.output)
    await until(lambda: goal["goal_id"] in here.robot.goals)
    done = await here.say("cancel", goal["goal_id"], "--by", "ann")
    assert done.output == f"{goal['goal_id']} canceling\n"
    await until(lambda: here.robot.cancelled == [goal["goal_id"]])
    await here.robot.finish(goal["goal_id"], 5, {})

    async def is_over() -> bool:
        return "canceled after" in (await here.say("goals")).output

    await until(is_over)
    done = await here.say("goals")
    assert done.output.startswith(f"{goal['goal_id']} {DOCK} of rover: canceled after")
    here.robot.services.clear()
    (link,) = await here.links()
    assert link["actions"] == {DOCK: {"sent": 1, "cancellations": 1, "canceled": 1}}
    assert link["services"] == {LIGHTS: {"sent": 1, "answered": 1}}


@pytest.mark.parametrize(
    ("arguments", "words", "code"),
    [
        (("publish", CMD, '{"linear": {"x": 0.7}}', "--agent", "driver-1"), r"linear.x is 0.7, its bound is 0.5", 2),
        (("call", LIGHTS, "{", "--agent", "driver-1"), "JSON: ", 2),
        (("call", LIGHTS, "[]", "--agent", "driver-1"), "must be an object", 2),
        (("call", "/other", "{}", "--agent", "driver-1"), f"among its services; they have {LIGHTS}", 2),
        (("call", LIGHTS, "{}", "--agent", "driver-1", "--link", "yard"), "no link has the name 'yard'", 1),
        (("call", LIGHTS, "{}", "--agent", "driver-1"), "no such service", 1),
        (("goal", DOCK, "{}", "--agent", "guest"), "no rule matches", 1),
        (("cancel", "f" * 32, "--by", "ann"), "no goal has the id", 1),
    ],
)  # fmt: skip
async def test_what_is_refused_is_said_at_the_command_line(
    arguments: tuple[str, ...], words: str, code: int, here: Served
) -> None:
    done = await here.say(*arguments)
    assert isinstance(done.exception, BrainError), done.output  # the program prints it, and ends with its code
    assert words in str(done.exception)
    assert (2 if done.exception.status in (422, 501) else 1) == code
    assert "guest" not in str(here.robot.goals)


async def test_the_answers_over_http_have_their_status(here: Served) -> None:
    call = {"link": "hall", "service": LIGHTS, "agent_id": "driver-1", "request": {}}
    goal = {"link": "hall", "action": DOCK, "agent_id": "driver-1", "goal": {"speed": 3}}
    statuses = [
        (await here.post("/api/ros2/call", call | more)).status_code
        for more in ({"request": {"data": 2}}, {"agent_id": "guest"}, {"service": "/x"}, {"link": "yard"}, {})
    ]
    assert statuses == [422, 403, 404, 404, 409]
    assert (await here.post("/api/ros2/goals", goal)).status_code == 422
    assert (await here.post(f"/api/ros2/goals/{'f' * 32}/cancel", {"by": "ann"})).status_code == 404
    assert (await here.post("/api/ros2/call", {"link": "hall"})).status_code == 422


async def test_a_link_that_is_down_is_said_to_whoever_asks(here: Served) -> None:
    async def is_down() -> bool:
        return not await here.is_up()

    await here.robot.stop()
    try:
        await until(is_down)
        command = {"link": "hall", "topic": CMD, "agent_id": "driver-1", "message": {"linear": {"x": 0.2}}}
        answer = await here.post("/api/ros2/publish", command)
        assert (answer.status_code, answer.json()["detail"]) == (503, f"{CMD}: the link is down")
        assert answer.headers["retry-after"] == "1"
        done = await here.say("call", LIGHTS, "{}", "--agent", "driver-1")
        assert str(done.exception) == f"{LIGHTS}: the link is down"
    finally:
        await here.robot.start()


async def test_a_server_that_is_not_there_is_said() -> None:
    done = await asyncio.to_thread(CliRunner().invoke, app, ["goals", "--url", f"http://127.0.0.1:{free_port()}"])
    assert "start one with brain serve, or name it with --url" in str(done.exception)
