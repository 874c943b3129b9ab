"""What all stand-ins share: a log of what they received, their faults, and a page to look at."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp

from brain.demo.stand_ins.faults import Fault, Faulty, Mode
from brain.typed import ready

KEPT = 1000
"""Requests that a stand-in remembers."""
_BODY_SHOWN = 2000
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;margin:2rem;max-width:75rem;color:#1b1b1b;background:#fff}"
    "table{border-collapse:collapse;width:100%}td,th{border:1px solid #999;padding:.3rem .5rem;text-align:left;"
    "vertical-align:top;white-space:pre-line}th{white-space:nowrap}td:last-child{overflow-wrap:anywhere}"
    "div{overflow-x:auto}.notice{border:3px solid #8a4b00;background:#fff4e0;padding:.75rem}"
)


class Received(msgspec.Struct, frozen=True):
    """One request as it came in; secrets in headers are not kept."""

    at: float
    method: str
    path: str
    body: Any
    status: int
    """What was answered."""


class StandIn:
    """A small server in the place of an outside service.

    `/` shows a page, `/received` what came as JSON, `/faults` switches faults (POST a `Fault`), `/reset` empties all.
    Every other path is the service's own.
    """

    def __init__(
        self, name: str, source: str, routes: Sequence[BaseRoute], *, things: Callable[[], list[dict[str, Any]]]
    ) -> None:
        self.name = name
        self.source = source
        """The page of the vendor's documentation that it was written from."""
        self.received: list[Received] = []
        self._things = things
        self.faulty: Faulty = Faulty(Starlette(routes=list(routes)))
        self.app: ASGIApp = Starlette(
            routes=[
                Route("/", self._page),
                Route("/received", self._received),
                Route("/faults", self._faults, methods=["GET", "POST"]),
                Route("/reset", self._reset, methods=["POST"]),
                Mount("/", self.faulty),
            ]
        )

    def note(self, request: Request, body: Any, status: int, path: str = "") -> None:
        """Remember a request and what it was answered with; `path` in the place of one that holds a secret."""
        self.received.append(Received(time.time(), request.method, path or request.scope["path"], body, status))
        del self.received[:-KEPT]

    def answer(
        self,
        request: Request,
        body: Any,
        status: int,
        content: object = None,
        *,
        path: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Answer with JSON (a text as it is; None as nothing), and remember the request as `note` does."""
        self.note(request, body, status, path)
        if content is None:
            return Response(status_code=status)
        if isinstance(content, str):
            return PlainTextResponse(content, status)
        return JSONResponse(content, status, headers)

    def fail(self, mode: Mode, *, seconds: float = 1.0, only: str = "", times: int | None = None) -> None:
        """Misbehave from now on; see Fault."""
        self.faulty.set(Fault(mode, seconds, only, times))

    def recover(self) -> None:
        """Behave from now on."""
        self.faulty.set(Fault())

    def reset(self) -> None:
        """Be as new: nothing received, no fault."""
        self.received.clear()
        self.faulty.release()
        self.faulty.set(Fault())
        self.faulty.met = 0

    async def _received(self, request: Request) -> Response:
        return Response(
            msgspec.json.encode({"stand_in": self.name, "things": self._things(), "received": self.received}),
            media_type="application/json",
        )

    async def _faults(self, request: Request) -> Response:
        if request.method == "POST":
            try:
                self.faulty.set(msgspec.json.decode(await request.body(), type=ready(Fault)))
            except msgspec.MsgspecError as error:
                return JSONResponse({"error": str(error)}, 422)
        return Response(msgspec.json.encode(self.faulty.fault), media_type="application/json")

    async def _reset(self, request: Request) -> Response:
        self.reset()
        return Response(status_code=204)

    async def _page(self, request: Request) -> Response:
        title = f"Stand-in for {self.name}"
        notice = (
            f"This is a stand-in: a small local server that takes the place of {self.name} for the demo and the tests. "
            f"Nothing here reached {self.name}. Written from: {self.source}"
        )
        fault = self.faulty.fault
        return HTMLResponse(
            f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(title)}</title>"
            f"<meta name=viewport content='width=device-width'><style>{_STYLE}</style>"
            f"<main><h1>{escape(title)}</h1><p class=notice>{escape(notice)}</p>"
            f"<p>Fault switched on: <b>{escape(fault.mode)}</b></p>"
            f"<h2>What it holds</h2>{_table(self._things())}"
            f"<h2>What it received</h2>{_table([_row(one) for one in reversed(self.received)])}</main></html>"
        )


def _row(one: Received) -> dict[str, Any]:
    at = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(one.at))
    return {"at": at, "request": f"{one.method} {one.path}", "answered": one.status, "body": one.body}


def _table(rows: list[dict[str, Any]]) -> str:
    if not rows:
        return "<p>Nothing yet.</p>"
    names = list(dict.fromkeys(name for row in rows for name in row))
    head = "".join(f"<th scope=col>{escape(name)}</th>" for name in names)
    body = "".join("<tr>" + "".join(f"<td>{_cell(row.get(name))}</td>" for name in names) + "</tr>" for row in rows)
    return f"<div tabindex=0><table><tr>{head}</tr>{body}</table></div>"


def _cell(value: object) -> str:
    match value:
        case None:
            text = ""
        case str():
            text = value
        case [*lines] if all(isinstance(line, str) for line in lines):
            text = "\n".join(map(str, lines))
        case _:
            text = msgspec.json.encode(value).decode()
    return escape(text if len(text) <= _BODY_SHOWN else text[:_BODY_SHOWN] + " …")


def read_json(body: bytes) -> Any:
    """The body as JSON, or None when it is none."""
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError:
        return None
