"""The HTTP face of the policy module."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient

from brain import EventStream
from brain.errors import BrainError
from brain.policy import PolicyEngine
from brain.policy.api import make_router

RULE: dict[str, Any] = {
    "id": "guests",
    "name": "No guests",
    "effect": "DENY",
    "conditions": [{"field": "agent_role", "operator": "==", "value": "guest"}],
    "priority": 5,
}


@pytest.fixture
def client() -> Iterator[TestClient]:
    app = FastAPI()
    stream = asyncio.run(opened())
    app.include_router(make_router(PolicyEngine(), stream), prefix="/api")

    @app.exception_handler(BrainError)
    async def problem(request: Request, error: BrainError) -> JSONResponse:
        return JSONResponse({"detail": str(error), "faults": list(getattr(error, "faults", ()))}, error.status)

    with TestClient(app) as client:
        yield client
    asyncio.run(stream.close())


async def opened() -> EventStream:
    return await EventStream.open("memory://")


def test_a_rules_life(client: TestClient) -> None:
    rules = "/api/policy/rules"
    made = client.post(rules, json=RULE)
    assert made.status_code == 201
    assert made.json()["enabled"] is True
    assert client.post(rules, json=RULE).status_code == 409
    assert client.get(rules).json() == [made.json()]
    assert client.get(f"{rules}/guests").json() == made.json()
    assert client.patch(f"{rules}/guests", json={"priority": 9}).json()["priority"] == 9
    assert client.post(f"{rules}/guests/disable").json()["enabled"] is False
    assert client.get(rules, params={"enabled": True}).json() == []
    assert client.post(f"{rules}/guests/enable").json()["enabled"] is True
    replaced = client.put(f"{rules}/guests", json={"name": "All", "effect": "ALLOW", "tags": ["t"]}).json()
    assert (replaced["conditions"], replaced["tags"], replaced["id"]) == ([], ["t"], "guests")
    assert len(client.get(rules, params={"tag": "t"}).json()) == 1
    assert client.delete(f"{rules}/guests").status_code == 204
    assert client.get(f"{rules}/guests").status_code == 404
    minted = client.post(rules, json={"name": "n", "effect": "deny"}).json()
    assert minted["id"].startswith("rule_")
    assert minted["effect"] == "DENY"


def test_decisions_and_explanations(client: TestClient) -> None:
    client.post("/api/policy/rules", json=RULE)
    asked = {"agent_id": "a", "agent_role": "guest", "action": "read", "tenant": "t1"}
    decision = client.post("/api/policy/evaluate", json=asked).json()
    assert (decision["allowed"], decision["effect"], decision["rule_id"]) == (False, "DENY", "guests")
    explained = client.post("/api/policy/explain", json={**asked, "agent_role": "admin"}).json()
    assert explained["decision"]["rule_id"] is None
    failed = explained["rules"][0]["conditions"][0]
    assert (failed["field"], failed["actual"], failed["holds"]) == ("agent_role", "admin", False)
    assert "agent_role == 'guest': fails, it is 'admin'" in explained["text"]


def test_bad_input_is_refused(client: TestClient) -> None:
    client.post("/api/policy/rules", json=RULE)
    rules = "/api/policy/rules"
    bad: dict[str, Any] = {
        **RULE,
        "id": "x",
        "effect": "MAYBE",
        "conditions": [
            {"field": "a", "operator": "~", "value": 1},
            {"field": "a", "operator": "matches", "value": "a(b"},
        ],
    }
    answer = client.post(rules, json=bad)
    assert answer.status_code == 422
    assert len(answer.json()["faults"]) == 3
    assert client.post(rules, json={**RULE, "colour": "red"}).status_code == 422
    assert client.patch(f"{rules}/guests", json={"effect": None}).status_code == 422
    assert client.patch(f"{rules}/guests", json={"priority": "high"}).status_code == 422
    assert client.post("/api/policy/evaluate", json={"agent_id": "a"}).status_code == 422
    for method, path in (("POST", "/zz/enable"), ("POST", "/zz/disable"), ("PATCH", "/zz"), ("DELETE", "/zz")):
        assert client.request(method, rules + path, json={} if method == "PATCH" else None).status_code == 404
