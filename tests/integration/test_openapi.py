"""The server keeps to its own OpenAPI document, whatever is thrown at it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from support.server import ServeProcess

EXAMPLES, EVERY, EVERY_WRONG = (150, 1, 1) if os.environ.get("HYPOTHESIS_PROFILE") == "long" else (2, 4, 8)
"""Requests to an operation; one operation of so many gets right ones, one of so many wrong ones: test_field_bounds.py
sends each of them right and wrong values of every field, and holds the answers to the document too."""
LIVE = "/api/events/live"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServeProcess]:
    with ServeProcess(tmp_path_factory.mktemp("openapi"), "--stream", "memory://") as server:
        httpx.get(f"{server.url}/openapi.json", timeout=60, trust_env=False)  # the first is built now
        yield server


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_every_answer_is_one_that_the_document_promises(server: ServeProcess, mode: GenerationMode) -> None:
    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json").exclude(path=LIVE)
    thrown = 0
    with requests.Session() as session:
        session.trust_env = False
        operations = islice(schema.get_all_operations(), 0, None, EVERY_WRONG if mode.is_negative else EVERY)
        for found in operations:
            thrown += _throw_at(found.ok(), mode, session)
    assert thrown > 12


def _throw_at(operation: APIOperation, mode: GenerationMode, session: requests.Session) -> bool:
    # A value may fit the schema and still be refused (a pattern that is none), and every value is some text in a query:
    # so neither is a fault. But the answer must be one that the document has, in its form, and not the server's fault.
    excluded = [positive_data_acceptance, *([] if operation.body else [negative_data_rejection])]

    @settings(
        max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=[*HealthCheck]
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def throw(case: Case) -> None:
        case.call_and_validate(session=session, timeout=20, excluded_checks=excluded)

    try:
        # On a stack of its own: CPython asks the system for memory at each call that crosses the end of a piece of its
        # frame stack, and as deep as pytest calls a test, Hypothesis crosses one so often that it takes half the time.
        with ThreadPoolExecutor(1) as pool:
            pool.submit(throw).result()
    except Unsatisfiable:
        assert mode.is_negative, operation.label
        return False  # no request to it can break its schema
    return True


def test_the_document_is_complete(server: ServeProcess) -> None:
    document = httpx.get(f"{server.url}/openapi.json", trust_env=False).json()
    assert "text/event-stream" in document["paths"][LIVE]["get"]["responses"]["200"]["content"]
    operations = {
        f"{method} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    assert len(operations) > 20
    for name, operation in operations.items():
        assert operation.get("summary"), name
        assert operation["tags"], name
        for parameter in operation.get("parameters", ()):
            assert parameter.get("description") or parameter["in"] == "path", (name, parameter["name"])
        if "application/json" in (content := operation.get("requestBody", {}).get("content", {})):
            body = content["application/json"]["schema"]
            assert _example(document, body), f"{name} has no example body"
        errors = {code for code in operation["responses"] if code[0] in "45" and name != "get /readyz"}
        if "/telemetry/v1/" in name:  # OTLP has a form of its own for these
            errors -= {"400", "413", "415", "501", "503"}
        for code in errors:
            content = operation["responses"][code].get("content", {})
            assert list(content) == ["application/problem+json"], (name, code)
    assert "HTTPValidationError" not in str(document)


def _example(document: dict[str, Any], schema: dict[str, Any]) -> Any:
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema.get("examples") or schema.get("example")
