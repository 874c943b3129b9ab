"""Faults that can be switched on at a stand-in: what an outside service does on a bad day."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Literal

import msgspec
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

Mode = Literal["none", "slow", "busy", "error", "drop", "drop_after", "down", "unauthorized"]


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One way to misbehave."""

    mode: Mode = "none"
    """none; slow: answers after `seconds`; busy: 429 with Retry-After `seconds`; error: 500; drop: closes the
    connection without a word; drop_after: does what was asked, then closes it; down: 503; unauthorized: 401."""
    seconds: float = 1.0
    only: str = ""
    """Met only by requests of this method, or whose path ends with this."""
    times: int | None = None
    """How many requests it meets before it ends by itself; None for all until it is switched off."""


class Faulty:
    """An application that misbehaves as its `fault` says; its own pages (see StandIn) always work."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.fault: Fault = Fault()
        self.met: int = 0
        """Requests that met a fault."""
        self._released = asyncio.Event()

    def set(self, fault: Fault) -> None:
        """From now on, instead of what was set before."""
        self.fault = fault

    def release(self) -> None:
        """Let what is slow now go on at once: the server stops."""
        self._released.set()
        self._released = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        fault = self._next(scope["method"], scope["path"])
        match fault.mode:
            case "slow":
                try:
                    async with asyncio.timeout(fault.seconds):
                        await self._released.wait()
                except TimeoutError:
                    pass  # it was slow, and goes on
            case "busy":
                wait = {"Retry-After": f"{fault.seconds:.0f}"}
                return await Response("rate limited", 429, wait)(scope, receive, send)
            case "error":
                return await Response("internal error", 500)(scope, receive, send)
            case "down":
                return await Response("down for maintenance", 503)(scope, receive, send)
            case "unauthorized":
                return await Response("who are you?", 401)(scope, receive, send)
            case "drop":
                return await _drop(scope, receive)
            case "drop_after":
                await self._app(scope, receive, _swallow)
                return await _drop(scope, receive)
        with suppress(ClientDisconnect):  # the client died or gave up in the middle of its request
            await self._app(scope, receive, send)

    def _next(self, method: str, path: str) -> Fault:
        fault = self.fault
        if fault.mode == "none" or not (method == fault.only or path.endswith(fault.only)):
            return Fault()
        self.met += 1
        if fault.times is not None:
            left = fault.times - 1
            self.fault = msgspec.structs.replace(fault, times=left) if left else Fault()
        return fault


async def _swallow(message: Message) -> None:
    """An answer that never arrives."""


async def _drop(scope: Scope, receive: Receive) -> None:
    """Close the connection under the answer."""
    scope["abort"]()
    while (await receive())["type"] != "http.disconnect":
        pass


def with_abort(app: ASGIApp) -> ASGIApp:
    """The application, able to close a connection without an answer.

    ASGI has no word for that: the transport is taken from the object that uvicorn's `send` belongs to.
    """

    async def outermost(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope["abort"] = send.__self__.transport.abort  # type: ignore[attr-defined]
        await app(scope, receive, send)

    return outermost
