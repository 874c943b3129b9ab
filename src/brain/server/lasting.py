"""Answers that last, such as events/live and WebSockets: they end when their sender would not be let in any more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from starlette.types import Message, Receive, Scope

from brain.errors import Unavailable
from brain.logs import Log

log: Log = Log("brain.server.lasting")

LIVE = "/api/events/live"
LOOK_SECONDS = 1.0
"""How often it is looked whether the sender would be let in."""


def lasts(scope: Scope) -> bool:
    """Whether the answer to this request may last for hours."""
    return bool(scope["type"] == "websocket" or scope["path"] == LIVE)


async def _is_over(over: Callable[[], Awaitable[bool]]) -> bool:
    """While the store is away, what was known last goes on, as for keys and agents."""
    try:
        return await over()
    except Unavailable as error:
        log.warning("it cannot be looked whether a follower would be let in; it goes on", error=str(error))
        return False


@asynccontextmanager
async def ended(receive: Receive, over: Callable[[], Awaitable[bool]], websocket: bool) -> AsyncIterator[Receive]:
    """Gives `receive` for the block: it says that the client is gone once `over` says that its time is."""
    done = asyncio.Event()

    async def look() -> None:
        try:
            while True:
                await asyncio.sleep(LOOK_SECONDS)
                if await _is_over(over):
                    return
        except Exception:
            log.exception("a follower is cut off: it cannot be looked whether its sender would be let in")
        finally:
            done.set()

    looking = asyncio.create_task(look())

    async def receive_or_end() -> Message:
        message: asyncio.Future[Message] = asyncio.ensure_future(receive())
        end = asyncio.create_task(done.wait())
        both: set[asyncio.Future[Any]] = {message, end}
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            end.cancel()
            if not message.done():
                message.cancel()
        if message.done() and not message.cancelled():
            return message.result()
        return {"type": "websocket.disconnect", "code": 1008} if websocket else {"type": "http.disconnect"}

    try:
        yield receive_or_end
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
