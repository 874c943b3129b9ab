"""ASGI middleware that decides on every request before the application sees it."""

from __future__ import annotations

from collections.abc import Callable, Collection

from fastapi import FastAPI
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from brain.policy.guards import ActionDenied, Guard
from brain.policy.guards_http.identify import Identify, identified
from brain.policy.guards_http.problems import refuse
from brain.policy.guards_http.requests import query_texts, readings, routed_path


class PolicyMiddleware:
    """ASGI middleware: every request is decided first, as action `http.<method>` on its path as resource.

    The path is the one that the application routes by, without its `root_path`; one with `//`, `.` or `..` in it is
    decided on as it is resolved, too, for so a mounted server of files reads it. The params are those of the query, as
    texts, a repeated one as a list: what they mean is known to the endpoint alone, so decide on values with `requires`.
    `action` and `resource` may be functions of the connection. Paths in `exempt` pass undecided. Denied requests are
    answered with 403 as application/problem+json; denied web sockets are closed with code 1008.
    """

    def __init__(
        self,
        app: ASGIApp,
        guard: Guard,
        *,
        agent: Identify,
        action: Callable[[HTTPConnection], str] | None = None,
        resource: Callable[[HTTPConnection], str] | None = None,
        exempt: Collection[str] = (),
    ) -> None:
        self._app = app
        self._root = app.root_path if isinstance(app, FastAPI) else ""  # it goes into the scope, but only further in
        self._guard = guard
        self._agent = agent
        self._action = action or _default_action
        self._resource = resource
        self._exempt = frozenset(exempt)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection({**scope, "root_path": self._root} if self._root else scope)
        path = routed_path(connection)
        if path not in self._exempt:
            try:
                await self._check(
                    connection, readings(path) if self._resource is None else [self._resource(connection)]
                )
            except ActionDenied as denied:
                await refuse(scope, receive, send, denied)
                return
        await self._app(scope, receive, send)

    async def _check(self, connection: HTTPConnection, resources: Collection[str]) -> None:
        action, params = self._action(connection), query_texts(connection)
        who = await identified(self._agent, connection)
        for resource in resources:
            await self._guard.check_async(action, resource, params, who)


def _default_action(connection: HTTPConnection) -> str:
    return f"http.{connection.scope.get('method', 'websocket').lower()}"
