"""Requests for every operation of a document that takes JSON, with texts of a test in every place that takes one."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from typing import Any

from support.secrets_planted import planted

OPEN = ("environment", "params", "metadata", "details", "payload", "evidence", "data", "labels", "attributes", "input")
"""Fields that take any object."""
KEPT = frozenset({"agent_id", "allow", "input", "context", "result"})
"""What things are looked up by stays, and what tasks are given and give back: docs/privacy.md says so."""
WITHOUT = {
    "/api/access/": "a name that holds a secret is refused",
    "/api/metrics/definitions": "what a definition holds it must count by: docs/privacy.md says so",
    "/api/policy/import": "what a rule holds it must decide by: docs/privacy.md says so",
    "/api/policy/replay": "is given rules, too",
    "/api/policy/rules": "what a rule holds it must decide by",
}
"""Beginnings of paths whose bodies get none, and why."""


def examples(document: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Each operation with a JSON body, and its example. An operation without one, and without a reason, fails."""
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            content = operation.get("requestBody", {}).get("content", {}).get("application/json")
            if content is None or path.startswith(tuple(WITHOUT)):
                continue
            schema = content["schema"]
            if "$ref" in schema:
                schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
            example = next((one for one in schema.get("examples", ()) if isinstance(one, dict)), None)
            assert example is not None, f"{method} {path}: give its body an example, or a reason in support/planting.py"
            yield method, path, example


def filled(path: str) -> str:
    """The path with something in the place of each parameter."""
    return re.sub(r"{(\w+)}", r"\1", path.replace("{agent_id}", "a1"))


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
        if KEPT.isdisjoint(path):
            yield replaced(example, path, text)
