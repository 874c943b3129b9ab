"""Quick answers: POSTs that are asked very often are answered from their body alone, before all that a route has.

A plug-in gives them (`Component.quick`). They answer what is plainly right; what is unusual in the request goes the
ordinary way to the route, as does what the plug-in leaves to it: so refusals, with their words, have one place.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from brain.plugins import Quick

BODY_SECONDS = 1.0
"""How long is waited for the rest of a body: one of many questions comes in several parts."""
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
        messages = await self._messages(receive)
        body = b"".join([message.get("body", b"") for message in messages])
        is_whole = messages[-1]["type"] == "http.request" and not messages[-1].get("more_body")
        found = answer(body) if is_whole and 0 < len(body) <= self._limit else None
        if found is None:
            await self._app(scope, _again(messages, receive), send)
            return
        length = b"%d" % len(found)
        headers = [(b"content-length", length), (b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": found})

    async def _messages(self, receive: Receive) -> list[Message]:
        """The whole body where it comes soon, or a part of it: the ordinary way has more patience."""
        messages = [await receive()]
        size = len(messages[0].get("body", b""))
        if messages[0].get("more_body"):
            with suppress(TimeoutError):
                async with asyncio.timeout(BODY_SECONDS):
                    while messages[-1].get("more_body") and size <= self._limit:
                        messages.append(await receive())
                        size += len(messages[-1].get("body", b""))
        return messages


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


def _again(messages: Iterable[Message], receive: Receive) -> Receive:
    """Gives the messages that were received once more, and then what comes."""
    waiting = deque(messages)

    async def again() -> Message:
        return waiting.popleft() if waiting else await receive()

    return again
