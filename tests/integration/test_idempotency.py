"""Requests sent again with their Idempotency-Key, to a real server."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from brain.server import request_keys
from brain.server.request_keys import RequestKeys
from brain.server.running import Running
from support.server import running_server, without_consumers
from support.waiting import until

KEY = "Idempotency-Key"
THREAT = {"type": "scan", "source": "203.0.113.7", "severity": "LOW"}
ASKED = {"agent_id": "a", "agent_role": "guest", "action": "read", "resource": "db"}
CREATING: dict[str, tuple[str, dict[str, Any]]] = {
    "threat": ("/api/threats", THREAT),
    "health event": (
        "/api/immune/events",
        {"severity": "CRITICAL", "kind": "ERROR_SPIKE", "module": "billing", "message": "many errors"},
    ),
    "rule": ("/api/policy/rules", {"name": "No deletions", "effect": "DENY", "conditions": [], "everyone": True}),
    "rule with an id": (
        "/api/policy/rules",
        {"id": "mine", "name": "No deletions", "effect": "DENY", "conditions": [], "everyone": True},
    ),
    "containment": ("/api/policy/containments", {"agent_id": "a1", "ttl": 60, "reason": "looks odd"}),
    "silence": ("/api/silences", {"matchers": ["type=scan"], "ends_at": 9e10, "by": "ann", "reason": "a test"}),
    "incident": ("/api/incidents", {"title": "Odd things", "severity": "HIGH"}),
    "genome": ("/api/dna/snapshot", {"agent_id": "a1", "dna": {"temperature": 0.5}, "by": "ann", "reason": "a test"}),
    "incident of a correlation id": ("/api/incidents", {"title": "Odd things", "correlation_id": "story-1"}),
}

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served() -> AsyncIterator[tuple[Running, httpx.AsyncClient]]:
    async with running_server(without_consumers()) as served:
        yield served


@pytest.fixture
def client(served: tuple[Running, httpx.AsyncClient]) -> httpx.AsyncClient:
    return served[1]


def replayed(answer: httpx.Response) -> bool:
    return answer.headers.get("Idempotent-Replayed") == "true"


@pytest.mark.parametrize("kind", CREATING)
async def test_what_is_created_is_created_once_and_answered_again(client: httpx.AsyncClient, kind: str) -> None:
    path, body = CREATING[kind]
    headers = {KEY: f"key of {kind}".replace(" ", "-")}
    first = await client.post(path, json=body, headers=headers)
    assert first.status_code == 201, first.text
    assert not replayed(first)
    turned = dict(reversed(body.items()))
    again = await client.post(path, json=turned, headers={KEY: f'"{headers[KEY]}"'})
    assert replayed(again)
    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers.get("Location") == first.headers.get("Location")
    assert again.headers["Content-Type"] == first.headers["Content-Type"]

    other = await client.post(path, json={**body, **_otherwise(body)}, headers=headers)
    assert other.status_code == 422
    assert other.headers["Content-Type"] == "application/problem+json"
    assert "Idempotency-Key (header)" in other.json()["faults"][0]
    assert "take a new key" in other.json()["faults"][0]


def _otherwise(body: dict[str, Any]) -> dict[str, Any]:
    name = next(name for name in ("source", "message", "name", "reason", "title") if name in body)
    return {name: "another"}


@pytest.mark.parametrize("kind", CREATING)
async def test_a_request_whose_answer_was_not_kept_finds_what_it_created(
    served: tuple[Running, httpx.AsyncClient], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As when the server is killed after it created the thing, and its lease of the key is over.
    monkeypatch.setattr(RequestKeys, "finish", lambda *_: None)
    monkeypatch.setattr(request_keys, "LEASE", 0.0)
    server, client = served
    path, body = CREATING[kind]
    new = {name: f"{body[name]}-2" for name in ("id", "correlation_id", "agent_id", "source") if name in body}
    await until(lambda: server.stream.stats()["backlog"] == 0)
    before = len([event async for event in server.stream.replay()])
    answers = [
        await client.post(path, json=body | new, headers={KEY: f"lost-{kind}".replace(" ", "-")}) for _ in range(2)
    ]
    assert [(answer.status_code, replayed(answer)) for answer in answers] == [(201, False)] * 2, answers[1].text
    assert answers[0].json() == answers[1].json()
    await until(lambda: server.stream.stats()["backlog"] == 0)
    events = [event async for event in server.stream.replay()][before:]
    assert len({event.id for event in events}) == len({event.type for event in events}), [one.type for one in events]


async def test_of_many_at_once_one_is_carried_out(client: httpx.AsyncClient) -> None:
    source = "198.51.100.1"
    sent = (client.post("/api/threats", json={**THREAT, "source": source}, headers={KEY: "many"}) for _ in range(20))
    answers = await asyncio.gather(*sent)
    statuses = Counter(answer.status_code for answer in answers)
    assert statuses.keys() <= {201, 409}
    assert [replayed(answer) for answer in answers if answer.status_code == 201].count(False) == 1
    for refused in (answer for answer in answers if answer.status_code == 409):
        assert refused.headers["Retry-After"] == "1"
        assert refused.json()["title"] == "A request is outstanding for this Idempotency-Key"
    assert len((await client.get("/api/threats", params={"source": source})).json()) == 1


@pytest.mark.parametrize("key", ["", "k" * 256, "two words", "caf\xe9"])
async def test_a_key_that_is_none_is_refused(client: httpx.AsyncClient, key: str) -> None:
    answer = await client.post("/api/threats", json=THREAT, headers={KEY: key.encode("latin-1")})
    assert answer.status_code == 422
    assert answer.json()["faults"][0].startswith("Idempotency-Key (header): ")
    assert "1 to 255 visible ASCII characters" in answer.json()["detail"]


async def test_two_keys_are_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/threats", json=THREAT, headers=[(KEY, "a"), (KEY, "b")])
    assert (answer.status_code, answer.json()["detail"]) == (422, f"{KEY} (header): is there 2 times; send one")


async def test_a_key_counts_for_one_path(client: httpx.AsyncClient) -> None:
    made = (await client.post("/api/threats", json=THREAT, headers={KEY: "of-two-paths"})).json()
    moved = await client.post(
        f"/api/threats/{made['id']}/status", json={"status": "INVESTIGATING"}, headers={KEY: "of-two-paths"}
    )
    assert (moved.status_code, replayed(moved)) == (200, False)


async def test_a_note_and_a_comment_are_added_once(client: httpx.AsyncClient) -> None:
    incident = (await client.post("/api/incidents", json={"title": "Noted"})).json()
    threat = (await client.post("/api/threats", json=THREAT)).json()
    for path, note in (
        (f"/api/incidents/{incident['id']}/notes", {"text": "seen", "by": "ann"}),
        (f"/api/threats/{threat['id']}/comments", {"text": "seen"}),
    ):
        first = await client.post(path, json=note, headers={KEY: "note"})
        again = await client.post(path, json=note, headers={KEY: "note"})
        assert (again.status_code, again.content, replayed(again)) == (201, first.content, True)
    story = (await client.get(f"/api/threats/{threat['id']}/timeline")).json()
    assert story["correlation_id"] == threat["correlation_id"]
    assert story["whole"]
    assert {step["event"]["meta"]["correlation_id"] for step in story["steps"]} <= {threat["correlation_id"]}


async def test_a_refusal_is_answered_again(client: httpx.AsyncClient) -> None:
    path = "/api/threats/thr_none/status"
    first = await client.post(path, json={"status": "RESOLVED"}, headers={KEY: "refused"})
    again = await client.post(path, json={"status": "RESOLVED"}, headers={KEY: "refused"})
    assert first.status_code == 404
    assert (again.status_code, again.json(), replayed(again)) == (404, first.json(), True)


async def test_decisions_are_made_anew_whatever_the_key(client: httpx.AsyncClient) -> None:
    for _ in range(2):
        answer = await client.post("/api/policy/evaluate", json=ASKED, headers={KEY: "decision"})
        assert (answer.status_code, replayed(answer)) == (200, False)


CREATE_NOTHING = {
    "/api/policy/evaluate": "a decision",
    "/api/policy/evaluate/batch": "a decision",
    "/api/policy/evaluate-many": "a decision",
    "/api/policy/allowed-actions": "only reads",
    "/api/policy/explain": "only reads",
    "/api/policy/replay": "only reads",
    "/api/ros2/publish": "a command moves a robot",
    "/api/ros2/call": "a call is made at the robot",
    "/api/ros2/goals": "a goal is the robot's",
    "/api/ros2/goals/{goal_id}/cancel": "stays cancelled",
    "/api/slam/robots/{robot_id}/pose": "a pose of the same time",
    "/api/slam/maps/{map_id}": "the version that is there",
    "/api/slam/maps/{map_id}/load": "has the same one",
    "/api/slam/maps/{map_id}/versions/{version}/approve": "the same approval",
    "/api/vision/cameras/{camera_id}/detections": "a picture of the same time",
    "/api/vision/cameras/{camera_id}/picture": "a picture of the same time",
    "/api/vision/detect": "only looks",
    "/api/vision/models/{model_id}/approve": "the same approval",
    "/api/audit/verify": "only reads",
    "/api/immune/heartbeat": "the same again",
    "/api/access/keys": "shown once",
    "/api/access/agents": "a second time is a conflict",
    "/api/agents/session": "given for one signature",
    "/api/access/keys/{name}/rotate": "shown once",
    "/api/incidents/webhooks/{system}": "names a ticket",
    "/api/connectors/{name}/test": "how the connector is now",
    "/api/connectors/{name}/webhook": "has a key of its sender's",
    **{
        f"/api/missions/{{mission_id}}/{move}": "moves a mission"
        for move in ("start", "pause", "resume", "cancel", "retry")
    },
    **{f"/api/tasks/{{task_id}}/{said}": "names a lease" for said in ("heartbeat", "complete", "fail", "give-back")},
    "/api/tasks/{task_id}/answer": "answered once",
    "/api/playbooks/runs/{run_id}/answer": "answered once",
    "/api/tasks/lease": "free again when its lease ends",
    "/api/missions/vda5050/check": "only reads",
    **{f"/api/hardware/robots/{{robot_id}}/lease{move}": "the same again" for move in ("", "/renew", "/release")},
    **{f"/api/hardware/{move}": "the same again" for move in ("stop", "clear")},
    **{f"/api/telemetry/v1/{signal}": "exporters send no key" for signal in ("traces", "metrics", "logs")},
}


async def test_every_post_takes_a_key_or_says_why_not(client: httpx.AsyncClient) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]
    posts = {path: methods["post"] for path, methods in paths.items() if "post" in methods}
    assert len(posts) > 20
    exempt = {path: post["x-creates-nothing"] for path, post in posts.items() if "x-creates-nothing" in post}
    assert exempt.keys() == CREATE_NOTHING.keys()
    for path, post in posts.items():
        named = [given for given in post.get("parameters", ()) if given["in"] == "header" and given["name"] == KEY]
        assert len(named) == (path not in exempt), path
        if path in exempt:
            assert CREATE_NOTHING[path] in exempt[path]
        else:
            assert {"409", "422"} <= post["responses"].keys(), path
