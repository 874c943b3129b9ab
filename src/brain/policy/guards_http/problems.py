"""Denials over HTTP: 403 as application/problem+json; a web socket is closed with code 1008."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from brain.policy.guards import ActionDenied

POLICY_VIOLATION: Final = 1008
"""The code that a denied web socket is closed with (RFC 6455)."""


def install(app: Starlette) -> None:
    """Answer denials in `app` with 403 as application/problem+json; web sockets are closed with code 1008."""
    handler: Any = _answer
    app.add_exception_handler(ActionDenied, handler)


def problem(denied: ActionDenied) -> Mapping[str, Any]:
    """The denial as the members of a problem (RFC 9457), with the ids of the rule and of the request to a person."""
    return {
        "type": "about:blank",
        "title": denied.title,
        "status": denied.status,
        "detail": str(denied),
        **denied.ids(),
    }


def _response(denied: ActionDenied) -> Response:
    return Response(msgspec.json.encode(problem(denied)), denied.status, media_type="application/problem+json")


async def _answer(connection: HTTPConnection, error: Exception) -> Response | None:
    assert isinstance(error, ActionDenied)
    if not isinstance(connection, WebSocket):
        return _response(error)
    await connection.close(POLICY_VIOLATION, error.title)
    return None


async def refuse(scope: Scope, receive: Receive, send: Send, denied: ActionDenied) -> None:
    """Answer a denied request, or close a denied web socket, from inside a middleware."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": denied.title})
        return
    await _response(denied)(scope, receive, send)
