"""Fifty planted secrets of fifteen kinds through every input of a server: found in no file, log, export or answer."""

from __future__ import annotations

from itertools import cycle
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.planting import bodies, examples, filled
from support.secrets_planted import SECRETS, TEXTS, found_in
from support.server import ServeProcess, brain, running_server, without_consumers
from support.sizes import sizes
from support.waiting import until, wait_until


def plant(client: httpx.Client, every: int) -> int:
    """Send the requests, one of so many; how many were taken."""
    document = client.get("/openapi.json").json()
    taken = number = 0
    texts = cycle(text for text, _ in TEXTS)
    for method, path, example in examples(document):
        for body in bodies(example, texts):
            number += 1
            if number % every:
                next(texts)
                continue
            answer = client.request(method, filled(path), json=body)
            assert answer.status_code < 500, (method, path, body, answer.text)
            taken += answer.is_success
    with_body = {(method, path): example for method, path, example in examples(document)}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for parameter in operation.get("parameters", ()):
                number += 1
                if parameter["in"] == "query" and number % every == 0 and path != "/api/events/live":
                    more = {"params": {parameter["name"]: next(texts)}, "json": with_body.get((method, path))}
                    assert client.request(method, filled(path), **more).status_code < 500, path
    return taken


@pytest.mark.parametrize("every", sizes(6, 1))
def test_planted_secrets_are_found_nowhere(every: int, tmp_path: Path) -> None:
    outside = tmp_path.with_name(f"{tmp_path.name}-exports")
    outside.mkdir()
    with ServeProcess(tmp_path) as server, httpx.Client(base_url=server.url, timeout=60, trust_env=False) as client:
        taken = plant(client, every)
        assert taken >= 4
        shown: dict[str, str] = {}

        def logged() -> bool:
            size = client.get("/api/audit").json()["size"]
            return bool(client.get("/api/events", params={"limit": 1}).json() and size > taken // 2)

        wait_until(logged)
        for path, operations in client.get("/openapi.json").json()["paths"].items():
            if "get" in operations and "{" not in path and path != "/api/events/live":
                shown[path] = client.get(path).text
        events = client.get("/api/events", params={"limit": 1000}).text
        log = server.log()
        assert server.stop() == 0
    for form in ("jsonl", "csv", "cef", "ocsf"):
        done = brain("audit", "export", "-f", form, "-o", str(outside / form), folder=tmp_path)
        assert done.returncode == 0, done.stderr
        shown[f"export {form}"] = (outside / form).read_text()
    shown |= {"events": events, "log": log}
    leaks = {where: found for where, text in shown.items() if (found := found_in(text))}
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) >= 4
    leaks |= {str(path.relative_to(tmp_path)): found for path in files if (found := found_in(path.read_bytes()))}
    assert leaks == {}
    assert len(SECRETS) >= 50


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
