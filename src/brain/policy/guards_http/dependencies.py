"""FastAPI dependencies: one that decides on an endpoint's call, and one that names who acts inside the endpoint."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection

from fastapi import HTTPException, WebSocketException
from starlette.requests import HTTPConnection

from brain.policy.decisions import Decision
from brain.policy.guards import ActionDenied, Guard, acting_as
from brain.policy.guards.description import chosen, filled
from brain.policy.guards_http.endpoint_params import endpoint_params
from brain.policy.guards_http.identify import Identify, identified
from brain.policy.guards_http.problems import POLICY_VIOLATION, problem
from brain.policy.guards_http.requests import readings, routed_path
from brain.policy.normalisation import normalise


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
            decisions = [
                await guard.check_async(action, one, seen, await identified(agent, connection)) for one in targets
            ]
            return decisions[0]
        except ActionDenied as denied:
            if connection.scope["type"] == "websocket":
                raise WebSocketException(POLICY_VIOLATION, denied.title) from denied
            raise HTTPException(denied.status, detail=problem(denied)) from denied

    return decide


def acting(agent: Identify) -> Callable[[HTTPConnection], AsyncIterator[None]]:
    """A FastAPI dependency inside which guards decide for the sender: `dependencies=[Depends(acting(who))]`.

    FastAPI runs a synchronous dependency in a thread with a copy of the context, so `acting_as` in one is not seen by
    the endpoint; this is seen, by endpoints of both kinds.
    """

    async def act(connection: HTTPConnection) -> AsyncIterator[None]:
        with acting_as(await identified(agent, connection)):
            yield

    return act
