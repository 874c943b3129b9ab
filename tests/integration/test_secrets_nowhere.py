"""Fifty planted secrets of fifteen kinds through every input of a server: found in no file, log, export or answer.

Inputs are listed from what is there: operations of the document, their parameters, sockets, kinds of links, guards. One
of which nothing is said here fails the test.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import pkgutil
import re
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple, get_args
from urllib.parse import quote

import httpx
import pyarrow.parquet
import pytest
import zenoh
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

import brain as brain_package
from brain import EventStream
from brain.policy import PolicyEngine
from brain.policy.guards import frameworks
from brain.ros2_bridge.bags import read_bag
from brain.ros2_bridge.messages import to_cdr
from brain.ros2_bridge.settings import LinkSettings
from brain.ros2_bridge.zenoh_link import key_of
from support.contents import contents
from support.planting import bodies, examples
from support.ros2 import client as zenoh_client
from support.ros2 import zenoh_router
from support.rosbridge import RosbridgeServer
from support.secret_world import REFUSED, SETTINGS, WEBHOOK_TOKEN, filled, make_world
from support.secrets_planted import NAMED, SECRETS, TEXTS, found_in, planted
from support.server import ServeProcess, brain, running_server, without_consumers
from support.sizes import sizes
from support.waiting import until

ALL = " ".join(text for text, _ in TEXTS)
LIVE = "/api/events/live"
RAW = {
    ("post", "/api/slam/maps/{map_id}"): "a picture: its shades are kept, and nothing that is said beside them",
    ("post", "/api/vision/cameras/{camera_id}/picture"): "a picture is decoded and encoded anew",
    ("post", "/api/vision/detect"): "a picture is looked at, and not kept",
}
"""Bodies of other forms, which have no texts. OTLP and webhooks are planted below."""
SOCKETS = {"/api/telemetry/ws/{source}", "/api/telemetry/tail"}
LINKS = {"rosbridge", "zenoh"}
FRAMEWORKS = {"action", "google_adk", "langchain", "objects", "openai_agents", "pydantic_ai", "smolagents", "strands"}
"""All ask by the guard (tests/integration/test_framework_tools.py), whose events are looked at below."""


class Planting(NamedTuple):
    """A server in its world, and what surrounds it."""

    server: ServeProcess
    client: httpx.AsyncClient
    document: dict[str, Any]
    ids: dict[str, str]
    ros: RosbridgeServer
    zenoh_at: str
    every: int

    def some(self, things: list[Any]) -> Iterator[Any]:
        """One of so many."""
        return iter(things[:: self.every])

    async def send(self, method: str, path: str, **more: Any) -> httpx.Response:
        answer = await self.client.request(method, path, **more)
        assert answer.status_code < 500, (method, path, more, answer.text)
        return answer


@asynccontextmanager
async def world(folder: Path, every: int) -> AsyncIterator[Planting]:
    ros = RosbridgeServer()
    ros.services = {"/lights/set": {"success": True, "message": ALL}}
    await ros.start()
    async with zenoh_router() as (endpoint, _):
        settings = SETTINGS.replace("ROSBRIDGE", ros.url).replace("ZENOH", endpoint)
        tap = folder.with_name(f"{folder.name}-tap.py")
        tap.write_text(TAP)
        settings = settings.replace("TAP", json.dumps([sys.executable, str(tap)]))
        (folder / "brain.toml").write_text(settings)
        server = await asyncio.to_thread(ServeProcess(folder).__enter__)
        try:
            limits = httpx.Limits(keepalive_expiry=1)  # before the server ends it
            async with httpx.AsyncClient(base_url=server.url, timeout=60, trust_env=False, limits=limits) as client:
                document = (await client.get("/openapi.json")).json()
                known = {(method, path): example for method, path, example in examples(document)}
                ids = await make_world(client, known, folder)
                yield Planting(server, client, document, ids, ros, endpoint, every)
        finally:
            await asyncio.to_thread(server.kill)
            await ros.stop()


TAP = f"""
import json
print(json.dumps({{"type": "SCHEMA", "stream": "orders", "key_properties": ["id"],
                  "schema": {{"properties": {{"id": {{}}, "note": {{}}, "password": {{}}}}}}}}))
for number, text in enumerate({[text for text, _ in TEXTS]!r}):
    print(json.dumps({{"type": "RECORD", "stream": "orders",
                      "record": {{"id": number, "note": text, "password": {NAMED[0][1]!r}}}}}))
