"""One correlation id and one trace for a request and the events that it causes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from random import getrandbits

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from brain.charter import correlation
from brain.redaction import holds_secret, remember_clean
from brain.stream.tracing import traceparent_in

HEADER = "X-Correlation-Id"

_NAME = HEADER.lower().encode()
_ID = re.compile(r"[!-~]{1,200}").fullmatch
_TRACESTATE = re.compile(r"[ -~]{1,512}").fullmatch


class Correlation:
    """ASGI middleware: events of a request carry its `X-Correlation-Id` and its W3C `traceparent` in their meta.

    A request without an id, or with one that is not 1 to 200 visible ASCII characters, gets one (`req_<32 hex
    digits>`); the answer's `X-Correlation-Id` says which. A malformed `traceparent` counts as none.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        correlation_id = given_id(headers.get(HEADER, "")) or new_id()

        async def with_id(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.accept"):
                message["headers"] = [*message.get("headers", ()), (_NAME, correlation_id.encode())]
            await send(message)

        trace = trace_of(headers.getlist("traceparent"), ",".join(headers.getlist("tracestate")))
        with correlation(correlation_id, **trace):
            await self._app(scope, receive, with_id)


def new_id() -> str:
    """The id of a request that has none."""
    made = f"req_{getrandbits(128):032x}"
    remember_clean(made)
    return made


def given_id(header: str) -> str | None:
    """The id of a request with this header ("" for none); None where it gets one: for what looks like a secret, too."""
    return header if _ID(header) and not holds_secret(header) else None


def trace_of(parents: Sequence[str], state: str) -> dict[str, str]:
    """A request's trace context as meta, of its `traceparent` headers; none when there are two of them."""
    parent = traceparent_in(parents[0]) if len(parents) == 1 else None
    if parent is None:
        return {}
    is_kept = _TRACESTATE(state) and not holds_secret(state)
    return {"traceparent": parent, "tracestate": state} if is_kept else {"traceparent": parent}
