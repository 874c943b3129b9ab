"""Request bodies: read before the endpoint runs, within limits of size and time, and checked to be JSON."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode

import msgspec
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from brain import limits
from brain.errors import InvalidInput
from brain.json_text import json_fault
from brain.kit.route_marks import RawBody
from brain.redaction import holds_secret, redacted_body, redacted_text
from brain.server.paths import Paths
from brain.server.problems import problem

READ_SECONDS = 30.0
"""How long a client may take to send a body."""

DISCARDED = 16 << 20
"""How much of a body that is too large is read before the connection is closed, in bytes."""

_RECORDS = frozenset({"brain.report", "brain.operate", "brain.contain", "brain.approve"})
"""What the routes need whose bodies hold what people and agents wrote. Rules and contexts keep their values: they are
what is decided by."""
_AGENTS = ("agent_id", "allow")
_GIVEN: Mapping[str, tuple[str, ...]] = {
    # Agents of a measure stay as they call themselves when they ask: no name may keep one from being contained.
    "/api/policy/containments": _AGENTS,
    "/api/policy/kill-switch": _AGENTS,
    # What is done needs these values; its events are redacted.
    "/api/hardware/": _AGENTS,
    "/api/missions": ("tasks", "context"),
    "/api/ros2/": (*_AGENTS, "message", "request", "goal"),
    "/api/tasks/": (*_AGENTS, "result"),
}
"""Fields that stay as they came, by what paths begin with."""
_SECRET_NAME = "path: a name in it holds what looks like a key, a token or a password; take another name"
_HAVE_BODY = frozenset({"POST", "PUT", "PATCH", "DELETE"})


def _kept(body: bytes, path: str) -> bytes:
    """The body without its secrets, but for the fields that stay as they came."""
    kept = redacted_body(body)
    names = next((names for beginning, names in _GIVEN.items() if path.startswith(beginning)), ())
    if body == kept or not names:
        return kept
    try:
        given, shown = msgspec.json.decode(body), msgspec.json.decode(kept)
    except ValueError:
        return kept
    if not isinstance(given, dict):
        return kept
    return msgspec.json.encode(shown | {name: given[name] for name in names if name in given})


def _redacted_query(query: bytes) -> bytes:
    """The query of a request that changes something, which says who does it and the like, with its secrets replaced."""
    given = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    kept = [(name, redacted_text(text)) for name, text in given]
    return query if kept == given else urlencode(kept).encode()


def replayed(body: bytes, receive: Receive) -> Receive:
    """Gives this body whole, and then what `receive` gives."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


class BodyReader:
    """ASGI middleware: 413 for a body over the limit (counted while reading, whatever Content-Length says), 408 for one
    that does not arrive, 415 for one that is not declared as JSON, and 400 for one that is not JSON or nested too
    deeply. Numbers outside JSON, broken UTF-8, lone surrogates and repeated keys are refused, too.

    Secrets in bodies that are kept are replaced here, before anything is made of them.

    A route that takes another body (`brain.kit.http.raw_body`) checks its form itself.
    """

    def __init__(self, app: ASGIApp, limit: int, paths: Paths) -> None:
        self._app = app
        self._paths = paths
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in _HAVE_BODY:
            await self._app(scope, receive, send)
            return
        if (named := self._secret_name(scope)) is not None:
            await named(scope, receive, send)
            return
        headers = Headers(scope=scope)
        raw = self._paths.raw_body(scope["method"], scope["path"])
        limit = self._limit if raw is None or raw.most is None else raw.most
        try:
            async with asyncio.timeout(READ_SECONDS):
                body = await self._read(headers, receive, limit)
        except TimeoutError:
            await _late(raw)(scope, receive, send)
            return
        if body is None:
            return  # the client is gone
        if len(body) > limit:
            refusal: Response | None = _too_large(limit)
        elif raw is not None:
            refusal = _unknown_type(headers, raw)
        elif body and scope["path"].startswith("/api/"):
            refusal = _form_refusal(headers, body)
        else:
            refusal = None
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        if raw is None and body and self._is_kept(scope):
            body = _kept(body, scope["path"])
        is_ours = scope["path"].startswith("/api/") and not self._paths.is_signed(scope["method"], scope["path"])
        if scope["query_string"] and is_ours:
            scope = {**scope, "query_string": _redacted_query(scope["query_string"])}
        await self._app(scope, replayed(body, receive), send)

    def _secret_name(self, scope: Scope) -> Response | None:
        """The refusal of a request that would make, or change, a thing whose name in the path looks like a secret."""
        path = scope["path"]
        if scope["method"] == "DELETE" or not path.startswith("/api/") or not any(map(holds_secret, path.split("/"))):
            return None
        return problem(InvalidInput.status, InvalidInput.title, _SECRET_NAME)

    def _is_kept(self, scope: Scope) -> bool:
        """Whether the body is a record, and nothing is decided, signed or done by its values: they may be replaced."""
        path = scope["path"]
        if not path.startswith("/api/") or self._paths.is_signed(scope["method"], path):
            return False
        return self._paths.action_of(scope) in _RECORDS

    async def _read(self, headers: Headers, receive: Receive, limit: int) -> bytes | None:
        """As `read_body`; nothing of a body that is declared too large and that its client waits to send."""
        length = headers.get("content-length", "")
        declared = int(length) if length.isdecimal() else 0
        if declared > limit and headers.get("expect", "").lower() == "100-continue":
            return bytes(limit + 1)  # it has not begun to send, and need not
        return await read_body(receive, limit)


async def read_body(receive: Receive, limit: int) -> bytes | None:
    """The body, or a part of it that is over the limit; None when the client went away.

    The rest is read to a bound and discarded: a client that is disconnected while it sends would see a broken
    connection, and not the answer.
    """
    parts: list[bytes] = []
    kept = received = 0
    while received <= limit + DISCARDED:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        part = message.get("body", b"")
        received += len(part)
        if kept <= limit:
            parts.append(part)
            kept += len(part)
        if not message.get("more_body", False):
            break
    return b"".join(parts)


def _form_refusal(headers: Headers, body: bytes) -> Response | None:
    media_type = _media_type(headers)
    if media_type != "application/json" and not media_type.endswith("+json"):
        return problem(415, "Unsupported Media Type", "send the body as JSON, with Content-Type: application/json")
    fault = json_fault(body, limits.BODY_DEPTH)
    return None if fault is None else problem(400, "Invalid JSON", f"the body is not valid JSON: {fault}", [fault])


def _media_type(headers: Headers) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def _too_large(limit: int) -> Response:
    answer = problem(413, "Content Too Large", f"the body is larger than {limit} bytes")
    answer.headers["Connection"] = "close"
    return answer


def _unknown_type(headers: Headers, raw: RawBody) -> Response | None:
    if not raw.media_types or _media_type(headers) in raw.media_types:
        return None
    return problem(415, "Unsupported Media Type", f"send the body as {' or '.join(raw.media_types)}")


def _late(raw: RawBody | None) -> Response:
    words = f"the body did not arrive within {READ_SECONDS:g} s"
    if raw is None:
        return problem(408, "Request Timeout", words)
    answer = problem(503, "Unavailable", words)
    answer.headers["Retry-After"] = "1"
    return answer
