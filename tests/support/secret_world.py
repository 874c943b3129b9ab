"""A server's world in which each input takes something, so that what is planted there is kept: things by their ids."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from brain.policy import Effect, PolicyEngine, Rule
from brain.store import open_store
from support.server import UNLIMITED
from support.waiting import until

SETTINGS = f"""{UNLIMITED}
[hardware.robots.rover]
driver = "mock"

[connectors.inbound.tap]
kind = "singer"
command = TAP

[connectors.inbound.hooks]
kind = "cloudevents"
scheme = "token"
secret = "a-bearer-token-of-the-sender"

[connectors.outbound.hook]
kind = "webhook"
url = "http://127.0.0.1:9"
key = "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"

[ros2_bridge]
folder = "bags"

[ros2_bridge.links.hall]
driver = "rosbridge"
endpoint = "ROSBRIDGE"
record = true

[ros2_bridge.links.hall.topics."/chatter"]
type = "std_msgs/msg/String"

[ros2_bridge.links.hall.commands."/cmd_vel"]
robot = "rover"

[ros2_bridge.links.hall.services."/lights/set"]
robot = "rover"
type = "std_srvs/srv/SetBool"

[ros2_bridge.links.yard]
driver = "zenoh"
endpoint = "ZENOH"
record = true

[ros2_bridge.links.yard.topics."/chatter"]
type = "std_msgs/msg/String"
"""
WEBHOOK_TOKEN = "a-bearer-token-of-the-sender"
_NO_TEXT = "has an agent's id, numbers, times and words of fixed forms alone"
_NONE_HERE = "is about what is not there in this world; its words go the way of those of its neighbours"
_OTHER_WAY = "is planted by a function of its own"
_OWNER = "its one text is the name of the owner, the person or the version that it must be"
REFUSED: Mapping[tuple[str, str], str] = {
    ("post", path): why
    for why, paths in {
        _NO_TEXT: (
            "/api/audit/verify", "/api/connectors/{name}/replay", "/api/hardware/robots/{robot_id}/command",
            "/api/hardware/robots/{robot_id}/lease/release", "/api/hardware/robots/{robot_id}/lease/renew",
            "/api/immune/heartbeat", "/api/tasks/lease", "/api/tasks/{task_id}/complete",
            "/api/tasks/{task_id}/give-back", "/api/tasks/{task_id}/heartbeat",
        ),
        _NONE_HERE: (
            "/api/dead-letters/discard", "/api/dead-letters/redrive", "/api/incidents/webhooks/{system}",
            "/api/missions/{mission_id}/retry", "/api/playbooks/runs/{run_id}/answer", "/api/ros2/goals",
            "/api/ros2/goals/{goal_id}/cancel", "/api/tasks/{task_id}/answer", "/api/vision/models/{model_id}/approve",
        ),
        _OTHER_WAY: ("/api/connectors/{name}/webhook", "/api/ros2/call"),
        _OWNER: (
            "/api/dna/agents/{agent_id}/promote", "/api/dna/agents/{agent_id}/rollback",
            "/api/dna/studies/{study_id}/ask", "/api/dna/studies/{study_id}/stop",
            "/api/dna/studies/{study_id}/trials/{trial}", "/api/slam/maps/{map_id}/load",
            "/api/slam/maps/{map_id}/versions/{version}/approve",
        ),
    }.items()
    for path in paths
}  # fmt: skip
"""Operations whose bodies take nothing where a text of others stands, and why."""
_FIRST = (
    "/api/threats", "/api/incidents", "/api/dna/snapshot", "/api/dna/studies", "/api/missions", "/api/tasks/lease",
    "/api/immune/events", "/api/silences", "/api/immune/heartbeat",
)  # fmt: skip
_PGM = b"P5 2 2 255 " + bytes(4)


async def make_world(
    client: httpx.AsyncClient, examples: Mapping[tuple[str, str], Any], folder: Path
) -> Mapping[str, str]:
    """Make something of each kind; what stands in paths for each parameter."""
    rule = {"id": "all", "name": "All", "effect": "ALLOW", "conditions": [], "everyone": True}
    made = {"rule": await client.post("/api/policy/rules", json=rule)}
    for path in _FIRST:
        made[path] = await client.post(path, json=examples["post", path])
    camera = {**examples["put", "/api/vision/cameras/{camera_id}"], "zones": []}
    made["camera"] = await client.put("/api/vision/cameras/cam", json=camera)
    where = {"by": "ann", "resolution": 0.05}
    pgm = {"Content-Type": "image/x-portable-graymap"}
    made["map"] = await client.post("/api/slam/maps/hall", params=where, content=_PGM, headers=pgm)
    study = made["/api/dna/studies"].json()["id"]
    ask = examples["post", "/api/dna/studies/{study_id}/ask"]
    made["ask"] = await client.post(f"/api/dna/studies/{study}/ask", json=ask)
    wrong = {name: answer.text for name, answer in made.items() if not answer.is_success}
    assert not wrong, wrong
    alerts: list[dict[str, str]] = []

    async def is_paged() -> bool:
        alerts[:] = (await client.get("/api/alerts")).json()
        return bool(alerts)

    await until(is_paged)
    (task,) = made["/api/tasks/lease"].json()
    return {
        "threat_id": made["/api/threats"].json()["id"],
        "incident_id": made["/api/incidents"].json()["id"],
        "agent_id": "agent-7",
        "snapshot_id": "1",
        "study_id": study,
        "trial": str(made["ask"].json()["trial"]["number"]),
        "mission_id": made["/api/missions"].json()["id"],
        "task_id": task["id"],
        "alert_id": alerts[0]["id"],
        "silence_id": made["/api/silences"].json()["id"],
        "camera_id": "cam",
        "map_id": "hall",
        "version": "1",
        "robot_id": "rover",
        "name": "hook",
        "link": "hall",
        "approval_id": _approval(folder),
    }


def _approval(folder: Path) -> str:
    """A request for approval that nobody has answered."""
    store = open_store(f"sqlite:///{folder / 'brain.db'}")
    engine = PolicyEngine(store=store, follow_interval=None)
    metadata = {"requires_approval": True, "approvers": 5}
    rule = Rule(id="five", name="Five", effect=Effect.AUDIT, metadata=metadata, conditions=[], priority=5)
    engine.add_rule(rule)
    context = {"agent_id": "a9", "action": "pay"}
    made = engine.approvals.request(engine.evaluate(context), context)
    engine.delete_rule("five")
    engine.close()
    store.close()
    return made.id


def filled(path: str, ids: Mapping[str, str], otherwise: str | None = None) -> str:
    """The path with an id in the place of each parameter; `otherwise` in the place of all, where it is given."""
    return re.sub(r"{(\w+)}", lambda found: otherwise or ids.get(found[1], found[1]), path)
