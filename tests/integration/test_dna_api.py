"""Genomes over HTTP, on a whole server: from a first version to the one incident of one that was taken back."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from brain.settings import Settings
from support.server import running_server
from support.waiting import until

AGENT = "/api/dna/agents/agent-7"
DNA = {"agent_id": "agent-7", "dna": {"temperature": 0.2}, "by": "ann"}
STUDY = {"agent_id": "agent-7", "genes": {"temperature": {"kind": "float", "low": 0, "high": 1}}, "owner": "ann"}


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    url = f"sqlite:///{tmp_path}/brain.db"
    async with running_server(Settings(stream=url, store=url, port=0)) as (_, client):
        for id, effect, actions in (("may", "ALLOW", ["read", "dna.apply"]), ("not", "DENY", ["forbidden"])):
            condition = {"field": "action", "operator": "in", "value": actions}
            rule = {"id": id, "name": id, "effect": effect, "conditions": [condition]}
            (await client.post("/api/policy/rules", json=rule)).raise_for_status()
        yield client


async def decide(client: httpx.AsyncClient, count: int, denied: int) -> None:
    actions = ["forbidden"] * denied + ["read"] * (count - denied)
    asked = [{"agent_id": "agent-7", "action": action, "resource": "db"} for action in actions]
    (await client.post("/api/policy/evaluate-many", json={"contexts": asked})).raise_for_status()


async def decisions(client: httpx.AsyncClient) -> int:
    found = (await client.get(f"{AGENT}/outcomes")).json()
    return sum(one["decisions"] for one in found["genomes"])


async def listed(client: httpx.AsyncClient, path: str) -> list[dict[str, Any]]:
    answer = await client.get(path)
    answer.raise_for_status()
    found: list[dict[str, Any]] = answer.json()
    return found


@pytest.mark.alone
async def test_a_genome_that_is_worse_is_taken_back_within_two_seconds_with_one_incident(
    client: httpx.AsyncClient, capsys: pytest.CaptureFixture[str]
) -> None:
    first = (await client.post("/api/dna/snapshot", json=DNA)).json()
    second = (await client.post(f"{AGENT}/mutate", json={"mutation": {"temperature": 0.9}})).json()
    promote = {"snapshot_id": first["id"], "by": "ann"}
    assert (await client.post(f"{AGENT}/promote", json=promote)).status_code == 200
    await decide(client, 200, denied=20)

    async def seen(count: int) -> bool:
        return await decisions(client) == count

    await until(lambda: seen(200))
    assert (await client.post(f"{AGENT}/promote", json={**promote, "snapshot_id": second["id"]})).status_code == 200
    await decide(client, 199, denied=60)
    await until(lambda: seen(399))
    began = time.monotonic()
    await decide(client, 1, denied=0)

    async def back() -> bool:
        return (await client.get(f"{AGENT}/current")).json()["dna"] == {"temperature": 0.2}

    await until(back)
    seconds = time.monotonic() - began
    await until(lambda: incidents_are_there(client))
    took = time.monotonic() - began
    with capsys.disabled():
        print(f"\ntaken back {seconds:.3f} s after the 200th decision was sent, its incident after {took:.3f} s")
    assert seconds < 2.0
    (incident,) = await listed(client, "/api/incidents")
    rollout = next(one for one in await listed(client, "/api/dna/rollouts?agent_id=agent-7") if one["ended_at"])
    assert incident["correlation_id"] == rollout["id"]
    assert "denials 30.0% of 200 decisions, 10.0% before" in incident["title"]

    async def announced() -> bool:
        return bool((await client.get("/api/events?pattern=dna.rolled_back")).json()["events"])

    await until(announced)
    assert len((await client.get("/api/events?pattern=dna.rolled_back")).json()["events"]) == 1


async def incidents_are_there(client: httpx.AsyncClient) -> bool:
    return bool(await listed(client, "/api/incidents"))


async def test_what_is_refused_says_why(client: httpx.AsyncClient) -> None:
    assert (await client.get(f"{AGENT}/current")).status_code == 404
    refused = await client.post("/api/dna/snapshot", json={**DNA, "genes": {"temperature": {"kind": "colour"}}})
    assert (refused.status_code, "genes.temperature" in refused.text) == (422, True)
    made = await client.post(
        "/api/dna/snapshot", json={**DNA, "genes": STUDY["genes"]}, headers={"Idempotency-Key": "k"}
    )
    again = await client.post(
        "/api/dna/snapshot", json={**DNA, "genes": STUDY["genes"]}, headers={"Idempotency-Key": "k"}
    )
    assert (made.status_code, made.json()) == (201, again.json())
    out = await client.post(f"{AGENT}/mutate", json={"mutation": {"temperature": 1.5}})
    assert (out.status_code, out.json()["title"]) == (422, "Out of bounds")
    denied = await client.post(f"{AGENT}/rollback", json={"by": "ann"})
    assert denied.status_code == 404
    promoted = await client.post(f"{AGENT}/promote", json={"snapshot_id": made.json()["id"], "by": "ann"})
    assert promoted.status_code == 200
    denied = await client.post(f"{AGENT}/rollback", json={"by": "ann"})
    assert (denied.status_code, denied.json()["title"]) == (403, "Action denied")


async def test_a_study_over_http(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    await client.post("/api/dna/snapshot", json=DNA)
    study = (await client.post("/api/dna/studies", json={**STUDY, "sampler": "random", "budget": 2})).json()
    below = f"/api/dna/studies/{study['id']}"
    asked = (await client.post(f"{below}/ask", json={"by": "ann"})).json()
    assert asked["snapshot"]["dna"] == asked["trial"]["params"]
    first = await client.post(f"{below}/trials/0", json={"by": "ann", "score": 0.5})
    second = await client.post(f"{below}/trials/0", json={"by": "ann", "score": 0.7})
    assert (second.status_code, second.json()) == (200, first.json())
    for body in (b'{"by": "ann", "score": NaN}', b'{"by": "ann", "score": 1e999}'):
        odd = await client.post(f"{below}/trials/0", content=body, headers={"Content-Type": "application/json"})
        assert odd.status_code in (400, 422)
    other = await client.post(f"{below}/ask", json={"by": "mallory"})
    assert (other.status_code, other.json()["title"]) == (403, "Not the owner")

    async def tampering() -> bool:
        found = await listed(client, "/api/threats?type=dna_tampering")
        return [one["source"] for one in found] == ["mallory"]

    await until(tampering)
    assert (await client.get(f"{below}/best")).json()["trial"]["number"] == 0
    assert (await client.get(below)).json()["trials"] == {"COMPLETE": 1}
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    missing = await client.post(f"{below}/ask", json={"by": "ann"})
    assert (missing.status_code, "brain-eventstream[dna]" in missing.json()["detail"]) == (501, True)
