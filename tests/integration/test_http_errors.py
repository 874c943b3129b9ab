"""Bad input over real HTTP: each answered with a clear 4xx as problem+json, naming the fault, without internals."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from support.log_lines import caught_logs
from support.server import running_server, without_consumers

RULE = {"id": "r1", "name": "No deletions", "effect": "DENY", "conditions": []}
CONDITION = {"field": "action", "operator": "==", "value": "x"}
THREAT = {"type": "scan", "source": "203.0.113.7", "severity": "LOW"}
JSON = {"Content-Type": "application/json"}


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with running_server(without_consumers()) as (_, client):
        yield client


def problem_of(answer: httpx.Response, status: int) -> dict[str, Any]:
    """The problem, checked to be one of this status that gives nothing of the inside away."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert problem.keys() == {"type", "title", "status", "detail", "faults"}
    assert problem["status"] == status
    assert problem["faults"]
    assert not re.search(r'Traceback|File "|/src/|site-packages|\.py\b|object at 0x', answer.text)
    return problem


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"effect": "FORBID"}, "effect"),
        ({"conditions": [{**CONDITION, "operator": "like"}]}, "operator"),
        ({"conditions": [{**CONDITION, "operator": "matches", "value": "a("}]}, "conditions[0].value"),
        ({"conditions": [{**CONDITION, "operator": "matches", "value": "(?=a)b"}]}, "conditions[0].value"),
        ({"conditions": [{"field": "action"}]}, "operator"),
        ({"priority": "high"}, "priority"),
        ({"colour": "red"}, "colour"),
        ({"name": None}, "name"),
    ],
)
async def test_a_malformed_rule_is_refused_naming_the_field(
    client: httpx.AsyncClient, change: dict[str, Any], named: str
) -> None:
    problem = problem_of(await client.post("/api/policy/rules", json={**RULE, **change}), 422)
    assert any(named in fault for fault in problem["faults"]), problem
    problem_of(await client.get(f"/api/policy/rules/{RULE['id']}"), 404)


async def test_every_fault_of_a_body_is_listed(client: httpx.AsyncClient) -> None:
    problem = problem_of(await client.post("/api/threats", json={"severity": "BAD", "extra": 1}), 422)
    assert {fault.partition(":")[0] for fault in problem["faults"]} == {"type", "source", "severity", "extra"}


async def test_fields_that_are_missing_or_unknown_are_said_in_plain_words(client: httpx.AsyncClient) -> None:
    problem = problem_of(await client.post("/api/policy/evaluate", json={"agent_id": "a"}), 422)
    assert problem["faults"] == ["action: is missing"]
    problem = problem_of(await client.post("/api/policy/rules", json={**RULE, "condtions": []}), 422)
    assert problem["faults"] == ["condtions: is unknown; /openapi.json lists the fields of this request"]


async def test_a_rule_id_that_is_taken_is_a_conflict(client: httpx.AsyncClient) -> None:
    rule = {**RULE, "id": "taken"}
    assert (await client.post("/api/policy/rules", json=rule)).status_code == 201
    problem_of(await client.post("/api/policy/rules", json=rule), 409)


async def test_an_illegal_move_is_a_conflict_that_lists_the_allowed_ones(client: httpx.AsyncClient) -> None:
    threat = (await client.post("/api/threats", json=THREAT)).json()
    path = f"/api/threats/{threat['id']}/status"
    problem = problem_of(await client.post(path, json={"status": "RESOLVED"}), 409)
    assert "INVESTIGATING" in problem["detail"]
    problem_of(await client.post(path, json={"status": "GONE"}), 422)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/policy/rules/none"),
        ("DELETE", "/api/policy/rules/none"),
        ("POST", "/api/policy/rules/none/enable"),
        ("GET", "/api/threats/thr_0000000000000000"),
        ("GET", "/api/events/evt_policy_1703001234567_9f3ac81b2d40a1c7"),
        ("GET", "/api/events/none"),
        ("GET", "/api/nothing"),
        ("GET", "/nothing"),
        ("GET", "/static/../settings.py"),
        ("GET", "/static/%2e%2e/%2e%2e/settings.py"),
    ],
)
async def test_what_is_not_there_is_a_404(client: httpx.AsyncClient, method: str, path: str) -> None:
    problem_of(await client.request(method, path), 404)


