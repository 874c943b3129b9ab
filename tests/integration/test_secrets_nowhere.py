"""Fifty planted secrets of fifteen kinds through every input of a server: found in no file, log, export or answer."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.secrets_planted import SECRETS, TEXTS, found_in, planted
from support.server import ServeProcess, brain
from support.sizes import sizes
from support.waiting import wait_until

OPEN = ("environment", "params", "metadata", "details", "payload", "evidence", "data", "labels", "attributes", "input")
"""Fields that take any object."""
IDS = ("agent_id",)
"""What things are looked up by stays, and numbers in it are no cards: docs/privacy.md says so."""
RULES = ("/api/policy/rules", "/api/policy/import", "/api/policy/replay", "/api/metrics/definitions")
"""What a rule holds it must decide by: docs/privacy.md says so."""


def examples(document: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Each operation with a JSON body, and its example."""
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            content = operation.get("requestBody", {}).get("content", {}).get("application/json")
            if content is None or path.startswith(RULES) or "/access/" in path:
                continue
            schema = content["schema"]
            if "$ref" in schema:
                schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
            for example in schema.get("examples", [])[:1]:
                if isinstance(example, dict):
                    yield method, path, example


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where texts are in a body."""
    if isinstance(value, str):
        yield path
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, member in members:
        yield from leaves(member, (*path, name))


def replaced(body: Any, path: tuple[Any, ...], text: str) -> Any:
    found = copy.deepcopy(body)
    place = found
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = text
    return found


def bodies(example: dict[str, Any], texts: Iterator[str]) -> Iterator[dict[str, Any]]:
    """The example with all of them in its open objects, and with one in each of its texts."""
    for name in OPEN:
        if isinstance(example.get(name), dict) or name in ("metadata", "details", "params", "environment"):
            yield {**example, name: planted()}
    for path in leaves(example):
        text = next(texts)
        if path[-1] not in IDS:
            yield replaced(example, path, text)


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
            filled = path.replace("{agent_id}", "a1").replace("{", "").replace("}", "")
            answer = client.request(method, filled, json=body)
            assert answer.status_code < 500, (method, path, body, answer.text)
            taken += answer.is_success
    for path, operations in document["paths"].items():
        for parameter in operations.get("get", {}).get("parameters", ()):
            number += 1
            if parameter["in"] == "query" and number % every == 0 and path != "/api/events/live":
                assert client.get(path, params={parameter["name"]: next(texts)}).status_code < 500, path
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
