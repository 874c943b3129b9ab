"""The routes below `/api/` and their OpenAPI document, each part made at the first request for it.

To build 150 routes with their models takes as long as the rest of a start, and a third of its memory; most servers
answer a few of them. A part is built in a thread of its own, so that no other request waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from starlette.types import ASGIApp, Receive, Scope, Send

from brain.garbage import gc_paused
from brain.locks import InterruptibleLock
from brain.logs import Log
from brain.plugins import Routes
from brain.server.paths import KnownPath, known_paths
from brain.stream.threads import run_alone

if TYPE_CHECKING:
    from fastapi import APIRouter
    from starlette.routing import BaseRoute

    from brain.server.framework import Framework

log: Log = Log("brain.server")

PREFIX = "/api"
DOCUMENT = "/openapi.json"


class _Part:
    """Routes that are made together."""

    def __init__(self, routes: Routes | APIRouter, prefix: str) -> None:
        self.prefix = prefix
        self.make: Callable[[], APIRouter] = routes.make if isinstance(routes, Routes) else lambda: routes
        paths = routes.paths if isinstance(routes, Routes) else None
        self.heads = None if paths is None else frozenset(_head(prefix + path) for path in paths)
        self.fault: Exception | None = None
        """Why its routes cannot be made; then it has none."""
        self.routes: Sequence[BaseRoute] | None = None
        self.known: Sequence[KnownPath] | None = None

    def names(self, head: str) -> bool:
        """Whether it is declared for paths that begin so."""
        return self.heads is not None and head in self.heads

    def serves(self, head: str) -> bool:
        """Whether its routes may have a path that begins so; those of a router that is there already may have any."""
        return self.heads is None or head in self.heads


class Api:
    """The API of one server. `prepare` comes before whatever asks for the routes of a path."""

    def __init__(self, with_key: bool) -> None:
        self._with_key = with_key
        self._parts: list[_Part] = []
        self._prepared: set[str] = set()
        """The beginnings of paths for which all is there."""
        self._framework: Framework | None = None
        self._document: dict[str, Any] | None = None
        self._making = InterruptibleLock()
        self._waiting = asyncio.Lock()

    def add(self, routes: Routes | APIRouter, prefix: str = PREFIX) -> None:
        """Serve these below `prefix`; the order of the document is that of the calls."""
        self._parts.append(_Part(routes, prefix))
        self._prepared.clear()
        self._document = None

    def known(self, path: str) -> Iterator[KnownPath]:
        """The paths, as the document has them, of the parts that may have this path of a request."""
        head = _head(path)
        for part in self._parts:
            if part.known is not None and part.serves(head):
                yield from part.known

    def is_prepared(self, path: str) -> bool:
        """Whether all is there that a request to this path needs."""
        return _head(path) in self._prepared

    async def prepare(self, path: str) -> None:
        """Have what a request to this path needs. Raises why the routes that are declared for it cannot be made, when
        none of them can; what other parts have is served."""
        whole = _is_document(path)
        head = _head(path)
        if head in self._prepared:
            return
        parts = [part for part in self._parts if whole or part.serves(head)]
        if self._framework is None or any(part.known is None for part in parts) or whole:
            async with self._waiting:
                await run_alone(self._make, parts, whole)
        own = [part for part in parts if part.names(head)]
        if own and not whole and all(part.fault is not None for part in own):
            raise RuntimeError(f"the routes below {head} cannot be made; mend their plug-in") from own[0].fault
        if whole or own:  # else there would be no end of beginnings to remember
            self._prepared.add(head)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self._framework is not None, "prepare comes first"
        await self._framework(scope, receive, send)

    def document(self) -> dict[str, Any]:
        """The whole OpenAPI document. Blocks while parts of it are made."""
        if self._document is None:
            self._make(self._parts, whole=True)
        assert self._document is not None
        return self._document

    def _make(self, parts: Sequence[_Part], whole: bool) -> None:
        with self._making, gc_paused():
            from brain.server.document_links import add_links
            from brain.server.framework import Framework
            from brain.server.openapi import document_of

            if self._framework is None:
                self._framework = Framework(self._methods, self.document)
            for part in parts:
                if part.routes is None:
                    part.routes = self._included(part, self._framework)
                if part.known is None and not whole:
                    part.known = tuple(known_paths(document_of(self._framework, part.routes, self._with_key)))
            if whole and self._document is None:
                routes = [route for part in self._parts for route in part.routes or ()]
                self._document = document_of(self._framework, routes, self._with_key)
                add_links(self._document)
                known = {
                    path: tuple(known_paths({"paths": {path: of}})) for path, of in self._document["paths"].items()
                }
                for part in self._parts:
                    part.known = [one for path, found in known.items() if part.serves(_head(path)) for one in found]

    def _included(self, part: _Part, framework: Framework) -> Sequence[BaseRoute]:
        before = len(framework.routes)
        try:
            framework.include_router(part.make(), prefix=part.prefix)
        except Exception as error:  # noqa: BLE001  (whatever a plug-in raises is its own fault; the others are served)
            part.fault = error
            log.error("routes are left out; their plug-in must be mended", paths=part.heads, raised=error)
        return framework.routes[before:]

    def _methods(self, path: str) -> frozenset[str]:
        return frozenset(method for found in self.known(path) if found.pattern.match(path) for method in found.queries)


class PreparesApi:
    """ASGI middleware, around all that asks for the routes of a path."""

    def __init__(self, app: ASGIApp, api: Api) -> None:
        self._app = app
        self._api = api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if _is_of_api(scope):
            await self._api.prepare(scope["path"])
        await self._app(scope, receive, send)


class ServesApi:
    """ASGI middleware, the innermost: requests to the API and its document go to `api`, all others go on."""

    def __init__(self, app: ASGIApp, api: Api) -> None:
        self._app = app
        self._api = api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (self._api if _is_of_api(scope) else self._app)(scope, receive, send)


def _head(path: str) -> str:
    """The beginning of a path that says which parts may have it: `/api/weather` of `/api/weather/storms`."""
    depth = 3 if path.startswith(f"{PREFIX}/") else 2
    return "/".join(path.split("/", depth)[:depth])


def _is_of_api(scope: Scope) -> bool:
    path = scope.get("path", "")
    return path.startswith(f"{PREFIX}/") or _is_document(path)


def _is_document(path: str) -> bool:
    return path.rstrip("/") == DOCUMENT