"""


async def plant_bodies(here: Planting) -> set[tuple[str, str]]:
    """Each text of each body; the operations that took one."""
    texts, taken = cycle(text for text, _ in TEXTS), set()
    for method, path, example in examples(here.document):
        for number, body in enumerate(bodies(example, texts)):
            if here.every > 1 and number:
                break
            answer = await here.send(method, filled(path, here.ids), json=body)
            if answer.is_success:
                taken.add((method, path))
            if path.endswith("kill-switch"):
                await here.send("delete", path)
    return taken


async def plant_parameters(here: Planting) -> None:
    """Each parameter of a query, and all of a path."""
    texts = cycle(text for text, _ in TEXTS)
    known = {(method, path): example for method, path, example in examples(here.document)}
    operations = [
        (method, path, operation)
        for path, of in here.document["paths"].items()
        for method, operation in of.items()
        if path != LIVE
    ]
    for method, path, operation in here.some(operations):
        body = known.get((method, path))
        for parameter in operation.get("parameters", ()):
            if parameter["in"] == "query":
                query = {parameter["name"]: next(texts)}
                await here.send(method, filled(path, here.ids), params=query, json=body)
        if "{" in path:
            for text in (next(texts), next(texts)):
                await here.send(method, filled(path, here.ids, quote(text, safe="")), json=body)


async def plant_headers(here: Planting) -> None:
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    for text, secret in here.some([(text, secret) for text, secret in TEXTS[:17] if text.isprintable()]):
        for name in ("X-Correlation-Id", "Idempotency-Key", "User-Agent", "Referer", "Cookie", "Authorization"):
            value = secret if name in ("X-Correlation-Id", "Idempotency-Key") else text  # these have no blanks
            threat = {"type": "odd", "source": "a1", "severity": "LOW", "description": name}
            await here.send("post", "/api/threats", json=threat, headers={name: value})
        state = {"traceparent": parent, "tracestate": f"a={text.replace(',', '')}"}
        await here.send("post", "/api/policy/evaluate", json={"agent_id": "a1", "action": "read"}, headers=state)


async def plant_telemetry(here: Planting) -> None:
    """OTLP in JSON, in protobuf, and with gzip; lines of sources; names of both."""
    for text in here.some([text for text, _ in TEXTS]):
        request = ExportTraceServiceRequest()
        spans = request.resource_spans.add()
        _attribute(spans.resource.attributes, "service.name", text)
        span = spans.scope_spans.add().spans.add(name=text, start_time_unix_nano=1, end_time_unix_nano=2)
        span.trace_id, span.span_id = bytes(range(1, 17)), text.encode()[:8].ljust(8, b"x")
        for name in ("gen_ai.tool.name", "gen_ai.agent.name", "gen_ai.provider.name", "password", "input.value"):
            _attribute(span.attributes, name, text)
        _attribute(span.attributes, "gen_ai.operation.name", "execute_tool")
        data, headers = request.SerializeToString(), {"Content-Type": "application/x-protobuf"}
        for body, more in ((data, {}), (gzip.compress(data), {"Content-Encoding": "gzip"})):
            answer = await here.send("post", "/api/telemetry/v1/traces", content=body, headers={**headers, **more})
            assert answer.is_success, answer.text
        url = f"{here.server.url.replace('http', 'ws')}/api/telemetry/ws/{quote(text, safe='')}?run={quote(text)}"
        with suppress(InvalidStatus):  # some are no names at all
            async with connect(url) as socket:
                await socket.recv()
                await socket.send(json.dumps({"seq": 1, "values": {text.replace("\n", " ")[:150]: 1.0, "token": 2.0}}))
                await socket.recv()
        async with connect(f"{here.server.url.replace('http', 'ws')}/api/telemetry/ws/plain") as socket:
            await socket.recv()
            await socket.send(text)
            with pytest.raises(ConnectionClosed):
                await socket.recv()
        async with connect(f"{here.server.url.replace('http', 'ws')}/api/telemetry/tail?source={quote(text)}"):
            pass


def _attribute(attributes: Any, name: str, value: str) -> None:
    attributes.add(key=name).value.string_value = value


async def plant_messages(here: Planting) -> None:
    """Messages of robots, answers of services, and who publishes there."""
    session = await asyncio.to_thread(zenoh.open, zenoh_client(here.zenoh_at))
    publisher = session.declare_publisher(key_of(0, "/chatter", "std_msgs/msg/String"))

    async def links() -> dict[str, Any]:
        return {one["link"]: one for one in (await here.client.get("/api/ros2/links")).json()}

    async def are_up() -> bool:
        return all(one["up"] for one in (await links()).values())

    async def came() -> bool:
        found = await links()
        return all(found[name]["topics"] and found[name]["topics"][0]["count"] >= sent for name in ("hall", "yard"))

    await until(are_up)
    await until(lambda: "/chatter" in here.ros.subscribed)
    texts = list(here.some([text for text, _ in TEXTS]))
    sent = len(texts)
    for text in texts:
        await here.ros.publish("/chatter", {"data": text})
        await asyncio.to_thread(publisher.put, to_cdr("std_msgs/msg/String", {"data": text}))
    call = {"link": "hall", "service": "/lights/set", "agent_id": "driver-1", "request": {}}
    answered = await here.send("post", "/api/ros2/call", json=call)
    assert answered.is_success, answered.text
    await until(came)
    await asyncio.to_thread(session.close)


async def plant_webhooks(here: Planting) -> None:
    headers = {"Authorization": f"Bearer {WEBHOOK_TOKEN}", "Content-Type": "application/cloudevents+json"}
    for number, text in enumerate(here.some([text for text, _ in TEXTS])):
        event = {
            "specversion": "1.0",
            "id": str(number),
            "source": "shop",
            "type": "org.x.order",
            "data": planted() | {"x": text},
        }
        sent = await here.send("post", "/api/connectors/hooks/webhook", content=json.dumps(event), headers=headers)
        assert sent.is_success, sent.text


def test_what_is_planted_by_hand_is_all_that_there_is() -> None:
    assert set(get_args(LinkSettings.model_fields["driver"].annotation)) == LINKS
    assert {one.name for one in pkgutil.iter_modules(frameworks.__path__)} == FRAMEWORKS


def test_every_socket_is_planted() -> None:
    sources = (path.read_text() for path in Path(brain_package.__file__).parent.rglob("*.py"))
    found = {path for text in sources for path in re.findall(r"\.websocket\(\s*f?\"([^\"]+)", text)}
    assert {f"/api/telemetry{path}" for path in found} == SOCKETS


@pytest.mark.parametrize("every", sizes(20, 1))
async def test_planted_secrets_are_found_nowhere(every: int, tmp_path: Path) -> None:
    outside = tmp_path.with_name(f"{tmp_path.name}-exports")
    outside.mkdir()
    async with world(tmp_path, every) as here:
        await plant_messages(here)  # before a camera keeps the robot from moving
        taken = await plant_bodies(here)
        if every == 1:
            asked = {(method, path) for method, path, _ in examples(here.document)}
            untaken = sorted(asked - taken - REFUSED.keys())
            assert untaken == [], "say in support/secret_world.py why they take nothing, or make what they need"
        for plant in (plant_parameters, plant_headers, plant_telemetry, plant_webhooks):
            await plant(here)
        tapped = await asyncio.to_thread(lambda: brain("connectors", "singer", "tap", folder=tmp_path))
        assert tapped.returncode == 0, tapped.stderr
        shown = {"tap": tapped.stdout + tapped.stderr}

        async def is_logged() -> bool:
            groups = {group["name"]: group for group in (await here.client.get("/api/groups")).json()}
            return bool(groups["brain.audit"]["lag"] == 0)

        await until(is_logged)
        for path, operations in here.document["paths"].items():
            if "get" in operations and path != LIVE:
                shown[path] = (await here.client.get(filled(path, here.ids), params=_most(operations["get"]))).text
        shown["log"] = here.server.log()
        assert await asyncio.to_thread(here.server.stop) == 0
        shown["log"] = here.server.log()
    await ask_guards(tmp_path)
    for form in ("jsonl", "csv", "cef", "ocsf", "parquet"):
        command = ("audit", "export", "-f", form, "-o", str(outside / form))
        done = await asyncio.to_thread(partial(brain, *command, folder=tmp_path))
        assert done.returncode == 0, done.stderr
    for bag in tmp_path.rglob("*.mcap"):
        shown[bag.name] = "\n".join(str(message) for message in read_bag(bag))
        assert "redacted:" in shown[bag.name]
    shown["parquet"] = _parquet(outside / "parquet")
    leaks = {where: found for where, text in shown.items() if (found := found_in(text))}
    files = contents(tmp_path, outside)
    leaks |= {str(path): found for path, kept in files.items() if (found := found_in(kept))}
    assert leaks == {}
    assert len(files) >= 6
    assert len(SECRETS) >= 50


def _most(operation: dict[str, Any]) -> dict[str, str]:
    names = {parameter["name"] for parameter in operation.get("parameters", ())}
    return {"limit": "1000"} if "limit" in names else {}


def _parquet(path: Path) -> str:
    return str(pyarrow.parquet.read_table(path).to_pylist())


async def ask_guards(folder: Path) -> None:
    """A guarded server of MCP, and a guarded function, on the stream of this folder."""
    from mcp import Client
    from mcp.server import MCPServer

    from brain.policy import Guard
    from brain.policy.guards_mcp import guard_server

    async with EventStream.open(f"sqlite:///{folder / 'brain.db'}") as stream:
        engine = PolicyEngine(stream, default_effect="ALLOW")
        server = MCPServer("notes")

        @server.tool()
        def note(text: str, more: dict[str, Any]) -> str:
            return text

        guard_server(Guard(engine, agent="a1"), server)
        async with Client(server) as client:
            for text, _ in TEXTS:
                arguments = {"text": text, "more": planted()}
                assert not (await client.call_tool("note", arguments)).is_error
        guarded = Guard(engine, agent="a1")("note.write")(note)
        for text, _ in TEXTS:
            guarded(text, planted())
        engine.close()


async def test_an_agent_whose_name_looks_like_a_secret_is_contained(tmp_path: Path) -> None:
    """Measures hold the agent's name as it asks; what is said about it is kept without its secrets."""
    agent, said = TEXTS[0][0], TEXTS[1][0]
    async with running_server(without_consumers(f"sqlite:///{tmp_path}/b.db")) as (_, client):
        rule = {"id": "all", "name": "All", "effect": "ALLOW", "conditions": [], "everyone": True}
        assert (await client.post("/api/policy/rules", json=rule)).status_code == 201

        async def is_allowed() -> bool:
            answer = await client.post("/api/policy/evaluate", json={"agent_id": agent, "action": "read"})
            return bool(answer.json()["allowed"])

        assert await is_allowed()
        contained = {"agent_id": agent, "reason": said, "ttl": 60}
        made = await client.post("/api/policy/containments", json=contained)
        assert made.status_code == 201
        assert TEXTS[1][1] not in made.text
        assert not await is_allowed()
        assert (await client.delete(f"/api/policy/containments/{agent}")).status_code == 204
        assert await is_allowed()
        assert (await client.put("/api/policy/kill-switch", json={"reason": said, "allow": [agent]})).status_code == 200
        assert await is_allowed()


