"""`/api/events/live`: events as they happen, as server-sent events that a client resumes where it was cut off."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from brain.charter import Pattern, current_principal
from brain.errors import InvalidInput, Unavailable
from brain.logs import Log
from brain.policy.flow.bucket import LimitExceeded
from brain.server.broadcast import Broadcast
from brain.stream import EventStream
from brain.stream.backends import check_position, position_key

log: Log = Log("brain.live")

HEARTBEAT_SECONDS = 15.0
"""A comment is sent this often, so that proxies and clients see that the connection is alive."""

SEND_SECONDS = 30.0
"""A client that reads nothing for this long is disconnected; it reconnects with Last-Event-ID and loses nothing."""

RETRY_MILLISECONDS = 1000
"""How soon a browser reconnects."""

RESET = "reset"
"""The `event:` of a message that is no event of the stream: types of events have a dot."""


@dataclass(frozen=True)
class _Start:
    """Where one client begins: after `position`; `reset` says why that is not where it asked for."""

    pattern: Pattern
    position: str
    tail: str
    reset: str = ""
    of: str | None = None
    """Who follows, where that is proven."""


class Live:
    """The clients that follow the stream now. `close()` disconnects them all, so that the server can shut down."""

    def __init__(self, stream: EventStream, limit: int, each: int | None = None) -> None:
        self._stream = stream
        self._broadcast = Broadcast(stream)
        self._limit = limit
        self._each = each
        self._of: Counter[str] = Counter()
        self._closing = asyncio.Event()
        self.clients: int = 0

    def close(self) -> None:
        """End every client's answer, and accept no new client."""
        self._closing.set()

    async def answer(self, pattern: Pattern, after: str | None, last_event_id: str | None) -> Response:
        """The endless answer to one client. Raises Unavailable at the limit, LimitExceeded at that of one
        sender, InvalidInput for a bad `after`.
        """
        if self.clients >= self._limit or self._closing.is_set():
            raise Unavailable(f"{self.clients} clients follow events/live; the limit is {self._limit}")
        who = current_principal()
        name = who.name if who is not None and who.how != "none" else None
        if name is not None and self._each is not None and self._of[name] >= self._each:
            raise LimitExceeded(f"{name} follows events/live {self._each} times already, which is the most", 5.0)
        tail = await self._stream.start_position("now")
        if last_event_id is None:
            return _LiveAnswer(self, _Start(pattern, tail if after is None else check_position(after), tail, of=name))
        reason = await self._unknown(last_event_id, tail)
        return _LiveAnswer(self, _Start(pattern, tail if reason else last_event_id, tail, reason, name))

    async def serve(self, start: _Start, receive: Receive, put: Callable[[bytes], Awaitable[None]]) -> None:
        """Hand events to `put` until the client is gone, the server closes, or the stream does."""
        self.clients += 1
        if start.of is not None:
            self._of[start.of] += 1
        tasks = [
            asyncio.ensure_future(work)
            for work in (self._events(start, put), _heartbeats(put), _gone(receive), self._closing.wait())
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.clients -= 1
            if start.of is not None:
                self._of -= Counter((start.of,))
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
        for end in ends:
            if isinstance(end, Exception):
                raise end

    async def _events(self, start: _Start, put: Callable[[bytes], Awaitable[None]]) -> None:
        if start.reset:
            await put(reset_message(start.reset, start.tail))
        async with aclosing(self._broadcast.follow(start.pattern, start.position, start.tail)) as events:
            async for data in events:
                await put(data)

    async def _unknown(self, position: str, tail: str) -> str:
        """Why nobody can go on from the position without a gap; "" when one can."""
        try:
            key = position_key(check_position(position))
        except InvalidInput:
            return "Last-Event-ID is no position of this stream"
        if key > position_key(tail):
            return "Last-Event-ID is a position that this stream has not reached: the stream was replaced or set back"
        oldest = await self._stream.call(self._stream.backend.nth_oldest, 1)
        if key < position_key(oldest or tail):
            return "Last-Event-ID is older than the oldest event kept: events since then may be missing"
        return ""


async def _heartbeats(put: Callable[[bytes], Awaitable[None]]) -> None:
    while True:
        await asyncio.sleep(HEARTBEAT_SECONDS)
        await put(b": heartbeat\n\n")


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class EventStreamResponse(Response):
    """Server-sent events."""

    media_type = "text/event-stream"


class _LiveAnswer(EventStreamResponse):
    def __init__(self, live: Live, start: _Start) -> None:
        super().__init__(headers={"X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._live = live
        self._start = start

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def put(data: bytes) -> None:
            async with asyncio.timeout(SEND_SECONDS):
                await send({"type": "http.response.body", "body": data, "more_body": True})

        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await put(f"retry: {RETRY_MILLISECONDS}\n\n".encode())
        try:
            await self._live.serve(self._start, receive, put)
        except TimeoutError:
            log.info("live client disconnected", reason=f"it read nothing for {SEND_SECONDS:g} s")
            return
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def reset_message(reason: str, position: str) -> bytes:
    """What tells a client to read its state again; it goes on from the position."""
    data = json.dumps({"reason": reason, "position": position}).encode()
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (position.encode(), RESET.encode(), data)
