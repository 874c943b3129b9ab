"""Guards for HTTP: FastAPI dependencies, an ASGI middleware in front of any application, and denials as problems."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from typing import Any

import msgspec
from fastapi import FastAPI, HTTPException, WebSocketException
from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from brain.policy.decisions import Decision
from brain.policy.guards import ActionDenied, Agent, Guard, acting_as
from brain.policy.guards.description import chosen, filled
from brain.policy.guards.endpoint import endpoint_params
from brain.policy.guards.web import query_texts, readings, routed_path
from brain.policy.normal import normalise

__all__ = ["PolicyMiddleware", "acting", "install", "requires"]

Identify = Callable[[HTTPConnection], Agent | Awaitable[Agent | None] | None]
"""Who sent a request: an id or a mapping, perhaps after awaiting; the application knows how it authenticates.

None is nobody, and refused; say ANONYMOUS where anybody may come."""

_POLICY_VIOLATION = 1008  # the code that a denied web socket is closed with (RFC 6455)


def requires(
    guard: Guard,
    action: str,
    *,
    agent: Identify,
    resource: str | None = None,
    params: Collection[str] | None = None,
) -> Callable[[HTTPConnection], Awaitable[Decision]]:
    """A FastAPI dependency: `Depends(requires(guard, "orders.delete", agent=who, resource="order/{order_id}"))`.

    The params are the endpoint's own parameters, parsed as it gets them: a number is a number, a body its model. With
    `params` only those named are decided on and recorded. In `resource`, `{name}` stands for a parameter; without it,
    the path is the resource. A denial is answered with 403 and the decision as its detail; a web socket is closed with
    code 1008.
    """

    async def decide(connection: HTTPConnection) -> Decision:
        given = normalise(await endpoint_params(connection))
        seen = given if params is None else chosen(given, params, action)
        path = routed_path(connection)
        targets = [filled(resource, given, action)] if resource is not None else readings(path)
        try:
            decisions = [await guard.check_async(action, one, seen, await _who(agent, connection)) for one in targets]
            return decisions[0]
        except ActionDenied as denied:
            if connection.scope["type"] == "websocket":
                raise WebSocketException(_POLICY_VIOLATION, denied.title) from denied
            raise HTTPException(denied.status, detail=_problem(denied)) from denied

    return decide


def acting(agent: Identify) -> Callable[[HTTPConnection], AsyncIterator[None]]:
    """A FastAPI dependency inside which guards decide for the sender: `dependencies=[Depends(acting(who))]`.

    FastAPI runs a synchronous dependency in a thread with a copy of the context, so `acting_as` in one is not seen by
    the endpoint; this is seen, by endpoints of both kinds.
    """

    async def act(connection: HTTPConnection) -> AsyncIterator[None]:
        with acting_as(await _who(agent, connection)):
            yield

    return act


def install(app: Starlette) -> None:
    """Answer denials in `app` with 403 as application/problem+json; web sockets are closed with code 1008."""
    handler: Any = _answer
    app.add_exception_handler(ActionDenied, handler)


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
                await _refuse(scope, receive, send, denied)
                return
        await self._app(scope, receive, send)

    async def _check(self, connection: HTTPConnection, resources: Collection[str]) -> None:
        action, params = self._action(connection), query_texts(connection)
        who = await _who(self._agent, connection)
        for resource in resources:
            await self._guard.check_async(action, resource, params, who)


async def _who(identify: Identify, connection: HTTPConnection) -> Agent:
    """The sender; a mapping without an id, which a guard refuses, when the application does not know it."""
    found = identify(connection)
    known = await found if inspect.isawaitable(found) else found
    return known if known is not None else {}


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


def _response(denied: ActionDenied) -> Response:
    return Response(msgspec.json.encode(_problem(denied)), denied.status, media_type="application/problem+json")


async def _answer(connection: HTTPConnection, error: Exception) -> Response | None:
    assert isinstance(error, ActionDenied)
    if not isinstance(connection, WebSocket):
        return _response(error)
    await connection.close(_POLICY_VIOLATION, error.title)
    return None


async def _refuse(scope: Scope, receive: Receive, send: Send, denied: ActionDenied) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": denied.title})
        return
    await _response(denied)(scope, receive, send)
