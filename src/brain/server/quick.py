"""Quick answers: POSTs that are asked very often are answered from their body alone, before all that a route has.

A plug-in gives them (`Component.quick`). They answer what is plainly right; what is unusual in the request goes the
ordinary way to the route, as does what the plug-in leaves to it: so refusals, with their words, have one place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from brain.plugins import Quick

_UNUSUAL = frozenset((b"idempotency-key", b"expect", b"transfer-encoding", b"content-encoding"))
_JSON = frozenset((b"application/json", b"application/json; charset=utf-8"))


class QuickAnswers:
    """ASGI middleware that answers so; who may use the server is checked before it."""

    def __init__(self, app: ASGIApp, quick: Callable[[str], Quick | None], limit: int) -> None:
        self._app = app
        self._quick = quick
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or (answer := self._quick(scope["path"])) is None:
            await self._app(scope, receive, send)
            return
        if scope["query_string"] or not is_plain(scope["headers"]):
            await self._app(scope, receive, send)
            return
        message = await receive()
        body = message.get("body", b"")
        found = answer(body) if not message.get("more_body") and 0 < len(body) <= self._limit else None
        if found is None:
            await self._app(scope, _again(message, receive), send)
            return
        length = b"%d" % len(found)
        headers = [(b"content-length", length), (b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": found})


def is_plain(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether they say that the body is JSON, and nothing that a route would have to look at."""
    is_json = False
    for name, value in headers:
        if name == b"content-type":
            if is_json or value not in _JSON:
                return False
            is_json = True
        elif name in _UNUSUAL:
            return False
    return is_json


def _again(first: Message, receive: Receive) -> Receive:
    """Gives the message that was received once more, and then what comes."""
    waiting: list[Any] = [first]

    async def again() -> Message:
        return waiting.pop() if waiting else await receive()

    return again