async def test_another_method_is_a_405_that_names_the_possible_ones(client: httpx.AsyncClient) -> None:
    answer = await client.delete("/api/threats/stats")
    problem_of(answer, 405)
    assert answer.headers["allow"] == "GET"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PATCH", "/api/policy/rules", "GET, POST"),
        ("POST", "/api/policy/rules/r1", "DELETE, GET, PATCH, PUT"),
        ("POST", "/api/policy/kill-switch", "DELETE, GET, PUT"),
        ("DELETE", "/api/threats", "GET, POST"),
        ("PUT", "/api/silences", "GET, POST"),
    ],
)
async def test_a_405_names_every_method_of_the_path(
    client: httpx.AsyncClient, method: str, path: str, allowed: str
) -> None:
    answer = await client.request(method, path, json={})
    assert allowed in problem_of(answer, 405)["detail"]
    assert answer.headers["allow"] == allowed


@pytest.mark.parametrize(
    "body",
    [b"{", b"", b"{'a': 1}", b'{"a": NaN}', b'{"a": "\xff"}', b'{"a": "\\ud800"}', b"[" * 100_000, b'{"a": 1e999}'],
)
async def test_what_is_not_json_is_refused(client: httpx.AsyncClient, body: bytes) -> None:
    problem = problem_of(await client.post("/api/threats", content=body, headers=JSON), 422 if body == b"" else 400)
    assert "body" in problem["detail"]


async def test_a_body_that_does_not_say_it_is_json_is_refused(client: httpx.AsyncClient) -> None:
    problem = problem_of(await client.post("/api/threats", content=b"{}", headers={"Content-Type": "text/plain"}), 415)
    assert "application/json" in problem["detail"]


async def test_an_oversized_body_is_refused_by_its_declared_length(client: httpx.AsyncClient) -> None:
    body = b'{"type": "' + b"x" * (2 << 20) + b'"}'
    problem = problem_of(await client.post("/api/threats", content=body, headers=JSON), 413)
    assert "1048576" in problem["detail"]


async def test_an_oversized_body_is_refused_while_reading_when_no_length_is_declared(
    client: httpx.AsyncClient,
) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(40):
            sent += 50_000
            yield b"x" * 50_000

    problem_of(await client.post("/api/threats", content=endless(), headers=JSON), 413)
    assert sent == 2_000_000


async def test_a_body_just_within_the_limit_is_read(client: httpx.AsyncClient) -> None:
    description = "x" * 9_000
    assert (await client.post("/api/threats", json={**THREAT, "description": description})).status_code == 201
    spaces = b" " * ((1 << 20) - 2) + b"{}"
    problem_of(await client.post("/api/threats", content=spaces, headers=JSON), 422)


async def test_a_client_that_waits_for_100_continue_is_refused_before_it_sends(client: httpx.AsyncClient) -> None:
    reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
    writer.write(
        b"POST /api/threats HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: 999999999\r\nExpect: 100-continue\r\n\r\n"
    )
    async with asyncio.timeout(60):
        assert (await reader.readline()).startswith(b"HTTP/1.1 413")
    writer.close()


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("limit=0", "limit"),
        ("limit=many", "limit"),
        ("since=yesterday", "since"),
        ("until=1y", "until"),
        ("pattern=A%20B", "pattern"),
        ("pattern=", "pattern"),
        ("after=here", "position"),
        ("before=1-2-3", "position"),
    ],
)
async def test_a_bad_parameter_is_named(client: httpx.AsyncClient, query: str, named: str) -> None:
    problem = problem_of(await client.get(f"/api/events?{query}"), 422)
    assert named in problem["detail"]


