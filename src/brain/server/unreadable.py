"""A header that names the stored items that an answer leaves out."""

from __future__ import annotations

from urllib.parse import quote

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from brain.unreadable import collecting

HEADER = "X-Brain-Unreadable"
SHOWN = 20
"""Most items that one header names."""


class NamesUnreadable:
    """ASGI middleware: a list names the items that it left out, as they cannot be read, in `X-Brain-Unreadable`, as
    `collection/key` in percent encoding, comma-separated, with `...` when there are more.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with collecting() as found:

            async def naming(message: Message) -> None:
                if message["type"] == "http.response.start" and found:
                    names = [quote(name[:300], safe="/:") for name in found[:SHOWN]]
                    more = ["..."] if len(found) > SHOWN else []
                    MutableHeaders(scope=message)[HEADER] = ", ".join([*names, *more])
                await send(message)

            await self._app(scope, receive, naming)
