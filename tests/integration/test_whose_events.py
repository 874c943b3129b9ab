"""What one process does for many at once: each event names the principal whose doing it is, and nobody else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import pytest_asyncio
from pydantic import SecretStr
from websockets.asyncio.client import connect

from brain.access.models import Role
from brain.access.repository import Keys
from brain.hardware.settings import HardwareSettings, RobotSettings
from brain.settings import Settings
from brain.store import open_store
from support.server import running_server
from support.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")
ADMIN = "an-administrators-key-of-the-settings"
NAMES = ("ada", "bob", "eve")


class Served(NamedTuple):
    """A server with a key for each name, and clients that use them."""

    url: str
    admin: httpx.AsyncClient
    by: dict[str, httpx.AsyncClient]
    keys: dict[str, str]

    async def whose(self, pattern: str, count: int) -> list[tuple[str | None, dict[str, Any]]]:
        """The principal of each of these events, and its payload; once there are so many."""
        found: list[dict[str, Any]] = []

        async def are_there() -> bool:
            answer = await self.admin.get("/api/events", params={"pattern": pattern, "limit": 1000})
            found[:] = [one["event"] for one in answer.json()["events"]]
            return len(found) >= count

        try:
            await until(are_there)
        except TimeoutError:
            raise AssertionError([f"{e['type']}" for e in found]) from None
        return [(event["meta"].get("principal", {}).get("name"), event["payload"]) for event in found]


def named_in(payload: dict[str, Any]) -> str:
    """Whose doing it says that it is: what each does has its name somewhere."""
    return next(value for value in payload.values() if value in NAMES)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder: Path = tmp_path_factory.mktemp("whose")
    stream = f"sqlite:///{folder / 'brain.db'}"
    keys = Keys(open_store(stream), None)
    made = {name: keys.new(name, Role.OPERATOR).secret for name in NAMES}
    hardware = HardwareSettings(robots={"rover": RobotSettings(driver="mock")})
    consumers = ("missions", "hardware", "incidents", "dna")
    settings = Settings(stream=stream, port=0, api_key=SecretStr(ADMIN), consumers=consumers, hardware=hardware)
    async with running_server(settings) as (server, admin):
        admin.headers["Authorization"] = f"Bearer {ADMIN}"
        rule = {"id": "all", "name": "All", "effect": "ALLOW", "conditions": [], "everyone": True}
        assert (await admin.post("/api/policy/rules", json=rule)).is_success
        by = {
            name: httpx.AsyncClient(
                base_url=server.url, headers={"Authorization": f"Bearer {key}"}, trust_env=False, timeout=60
            )
            for name, key in made.items()
        }
        yield Served(server.url, admin, by, made)
        for client in by.values():
            await client.aclose()


async def test_of_tasks_in_one_group(served: Served) -> None:
    for name, client in served.by.items():
        tasks = [{"id": f"t{number}", "type": "work"} for number in range(6)]
        assert (await client.post("/api/missions", json={"name": name, "tasks": tasks})).status_code == 201
    for who, payload in await served.whose("mission.started", len(NAMES)):
        assert who == payload["name"]

    async def work(name: str) -> None:
        client = served.by[name]
        for number in range(6):
            (task,) = (await client.post("/api/tasks/lease", json={"agent_id": name})).json()
            path, token = f"/api/tasks/{task['id']}", task["token"]
            beat = await client.post(f"{path}/heartbeat", json={"token": token, "progress": 0.5})
            assert beat.is_success, beat.text
            end = {"token": token, "error": "no"} if number % 3 == 0 else {"token": token}
            assert (await client.post(f"{path}/{'fail' if 'error' in end else 'complete'}", json=end)).is_success

    await asyncio.gather(*map(work, NAMES))
    for kind, count in (("started", 18), ("progress", 18), ("completed", 12), ("failed", 6)):
        for who, payload in await served.whose(f"task.{kind}", count):
            assert who == payload["agent_id"], kind


async def test_of_incidents(served: Served) -> None:
    async def open_one(name: str) -> None:
        client, note = served.by[name], {"text": "seen", "by": name}
        new = {"title": name, "severity": "HIGH", "text": "three calls", "by": name}
        made = await client.post("/api/incidents", json=new)
        assert made.status_code == 201, made.text
        assert (await client.post(f"/api/incidents/{made.json()['id']}/notes", json=note)).is_success

    await asyncio.gather(*map(open_one, NAMES))
    for who, payload in await served.whose("incident.*", 2 * len(NAMES)):
        assert who == payload["title"], payload


async def test_what_a_request_says_of_by_is_not_believed(served: Served) -> None:
    """On no route: it is kept as `on_behalf_of`."""
    client, pgm = served.by["ada"], b"P5 2 2 255 " + bytes(4)
    made = {
        "snapshot": client.post("/api/dna/snapshot", json={"agent_id": "g", "by": "root", "dna": {"t": 1.0}}),
        "mutation": client.post("/api/dna/agents/g/mutate", json={"by": "root", "mutation": {"t": 2.0}}),
        "karma": client.put("/api/dna/agents/g/karma", json={"by": "root", "score": 0.5}),
        "promotion": client.post("/api/dna/agents/g/promote", json={"by": "root", "snapshot_id": 1}),
        "mission": client.post("/api/missions", json={"name": "by", "by": "root", "tasks": [{"id": "t", "type": "x"}]}),
        "camera": client.put("/api/vision/cameras/c", json={"by": "root", "source": "posted", "detector": "none"}),
        "map": client.post(
            "/api/slam/maps/m",
            params={"by": "root", "resolution": 0.1},
            content=pgm,
            headers={"Content-Type": "application/octet-stream"},
        ),
    }
    for name, request in made.items():
        answer = await request
        assert answer.is_success, (name, answer.text)
        assert "root" not in answer.text, (name, answer.text)
    found = await served.whose("dna.*", 4)
    assert {who for who, _ in found} == {"ada"}
    assert "root" not in {payload.get("by") for _, payload in found}


@pytest.mark.parametrize("name", ["BRAIN_API_KEY", "brain_api_key", "anonymous"])
async def test_nobody_is_named_as_those_who_are_not_known(served: Served, name: str) -> None:
    """What the key of the settings says of `by` is believed: a named key must not be taken for it."""
    for path, body in (
        ("keys", {"name": name, "role": "viewer"}),
        ("agents", {"agent_id": name, "public_key": "AAAA"}),
        ("agents", {"agent_id": name, "issuer": "https://id.example.org", "subject": "x"}),
    ):
        answer = await served.admin.post(f"/api/access/{path}", json=body)
        assert answer.status_code == 422, answer.text


async def test_of_sources_in_one_transaction(served: Served) -> None:
    async def send(name: str) -> None:
        url = f"{served.url.replace('http', 'ws')}/api/telemetry/ws/{name}"
        async with connect(url, additional_headers={"Authorization": f"Bearer {served.keys[name]}"}) as socket:
            await socket.recv()
            for seq in (1, 5):
                await socket.send(json.dumps({"seq": seq, "values": {"x": 1.0}}))
                await socket.recv()

    await asyncio.gather(*map(send, NAMES))
    for kind in ("connection_established", "gap", "connection_closed"):
        found = await served.whose(f"telemetry.{kind}", len(NAMES))
        assert {named_in(payload) for _, payload in found} == {*NAMES}
        for who, payload in found:
            assert who == named_in(payload), payload


async def test_of_commands_in_one_queue(served: Served) -> None:
    async def drive(name: str) -> None:
        robot = "/api/hardware/robots/rover/{}"
        for _ in range(4):
            leased = await served.by[name].post(robot.format("lease"), json={"agent_id": name})
            if leased.is_success:
                command = {"agent_id": name, "lease_token": leased.json()["token"], "linear_x": 0.1}
                await asyncio.gather(*(served.by[name].post(robot.format("command"), json=command) for _ in range(3)))

    await asyncio.gather(*map(drive, NAMES))
    found = await served.whose("hardware.command_sent", 3)
    assert found
    for who, payload in found:
        assert who == named_in(payload), payload