async def test_an_agent_is_contained_by_what_its_events_say(tmp_path: Path) -> None:
    """They have the mark of a name that looks like a secret, and so have threats and what answers them."""
    agent = TEXTS[0][0]
    async with running_server(without_consumers(f"sqlite:///{tmp_path}/b.db")) as (_, client):
        rule = {"id": "all", "name": "All", "effect": "ALLOW", "conditions": [], "everyone": True}
        assert (await client.post("/api/policy/rules", json=rule)).status_code == 201

        async def decision(agent_id: str) -> dict[str, Any]:
            answer = await client.post("/api/policy/evaluate", json={"agent_id": agent_id, "action": "read"})
            found: dict[str, Any] = answer.json()
            return found

        assert (await decision(agent))["allowed"]
        said: list[str] = []

        async def is_told() -> bool:
            events = (await client.get("/api/events?pattern=policy.rule_evaluated")).json()["events"]
            said[:] = [one["event"]["payload"]["agent_id"] for one in events]
            return bool(said)

        await until(is_told)
        assert found_in(said[0]) == []
        made = await client.post("/api/policy/containments", json={"agent_id": said[0], "reason": "threat", "ttl": 60})
        assert made.status_code == 201
        assert (await decision(agent))["rule_id"] == made.json()["id"]
        assert (await decision(TEXTS[1][0]))["allowed"]
        assert (await client.delete(f"/api/policy/containments/{said[0]}")).status_code == 204
        assert (await decision(agent))["allowed"]


async def test_who_did_it_is_kept_without_secrets(tmp_path: Path) -> None:
    """A `by` of the query, too, which is no part of a body."""
    async with running_server(without_consumers(f"sqlite:///{tmp_path}/b.db")) as (_, client):
        contained = {"agent_id": "a", "reason": "looks odd", "ttl": 60}
        assert (await client.post("/api/policy/containments", json=contained)).status_code == 201
        lifted = await client.delete("/api/policy/containments/a", params={"by": TEXTS[1][0]})
        assert lifted.status_code == 204
        measures = (await client.get("/api/policy/measures")).text
    assert "redacted:" in measures
    assert found_in(measures) == []
