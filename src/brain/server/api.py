"""The routes below `/api/` and their OpenAPI document, each part made at the first request for it.

To build 150 routes with their models takes as long as the rest of a start, and a third of its memory; most servers
answer a few of them. A part is built in a thread of its own, so that no other request waits for it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from starlette.types import ASGIApp, Receive, Scope, Send

from brain.plugins import Routes
from brain.policy.gc_pause import gc_paused
from brain.server.paths import KnownPath, known_paths
from brain.stream.threads import run_alone

if TYPE_CHECKING:
    from fastapi import APIRouter
    from starlette.routing import BaseRoute

    from brain.server.framework import Framework

PREFIX = "/api"
DOCUMENT = "/openapi.json"


class _Part:
    """Routes that are made together."""

    def __init__(self, routes: Routes | APIRouter, prefix: str) -> None:
        self.prefix = prefix
        self.make: Callable[[], APIRouter] = routes.make if isinstance(routes, Routes) else lambda: routes
        paths = routes.paths if isinstance(routes, Routes) else ("",)
        self._paths = tuple(prefix + path for path in paths)
        self.routes: Sequence[BaseRoute] = ()
        self.known: Sequence[KnownPath] | None = None

    def serves(self, path: str) -> bool:
        """Whether its routes may have this path."""
        return any(path == own or path.startswith(f"{own}/") for own in self._paths)


class Api:
    """The API of one server. `prepare` comes before whatever asks for the routes of a path."""

    def __init__(self, with_key: bool) -> None:
        self._with_key = with_key
        self._parts: list[_Part] = []
        self._framework: Framework | None = None
        self._document: dict[str, Any] | None = None
        self._making = threading.Lock()
        self._waiting = asyncio.Lock()

    def add(self, routes: Routes | APIRouter, prefix: str = PREFIX) -> None:
        """Serve these below `prefix`; the order of the document is that of the calls."""
        self._parts.append(_Part(routes, prefix))
        self._document = None

    def known(self, path: str) -> Iterator[KnownPath]:
        """The paths, as the document has them, of the parts that may have this path of a request."""
        for part in self._parts:
            if part.known is not None and part.serves(path):
                yield from part.known

    async def prepare(self, path: str) -> None:
        """Have what a request to this path needs. Raises what the import of a part's module raises."""
        whole = _is_document(path)
        missing = [part for part in self._parts if part.known is None and (whole or part.serves(path))]
        if not missing and self._framework is not None and (not whole or self._document is not None):
            return
        async with self._waiting:
            await run_alone(self._make, missing, whole)

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
            from brain.server.framework import Framework
            from brain.server.openapi import document_of

            if self._framework is None:
                self._framework = Framework(self._methods, self.document)
            for part in parts:
                if part.known is None:
                    before = len(self._framework.routes)
                    self._framework.include_router(part.make(), prefix=part.prefix)
                    part.routes = self._framework.routes[before:]
                    part.known = tuple(known_paths(document_of(self._framework, part.routes, self._with_key)))
            if whole and self._document is None:
                routes = [route for part in self._parts for route in part.routes]
                self._document = document_of(self._framework, routes, self._with_key)

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


def _is_of_api(scope: Scope) -> bool:
    path = scope.get("path", "")
    return path.startswith(f"{PREFIX}/") or _is_document(path)


def _is_document(path: str) -> bool:
    return path.rstrip("/") == DOCUMENT
