"""Guards for HTTP: a FastAPI dependency, and an ASGI middleware in front of any application."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

import msgspec
from fastapi import HTTPException, Request
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from brain.policy.decisions import Decision
from brain.policy.guards import ActionDenied, Agent, Guard

Identify = Callable[[HTTPConnection], Agent | Awaitable[Agent]]
"""Who sent a request: an id or a mapping, perhaps after awaiting; the application knows how it authenticates."""


def requires(
    guard: Guard, action: str, *, agent: Identify, resource: str | None = None
) -> Callable[[Request], Awaitable[Decision]]:
    """A FastAPI dependency: `Depends(requires(guard, "orders.delete", agent=who, resource="order/{order_id}"))`.

    In `resource`, `{name}` stands for a path parameter; the params are those of path and query. A denial is answered
    with 403 and the decision as its detail.
    """

    async def decide(request: Request) -> Decision:
        named = dict(request.path_params)
        params = {**request.query_params, **named}
        target = resource.format_map(named) if resource is not None else request.url.path
        try:
            return await guard.check_async(action, target, params, await _who(agent, request))
        except ActionDenied as denied:
            raise HTTPException(403, detail=_problem(denied)) from denied

    return decide


class PolicyMiddleware:
    """ASGI middleware: every request is decided first, as action `http.<method>` on its path as resource.

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
        self._guard = guard
        self._agent = agent
        self._action = action or _default_action
        self._resource = resource or (lambda connection: connection.url.path)
        self._exempt = frozenset(exempt)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or scope["path"] in self._exempt:
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        try:
            await self._guard.check_async(
                self._action(connection),
                self._resource(connection),
                dict(connection.query_params),
                await _who(self._agent, connection),
            )
        except ActionDenied as denied:
            await _refuse(scope, send, denied)
            return
        await self._app(scope, receive, send)


async def _who(identify: Identify, connection: HTTPConnection) -> Agent:
    found = identify(connection)
    return await found if inspect.isawaitable(found) else found


def _default_action(connection: HTTPConnection) -> str:
    return f"http.{connection.scope.get('method', 'websocket').lower()}"


def _problem(denied: ActionDenied) -> Mapping[str, Any]:
    return {
        "type": "about:blank",
        "title": denied.title,
        "status": denied.status,
        "detail": str(denied),
        "rule_id": denied.decision.rule_id,
        "approval_id": denied.approval.id if denied.approval else None,
    }


async def _refuse(scope: Scope, send: Send, denied: ActionDenied) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": denied.title})
        return
    body = msgspec.json.encode(_problem(denied))
    headers = [(b"content-type", b"application/problem+json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": denied.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
