"""The headers by which a browser protects the page, on every answer."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from brain.server.page import PLUGIN_PREFIX, STATIC_PREFIX

_HEADERS = (
    (b"content-security-policy", b"default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
)
_OF_FILES = (*_HEADERS, (b"cache-control", b"no-cache"))
OF_ANSWERS = (*_HEADERS, (b"cache-control", b"no-store"))


class SafeHeaders:
    """ASGI middleware that adds them, and says what may be cached.

    Browsers ask for the page's files each time, and get them only when they have changed. Nothing else is stored.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_file = scope.get("path", "").startswith((STATIC_PREFIX, PLUGIN_PREFIX))
        ours = _OF_FILES if is_file else OF_ANSWERS

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = message["headers"] = list(message["headers"])
                names = {name for name, _ in given}
                given += [header for header in ours if header[0] not in names]
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)
