"""A robot and a person: she enters its zone, it stands still, and the audit log proves that."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from brain.demo import api_client
from brain.demo.fleet import Api, DemoFailed, Say, until
from brain.hardware.settings import HardwareSettings
from brain.server.running import running
from brain.settings import Settings

PICTURE = 0.1
"""Seconds between two pictures of the camera."""
DRIVER = "demo-driver"
_RULE = {
    "id": "demo-robots",
    "name": "The driver drives",
    "effect": "ALLOW",
    "priority": 10,
    "conditions": [
        {"field": "agent_id", "operator": "==", "value": DRIVER},
        {"field": "action", "operator": "in", "value": ["hardware.move", "hardware.lease"]},
    ],
}
_CELL = {"zone": "cell", "polygon": [[0, 0.5], [1, 0.5], [1, 1], [0, 1]], "robot": "rover"}
_CAMERA = {"source": "posted", "detector": "none", "by": "ann", "zones": [_CELL]}


@dataclass(frozen=True)
class RobotOutcome:
    """What came of it."""

    refused: str
    """What the driver was answered with while the person was there."""
    stopped: str
    """The id of the event of the stop."""
    threat: str
    incident: str
    entry: int
    """The index of the stop in the audit log."""
    verified: bool
    """Whether the audit log, and the proof of that entry, verify."""

    def report(self) -> dict[str, Any]:
        """The outcome as plain JSON values."""
        return asdict(self)


def with_robot(settings: Settings) -> Settings:
    """These settings, with one robot, which only exists in the server's memory, and none of the user's."""
    robots = {"rover": {"driver": "mock", "deadman_seconds": 10.0}}
    return settings.model_copy(update={"hardware": HardwareSettings.model_validate({"robots": robots})})


async def run_robot_demo(settings: Settings, *, any_port: bool, say: Say) -> RobotOutcome:
    """Play it once on a server of its own. Raises DemoFailed when something of it does not happen."""
    async with running(with_robot(settings), any_port=any_port) as server:
        say(f"BRAiN EventStream runs at {server.url}")
        key = {"Authorization": f"Bearer {settings.api_key.get_secret_value()}"} if settings.api_key else {}
        async with api_client(server.url, key) as client:
            return await _Play(Api(client), say).run()


class _Play:
    def __init__(self, api: Api, say: Say) -> None:
        self._api = api
        self._say = say
        self._began = time.time()
        self._foot = 0.3
        """Where the person's feet are in the picture; the zone begins at 0.5."""

    async def run(self) -> RobotOutcome:
        await self._api.call("DELETE", f"policy/rules/{_RULE['id']}?by=ann", may_fail_with=404)
        await self._api.call("POST", "policy/rules?by=ann", _RULE)
        await self._api.call("PUT", "vision/cameras/demo", _CAMERA)
        camera = asyncio.create_task(self._camera())
        try:
            return await self._played()
        finally:
            camera.cancel()
            await asyncio.gather(camera, return_exceptions=True)
            await self._api.call("DELETE", "vision/cameras/demo?by=ann")
            await self._api.call("DELETE", f"policy/rules/{_RULE['id']}?by=ann", may_fail_with=404)

    async def _played(self) -> RobotOutcome:
        lease = await self._api.call("POST", "hardware/robots/rover/lease", {"agent_id": DRIVER})
        command = {"agent_id": DRIVER, "lease_token": lease["token"], "linear_x": 0.4}
        await until("the camera is up", self._is_up)
        await self._move(command)
        self._say("the robot drives at 0.4 m/s; a person walks towards its cell")
        self._foot = 0.9
        stopped = await until("the robot is stopped", lambda: self._first("hardware.interlock_stopped"))
        self._say(f"the robot was stopped: {stopped['payload']['reason']}")
        refused = await self._refusal(command)
        self._say(f"its driver was refused: {refused}")
        threat = await until("there is a threat", self._threat)
        incident = await until("there is an incident", self._incident)
        self._say(f"threat {threat}, incident {incident}")
        self._foot = 0.3
        await until("the robot is free again", lambda: self._moves(command))
        self._say("the person left; the robot drives again")
        proof = await until("the stop is in the audit log", lambda: self._proof(stopped["id"]))
        verified = await self._api.call("POST", "audit/verify", {})
        self._say(f"entry {proof['index']} of the audit log proves the stop")
        return RobotOutcome(refused, stopped["id"], threat, incident, proof["index"], verified["ok"])

    async def _camera(self) -> None:
        """The device at the camera: ten pictures a second, with where the person is."""
        shown = 0.3
        while True:
            shown += max(-0.04, min(0.04, self._foot - shown))  # she walks
            person = {"label": "person", "confidence": 0.9, "box": [0.45, shown - 0.25, 0.1, 0.25]}
            await self._api.call("POST", "vision/cameras/demo/detections", {"detections": [person]})
            await asyncio.sleep(PICTURE)

    async def _is_up(self) -> bool:
        cameras = await self._api.call("GET", "vision/cameras")
        return any(one["camera"]["camera"] == "demo" and one["up"] for one in cameras)

    async def _move(self, command: Mapping[str, Any]) -> None:
        await self._api.call("POST", "hardware/robots/rover/command", command)

    async def _moves(self, command: Mapping[str, Any]) -> bool:
        done = await self._api.call("POST", "hardware/robots/rover/command", command, may_fail_with=409)
        return done is not None

    async def _refusal(self, command: Mapping[str, Any]) -> str:
        """Why the driver may not move it now. Raises DemoFailed when it may."""
        if await self._moves(command):
            raise DemoFailed("the robot moved while a person was in its cell")
        commands = await self._api.call("GET", "hardware/robots/rover/commands?limit=1")
        return str(commands[0]["reason"])

    async def _first(self, type: str) -> Any:
        events = await self._api.call("GET", f"events?pattern={type}&since={self._began}")
        return events["events"][0]["event"] if events["events"] else None

    async def _threat(self) -> str | None:
        threats = await self._api.call("GET", "threats?type=person_in_robot_zone")
        return next((str(one["id"]) for one in threats), None)

    async def _incident(self) -> str | None:
        incidents = await self._api.call("GET", "incidents?limit=100")
        return next((str(one["id"]) for one in incidents if "vision" in str(one["title"])), None)

    async def _proof(self, event_id: str) -> Any:
        return await self._api.call("GET", f"audit/proof/{event_id}", may_fail_with=404)
