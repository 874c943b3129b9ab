"""Every error answer as `application/problem+json` (RFC 9457), without traces, paths or internals."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Collection, Sequence
from http import HTTPStatus
from math import ceil
from typing import Any

import msgspec
from pydantic import BaseModel, Field
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from brain.errors import BrainError, InvalidInput, MissingExtra, NotNow
from brain.kit.route_marks import PROBLEM_TYPE
from brain.logs import Log
from brain.model_faults import fault_words

log: Log = Log("brain.server")

_WORDS = re.compile(r"[^a-z0-9]+")


class Problem(BaseModel):
    """Why a request failed (RFC 9457)."""

    type: str = Field(
        description="Which problem this is, as a stable URN", examples=["urn:brain:problem:invalid-input"]
    )
    title: str = Field(description="The same in words", examples=["Invalid input"])
    status: int = Field(description="The HTTP status", examples=[422])
    detail: str = Field(description="The fault in this request", examples=["operator: 'like' is not an operator"])
    faults: list[str] = Field(
        description="Every fault found, each with the field's name and the remedy",
        examples=[["operator: 'like' is not an operator; use ==, !=, >, <, contains, matches or in"]],
    )


def problem(status: int, title: str, detail: str, faults: Sequence[str] = ()) -> Response:
    """An answer with this status."""
    name = _WORDS.sub("-", title.lower()).strip("-")
    body = {
        "type": f"urn:brain:problem:{name}",
        "title": title,
        "status": status,
        "detail": detail,
        "faults": list(faults) or [detail],
    }
    return Response(msgspec.json.encode(body), status, media_type=PROBLEM_TYPE)


def install(app: Starlette, methods: Callable[[str], Collection[str]]) -> None:
    """Answer errors of endpoints and of the framework as problems; `methods` gives the methods of a path."""

    async def http_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED and (found := methods(request.url.path)):
            error.headers = {**(error.headers or {}), "Allow": ", ".join(sorted(found))}
        return _http_error(request, error)

    app.add_exception_handler(BrainError, _brain_error)
    app.add_exception_handler(HTTPException, http_error)


class LastResort:
    """ASGI middleware, the outermost: it logs an unexpected error under a reference, and answers with the reference."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception:
            reference = secrets.token_hex(4)
            log.exception("request failed", method=scope["method"], path=scope["path"], reference=reference)
            if started:
                raise  # the answer is half sent: only a dropped connection shows the client that it failed
            detail = f"the server failed on this request; its log has the cause under reference {reference}"
            await problem(500, "Internal error", detail)(scope, receive, send)


async def _brain_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, BrainError)
    return brain_problem(request.method, request.url.path, error)


def brain_problem(method: str, path: str, error: BrainError) -> Response:
    """The answer to a request that failed with this error."""
    if error.status < 500 or isinstance(error, MissingExtra | NotNow):
        answer = problem(error.status, error.title, str(error), getattr(error, "faults", ()))
        if error.status in (429, 503):
            answer.headers["Retry-After"] = str(max(1, ceil(getattr(error, "retry_after", 1.0))))
        return answer
    # The message of another failing part may hold addresses and file names: it is for the log, not for the client.
    log.error("request failed", method=method, path=path, error=str(error))
    answer = problem(
        error.status, error.title, "a part of the server does not answer; see /readyz, and try again later"
    )
    if error.status == 503:
        answer.headers["Retry-After"] = "1"
    return answer


def invalid(errors: Sequence[dict[str, Any]]) -> Response:
    """The answer to a request whose values pydantic finds at fault."""
    faults = [_fault(found) for found in errors]
    detail = faults[0] if len(faults) == 1 else f"{len(faults)} values are not acceptable"
    return problem(InvalidInput.status, InvalidInput.title, detail, faults)


_MILLISECONDS = 1e11
"""The bound of all fields that are Unix seconds."""


def _fault(found: dict[str, Any]) -> str:
    where, *path = found["loc"]
    name = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")
    message = fault_words(found)
    if found["type"] == "extra_forbidden":
        message += "; /openapi.json lists the fields of this request"
    if (found["type"], found.get("ctx")) == ("less_than", {"lt": _MILLISECONDS}):
        message = "must be a time in Unix seconds, such as 1703001234.5; this looks like milliseconds"
    if where == "body":
        return f"{name or 'body'}: {message}"
    return f"{name} ({where} parameter): {message}"


def _http_error(request: Request, error: HTTPException) -> Response:
    title = HTTPStatus(error.status_code).phrase
    allowed = (error.headers or {}).get("Allow")
    answers = {
        404: "this path does not exist; /openapi.json lists the paths",
        405: f"{request.method} is not possible here; possible: {allowed}"
        if allowed
        else f"{request.method} is not possible here",
    }
    detail = error.detail if error.detail != title else answers.get(error.status_code, title)
    answer = problem(error.status_code, title, detail)
    answer.headers.update(error.headers or {})
    return answer