@pytest.mark.parametrize(
    ("method", "path", "remedy"),
    [
        ("GET", "/api/events?limt=5", "limt (query parameter): no such parameter; did you mean limit?"),
        ("GET", "/api/events?correlationId=x", "did you mean correlation_id?"),
        ("GET", "/api/threats?zzz=1", "there are before, limit, severity, source, status, type"),
        ("GET", "/api/threats/stats?limit=1", "this path has none"),
        ("GET", "/api/events/live?patern=a", "did you mean pattern?"),
        ("GET", "/api/incidents?State=open", "did you mean state?"),
        ("POST", "/api/policy/rules?By=me", "did you mean by?"),
        ("DELETE", "/api/policy/rules/r1?bye=me", "did you mean by?"),
    ],
)
async def test_an_unknown_parameter_is_refused_with_the_nearest(
    client: httpx.AsyncClient, method: str, path: str, remedy: str
) -> None:
    body = JSON if method == "POST" else {}
    answer = await client.request(method, path, headers=body, content=b"{}" if body else None)
    assert remedy in problem_of(answer, 422)["detail"]


async def test_every_path_of_the_api_refuses_an_unknown_parameter(client: httpx.AsyncClient) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]
    asked = [
        (method, path)
        for path, operations in paths.items()
        for method, operation in operations.items()
        if path.startswith("/api/") and not operation.get("x-any-query")
    ]
    assert len(asked) > 50
    for method, path in asked:
        url = re.sub(r"{\w+}", "7", path)
        takes = paths[path][method].get("requestBody", {}).get("content", {"application/json": {}})
        headers = {"content-type": next(iter(takes))}
        answer = await client.request(method, url, params={"no_such": "1"}, headers=headers, content=b"{}")
        assert "no_such" in problem_of(answer, 422)["detail"]


async def test_every_path_of_the_api_refuses_what_is_given_twice_where_one_is_meant(client: httpx.AsyncClient) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]
    asked = [
        (method, path, parameter["name"], '"array"' in json.dumps(parameter["schema"]))
        for path, operations in paths.items()
        for method, operation in operations.items()
        for parameter in operation.get("parameters", ())
        if path.startswith("/api/") and parameter["in"] == "query"
    ]
    assert len(asked) > 50
    for method, path, name, is_list in asked:
        url = f"{re.sub(r'{[^}]+}', '7', path)}?{name}=%00&{name}=%00"
        takes = paths[path][method].get("requestBody", {}).get("content", {"application/json": {}})
        answer = await client.request(method, url, headers={"content-type": next(iter(takes))}, content=b"{}")
        twice = f"{name} (query parameter): is given more than once; give it once"
        assert (twice in answer.text) is not is_list, (method, url, name, answer.text)


@pytest.mark.parametrize(
    "path",
    [
        "/?utm_source=x",
        "/static/app.css?v=1",
        "/metrics?name[]=brain",
        "/healthz?x=1",
        "/readyz?x",
        "/openapi.json?x=1",
    ],
)
async def test_what_is_not_the_api_takes_any_parameter(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == 200


async def test_a_webhook_takes_the_parameters_that_its_system_adds(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/incidents/webhooks/jira?user_id=1&user_key=x", json={})
    assert "webhook_secret" in problem_of(answer, 404)["detail"]


@pytest.mark.parametrize("query", ["after=here", "pattern=A"])
async def test_a_bad_start_of_the_live_feed_fails_before_it_begins(client: httpx.AsyncClient, query: str) -> None:
    problem_of(await client.get(f"/api/events/live?{query}"), 422)


async def test_an_unexpected_error_gives_nothing_away_but_a_reference(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> None:
        raise RuntimeError("secret detail in /some/path.py")

    monkeypatch.setattr("brain.server.events.catalogue_entry", broken)
    with caught_logs() as logs:
        problem = problem_of(await client.get("/api/events/catalogue"), 500)
    assert "secret" not in str(problem)
    (logged,) = [entry for entry in logs if entry["event"] == "request failed"]
    assert problem["detail"].endswith(f"reference {logged['reference']}")
    assert "RuntimeError: secret detail" in logged["exception"]
