"""The OpenAPI document: as FastAPI derives it, with the real error answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.routing import BaseRoute

from brain.kit.route_marks import PROBLEM_TYPE, SIGNED
from brain.server.idempotency import PARAMETER
from brain.server.paths import takes_key
from brain.server.problems import Problem

_DESCRIPTION = """\
Policy decisions, threats, health and one durable event stream for fleets of agents and services.

Errors are answered as `application/problem+json` (RFC 9457): `title`, `detail`, and `faults` that name every field at
fault. When the server has an API key, every request carries it as `Authorization: Bearer KEY`.

A POST that takes an `Idempotency-Key` and is sent again with it is carried out once, and answered again as the first
time, with `Idempotent-Replayed: true`.
"""

_ERRORS = {
    "400": "The body is not valid JSON",
    "401": "The key is missing, unknown, expired or revoked",
    "403": "The request comes from a page of another origin, or the role of the key does not allow it",
    "404": "Nothing has this id",
    "409": "The request does not fit the present state",
    "413": "The body is too large",
    "415": "The body is not declared as JSON",
    "421": "The Host header does not name this server",
    "422": "A value is not acceptable; `faults` names each",
    "429": "There were too many requests of this sender; `Retry-After` says when to try again",
    "503": "A part of the server does not answer; try again",
}


def answers(*codes: int) -> dict[int | str, dict[str, Any]]:
    """Further error answers of a route, for `responses=`: those that do not follow from its path and method."""
    return {code: _answer(str(code), None) for code in codes}


def document_of(app: FastAPI, routes: Sequence[BaseRoute], with_key: bool) -> dict[str, Any]:
    """The document of these routes of the application. `with_key`: requests need the API key."""
    document = get_openapi(title=app.title, version=app.version, description=_DESCRIPTION, routes=routes)
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for replaced in ("HTTPValidationError", "ValidationError"):
        schemas.pop(replaced, None)
    schemas["Problem"] = Problem.model_json_schema()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if method == "post" and takes_key(path, operation):
                operation["parameters"] = [*operation.get("parameters", ()), PARAMETER]
            if SIGNED in operation:
                operation["security"] = []
            statuses = _statuses(path, method, operation, with_key)
            responses = {code: shown for code, shown in operation["responses"].items() if not _is_default(shown)}
            operation["responses"] = responses | {
                code: _answer(code, responses.get(code)) for code in statuses if not _has_content(responses.get(code))
            }
    if with_key:
        components["securitySchemes"] = {"apiKey": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"apiKey": []}]
    return document


def _statuses(path: str, method: str, operation: dict[str, Any], with_key: bool) -> list[str]:
    if not path.startswith("/api/"):
        return ["421"]
    found = ["421", "429", "503"]
    if with_key:
        found += ["401", "403"]
    if operation.get("parameters") or "requestBody" in operation:
        found += ["422"]
    if "{" in path or method == "delete":  # the object may be gone already
        found += ["404"]
    if method != "get":
        found += ["400", "403", "409", "413", "415"]
    return sorted(set(found))


def _is_default(answer: dict[str, Any]) -> bool:
    return "HTTPValidationError" in str(answer.get("content", ""))


def _has_content(answer: dict[str, Any] | None) -> bool:
    return answer is not None and "content" in answer


def _answer(code: str, declared: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "description": (declared or {}).get("description", _ERRORS[code]),
        "content": {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
