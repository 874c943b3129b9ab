"""Every field and parameter of every JSON route of a real server, with values at and beyond each of its bounds.

Beyond a bound: an answer 4xx that names the field, and nothing is stored. At it: accepted, or refused for another
reason. Never an answer 5xx, never silence; and every list answers afterwards.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from brain.settings import Settings
from support.field_cases import Request, Walk
from support.server import running_server
from support.sizes import sizes
from support.wire import Answer, Wire

pytestmark = pytest.mark.asyncio(loop_scope="module")

PROBLEM = "application/problem+json"
OTLP = "/api/telemetry/v1/"
"""Its refusals have the form of OpenTelemetry's protocol."""
STATE = (
    "/api/policy/rules",
    "/api/policy/versions",
    "/api/policy/containments",
    "/api/policy/kill-switch",
    "/api/policy/approvals",
    "/api/threats?limit=1000",
    "/api/immune/events?limit=1000",
    "/api/silences",
)
"""What requests may change; the rest follows from it."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def late() -> AsyncIterator[list[asyncio.Task[list[str]]]]:
    """Those who still ask when the server stops, which answers them before; each gives what was wrong."""
    asking: list[asyncio.Task[list[str]]] = []
    yield asking
    assert [wrong for one in asking for wrong in await one] == []


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(
    tmp_path_factory: pytest.TempPathFactory, late: list[asyncio.Task[list[str]]]
) -> AsyncIterator[httpx.AsyncClient]:
    url = f"sqlite:///{tmp_path_factory.mktemp('bounds') / 'brain.db'}"
    async with running_server(Settings(stream=url, store=url, port=0)) as (_, client):
        yield client


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def wire(client: httpx.AsyncClient) -> AsyncIterator[Wire]:
    wire = Wire(client.base_url.port or 0)
    yield wire
    await wire.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=sizes(1, None))
async def walk(client: httpx.AsyncClient, request: pytest.FixtureRequest) -> Walk:
    rule = {"id": "kept", "name": "kept", "effect": "DENY", "conditions": []}
    threat = {"type": "scan", "source": "203.0.113.7"}
    silence = {"matchers": ["agent=a1"], "ends_at": 4e9, "by": "ann", "reason": "moved"}
    made = [
        await client.post(path, json=body)
        for path, body in (
            ("/api/policy/rules", rule),
            ("/api/threats", threat),
            ("/api/silences", silence),
            ("/api/incidents", {"title": "invoices"}),
        )
    ]
    assert [answer.status_code for answer in made] == [201] * 4
    known = {
        "run_id": "run_0000000000000000",
        "rule_id": "kept",
        "threat_id": made[1].json()["id"],
        "silence_id": made[2].json()["id"],
        "incident_id": made[3].json()["id"],
        "version": "1",
        "approval_id": "apr_none",
        "alert_id": "alr_none",
        "agent_id": "nobody",
        "event_id": "evt_policy_1703001234567_9f3ac81b2d40a1c7",
        "system": "jira",
        "snapshot_id": "1",
        "study_id": "st_none",
        "trial": "0",
        "mission_id": "mis_none",
        "task_id": "mis_none.a",
        "robot_id": "rover",
        "camera_id": "none",
        "model_id": "none",
        "link": "none",
        "topic": "odom",
        "map_id": "none",
        "goal_id": "none",
        "ref": "ev_none",
        "device_id": "host:none",
        "source": "robot-7",
        "name": "none",
        "number": "1",
        "level": "0",
        "tile": "000",
    }
    return Walk((await client.get("/openapi.json")).json(), known, request.param)


def undocumented(request: Request, answer: Answer) -> str:
    """What of the answer the document does not promise."""
    if answer.status not in request.answers:
        return f"{request} -> {answer.status} is not in the document"
    if answer.status >= 400 and answer.headers["content-type"] != PROBLEM and not request.path.startswith(OTLP):
        return f"{request} -> {answer.headers['content-type']}"
    return ""


async def state(client: httpx.AsyncClient) -> list[Any]:
    return [(await client.get(path)).json() for path in STATE]


async def test_beyond_a_bound_is_refused_naming_the_field_and_nothing_is_stored(
    client: httpx.AsyncClient, wire: Wire, walk: Walk
) -> None:
    before = await state(client)
    wrong = []
    count = 0
    for request in walk.requests():
        if not request.named:
            continue
        answer = await wire.send(request.method, request.path, request.body)
        count += 1
        if not 400 <= answer.status < 500:
            wrong.append(f"{request} -> {answer.status} {answer.text[:200]}")
        elif answer.status not in (404, 413) and request.named not in str(answer.json()["faults"]):
            wrong.append(f"{request} -> not named: {answer.text[:300]}")
        elif fault := undocumented(request, answer):
            wrong.append(fault)
    assert not wrong, f"{len(wrong)} of {count}:\n" + "\n".join(wrong[:60])
    assert count > 1_000
    assert await state(client) == before
    assert not walk.unbounded, f"no bound is stated for {sorted(set(walk.unbounded))}"


async def test_at_a_bound_no_answer_is_a_fault_of_the_server_and_all_lists_answer(
    client: httpx.AsyncClient, walk: Walk, late: list[asyncio.Task[list[str]]]
) -> None:
    requests = (request for request in walk.requests() if not request.named)

    async def ask(wire: Wire) -> list[str]:
        wrong: list[str] = []
        for request in requests:
            answer = await wire.send(request.method, request.path, request.body)
            if answer.status >= 500:
                wrong.append(f"{request} -> {answer.status} {answer.text[:200]}")
            elif fault := undocumented(request, answer):
                wrong.append(fault)
        await wire.close()
        return wrong

    # Several at once: one of them waits for a task as long as it may, which is longer than all the others take.
    asking = {asyncio.create_task(ask(Wire(client.base_url.port or 0))) for _ in range(3)}
    wrong: list[str] = []
    while len(asking) > 1:
        done, asking = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
        wrong += [fault for one in done for fault in one.result()]
    late += asking
    answered: dict[str, bool] = {}
    for path in walk.lists():
        answer = await client.get(path)
        answered[path] = answer.status_code == 200
    assert not wrong, f"{len(wrong)}:\n" + "\n".join(wrong[:60])
    assert len(answered) > 15
    assert all(answered.values()), answered
