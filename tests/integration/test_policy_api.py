"""The HTTP face of the policy module, over a real socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from brain import EventStream
from brain.policy import PolicyEngine
from brain.policy.http import make_router
from brain.store.memory import MemoryStore
from support.http import client_of
from support.server import running_server, without_consumers
from support.waiting import until

RULE: dict[str, Any] = {
    "id": "guests",
    "name": "No guests",
    "effect": "DENY",
    "conditions": [{"field": "agent_role", "operator": "==", "value": "guest"}],
    "priority": 5,
}
ALLOW = {"id": "all", "name": "All", "effect": "ALLOW", "everyone": True}
ASKED = {"agent_id": "a", "agent_role": "guest", "action": "read", "tenant": "t1"}
RULES = "/api/policy/rules"


@pytest.fixture
async def server() -> AsyncIterator[tuple[EventStream, httpx.AsyncClient]]:
    async with running_server(without_consumers()) as (running, client):
        yield running.stream, client


@pytest.fixture
def client(server: tuple[EventStream, httpx.AsyncClient]) -> httpx.AsyncClient:
    return server[1]


async def test_a_rules_life(client: httpx.AsyncClient) -> None:
    made = await client.post(RULES, json=RULE, params={"by": "ann"})
    assert made.status_code == 201
    assert made.headers["location"] == "/api/policy/rules/guests"
    assert made.json()["enabled"] is True
    assert (await client.post(RULES, json=RULE)).status_code == 409
    assert (await client.get(RULES)).json() == [made.json()]
    assert (await client.get(f"{RULES}/guests")).json() == made.json()
    assert (await client.patch(f"{RULES}/guests", json={"priority": 9})).json()["priority"] == 9
    assert (await client.post(f"{RULES}/guests/disable")).json()["enabled"] is False
    assert (await client.get(RULES, params={"enabled": True})).json() == []
    assert (await client.post(f"{RULES}/guests/enable")).json()["enabled"] is True
    replaced = (await client.put(f"{RULES}/guests", json={**ALLOW, "id": None, "tags": ["t"]})).json()
    assert (replaced["conditions"], replaced["tags"], replaced["id"]) == ([], ["t"], "guests")
    assert len((await client.get(RULES, params={"tag": "t"})).json()) == 1
    assert (await client.delete(f"{RULES}/guests")).status_code == 204
    assert (await client.get(f"{RULES}/guests")).status_code == 404
    minted = (await client.post(RULES, json={"name": "n", "effect": "deny"})).json()
    assert minted["id"].startswith("rule_")
    assert minted["effect"] == "DENY"
    events = (await client.get("/api/events", params={"pattern": "policy.rule_created"})).json()
    assert "ann" in str(events)


async def test_decisions_and_explanations(client: httpx.AsyncClient) -> None:
    await client.post(RULES, json=RULE)
    await client.post(RULES, json=ALLOW)
    decision = (await client.post("/api/policy/evaluate", json=ASKED)).json()
    assert (decision["allowed"], decision["effect"], decision["rule_id"]) == (False, "DENY", "guests")
    batch = (await client.post("/api/policy/evaluate-many", json={"contexts": [ASKED, {"action": "x"}]})).json()
    assert [one["allowed"] for one in batch] == [False, True]
    explained = (await client.post("/api/policy/explain", json={**ASKED, "agent_role": "admin"})).json()
    assert explained["decision"]["rule_id"] == "all"
    failed = explained["rules"][1]["conditions"][0]
    assert (failed["field"], failed["actual"], failed["holds"]) == ("agent_role", "admin", False)
    assert "agent_role == 'guest': fails, it is 'admin'" in explained["text"]
    question = {"agent": {"agent_role": "admin"}, "actions": ["read", "write"], "resources": ["db"]}
    allowed = (await client.post("/api/policy/allowed-actions", json=question)).json()
    assert allowed == [{"action": "read", "resource": "db"}, {"action": "write", "resource": "db"}]


async def test_an_allow_without_conditions_must_say_that_it_is_for_everyone(client: httpx.AsyncClient) -> None:
    forgotten = {"id": "all", "name": "All", "effect": "ALLOW"}
    await client.post(RULES, json=RULE)
    for method, path, body in (
        ("POST", "/rules", forgotten),
        ("POST", "/rules", {**forgotten, "conditions": []}),
        ("PUT", "/rules/guests", {**forgotten, "id": "guests"}),
        ("PATCH", "/rules/guests", {"effect": "allow", "conditions": []}),
        ("POST", "/import", {"rules": [RULE, forgotten]}),
        ("POST", "/replay", {"rules": [forgotten]}),
    ):
        answer = await client.request(method, f"/api/policy{path}", json=body)
        assert answer.status_code == 422, (path, body)
        assert "conditions: are missing" in answer.json()["faults"][0]
    assert [rule["id"] for rule in (await client.get(RULES)).json()] == ["guests"]
    made = await client.post(RULES, json={**forgotten, "everyone": True})
    assert (made.status_code, made.json()["everyone"]) == (201, True)
    assert (await client.patch(f"{RULES}/all", json={"priority": 7})).json()["everyone"] is True
    again = await client.put(f"{RULES}/all", json=(await client.get(f"{RULES}/all")).json())
    assert (again.status_code, again.json()["priority"]) == (200, 7)
    narrower = await client.patch(f"{RULES}/all", json={"conditions": RULE["conditions"]})
    assert (narrower.status_code, narrower.json()["everyone"]) == (200, False)
    assert (await client.patch(f"{RULES}/all", json={"everyone": True})).status_code == 422


async def test_bad_input_is_refused(client: httpx.AsyncClient) -> None:
    await client.post(RULES, json=RULE)
    bad: dict[str, Any] = {
        **RULE,
        "id": "x",
        "effect": "MAYBE",
        "conditions": [
            {"field": "a", "operator": "~", "value": 1},
            {"field": "a", "operator": "matches", "value": "a(b"},
        ],
    }
    answer = await client.post(RULES, json=bad)
    assert answer.status_code == 422
    assert len(answer.json()["faults"]) == 3
    for method, path, body in (
        ("POST", "/rules", {**RULE, "colour": "red"}),
        ("PATCH", "/rules/guests", {"effect": None}),
        ("PATCH", "/rules/guests", {"priority": "high"}),
        ("POST", "/evaluate", {"agent_id": "a"}),
        ("POST", "/evaluate-many", {"contexts": []}),
        ("POST", "/containments", {"agent_id": "a", "ttl": -1, "reason": "r"}),
        ("POST", "/containments", {"agent_id": "a", "ttl": 1e12, "reason": "r"}),
        ("POST", "/containments", {"agent_id": "a", "ttl": 5, "reason": " "}),
        ("PUT", "/kill-switch", {"allow": []}),
        ("POST", "/replay", {"rules": [{"id": "a"}]}),
        ("POST", "/replay", {"rules": [{"id": "a", "name": "a", "effect": "MAYBE"}]}),
        ("POST", "/import", {"rules": [{"id": "a", "name": "a", "effect": "DENY", "tags": ["containment"]}]}),
    ):
        assert (await client.request(method, f"/api/policy{path}", json=body)).status_code == 422, (path, body)
    for method, path in (
        ("POST", "/rules/zz/enable"),
        ("POST", "/rules/zz/disable"),
        ("DELETE", "/rules/zz"),
        ("GET", "/versions/99/rules"),
        ("POST", "/versions/99/rollback"),
        ("DELETE", "/containments/zz"),
        ("DELETE", "/kill-switch"),
        ("GET", "/approvals/zz"),
    ):
        assert (await client.request(method, f"/api/policy{path}")).status_code == 404, path


async def test_sets_and_versions(client: httpx.AsyncClient) -> None:
    rules = [RULE, ALLOW]
    done = (await client.post("/api/policy/import", json={"rules": rules}, params={"by": "ann"})).json()
    assert done == {"created": ["guests", "all"], "updated": [], "deleted": [], "unchanged": 0}
    unknown = {"conditions": [{"field": "a", "operator": "?", "value": 1}], "everyone": False}
    bad = [RULE, {**ALLOW, "effect": "NO"}, {**ALLOW, **unknown}]
    refused = await client.post("/api/policy/import", json={"rules": bad, "replace": True})
    assert (refused.status_code, len(refused.json()["faults"])) == (422, 2)
    done = (await client.post("/api/policy/import", json={"rules": [ALLOW], "replace": True})).json()
    assert done["deleted"] == ["guests"]
    versions = (await client.get("/api/policy/versions")).json()
    assert [(one["version"], one["by"], len(one["changes"])) for one in versions] == [(2, None, 1), (1, "ann", 2)]
    assert [rule["id"] for rule in (await client.get("/api/policy/versions/1/rules")).json()] == ["guests", "all"]
    assert (await client.post("/api/policy/versions/1/rollback")).json()["created"] == ["guests"]
    await client.post(RULES, json={**ALLOW, "id": "copy"})
    findings = (await client.get("/api/policy/findings")).json()
    assert [(one["kind"], one["rule_id"]) for one in findings] == [("duplicate", "copy")]
    assert (await client.get("/api/policy/schema")).json()["title"] == "BRAiN policy file"


async def test_replay(server: tuple[EventStream, httpx.AsyncClient]) -> None:
    stream, client = server
    await client.post(RULES, json=ALLOW)
    for _ in range(3):
        await client.post("/api/policy/evaluate", json=ASKED)

    async def stored() -> bool:
        return len(await stream.read("policy.rule_evaluated")) == 3

    await until(stored)
    report = (await client.post("/api/policy/replay", json={"rules": [RULE]})).json()
    assert (report["decisions"], report["newly_denied"], report["by_agent"]) == (3, 3, {"a": {"newly_denied": 3}})
    assert report["examples"][0]["context"] == {**ASKED, "environment": {"identity": "asserted"}, "params": {}}
    alone = (await client.post("/api/policy/replay", json={"rules": [ALLOW], "alone": True})).json()
    assert alone["unchanged"] == 3
    assert (await client.get(f"{RULES}/guests")).status_code == 404, "a candidate changes nothing"


async def test_measures(client: httpx.AsyncClient) -> None:
    await client.post(RULES, json=ALLOW)
    body = {"agent_id": "team/a b", "ttl": 60, "reason": "stolen key", "by": "ann"}
    made = await client.post("/api/policy/containments", json=body)
    assert made.status_code == 201
    denied = (await client.post("/api/policy/evaluate", json={"agent_id": "team/a b", "action": "x"})).json()
    assert "stolen key" in denied["reason"]
    assert (await client.get("/api/policy/containments")).json() == [made.json()]
    assert (await client.delete("/api/policy/containments/team/a%20b")).status_code == 204
    assert (await client.get("/api/policy/containments")).json() == []
    assert (await client.get("/api/policy/kill-switch")).json() == {"on": False, "rule": None}
    on = (await client.put("/api/policy/kill-switch", json={"reason": "incident", "allow": ["ops"]})).json()
    assert on["on"]
    for agent, allowed in (("ops", True), ("a", False)):
        decision = (await client.post("/api/policy/evaluate", json={"agent_id": agent, "action": "x"})).json()
        assert decision["allowed"] is allowed
    assert (await client.delete("/api/policy/kill-switch")).json()["on"] is False


async def test_approvals(client: httpx.AsyncClient) -> None:
    engine = PolicyEngine(store=MemoryStore(), follow_interval=None)
    decision = PolicyEngine(default_effect="AUDIT").evaluate({})
    request = engine.approvals.request(decision, {"agent_id": "a", "action": "void"})
    async with EventStream.open("memory://") as stream:
        with client_of(make_router(engine, stream)) as local:
            approvals = "/api/policy/approvals"
            (shown,) = local.get(approvals, params={"status": "PENDING"}).json()
            assert (shown["id"], shown["context"]["action"]) == (request.id, "void")
            assert local.post(f"{approvals}/{request.id}/grant", json={}).status_code == 422
            granted = local.post(f"{approvals}/{request.id}/grant", json={"by": "ann", "reason": "fine"}).json()
            assert (granted["status"], granted["answered_by"]) == ("GRANTED", "ann")
            assert local.post(f"{approvals}/{request.id}/refuse", json={"by": "bob"}).status_code == 409
            assert local.get(f"{approvals}/{request.id}").json() == granted
            assert local.get(approvals, params={"status": "maybe"}).status_code == 422
    assert (await client.get("/api/policy/approvals")).json() == []
