"""The parameters of a FastAPI endpoint, as FastAPI parses them for it.

FastAPI has no public way to ask, before an endpoint runs, what it will get; so this uses the functions that it parses
with itself, on the fields that it made of the endpoint. Where they are not as expected the request is refused.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import request_body_to_args, request_params_to_args, solve_dependencies
from fastapi.exceptions import RequestValidationError, WebSocketRequestValidationError
from starlette.requests import HTTPConnection, Request

from brain.errors import InvalidInput
from brain.policy.guards_http.requests import query_texts

_NO_BODY = inspect.signature(solve_dependencies).parameters["body"].default


async def endpoint_params(connection: HTTPConnection) -> dict[str, Any]:
    """The endpoint's own parameters by name (path, query, header, cookie, body), as it will get them.

    Beside them, where the name is free, those that its dependencies read from path, query and body; then what else is
    in the query, as texts. Raises RequestValidationError, as FastAPI does, for a request that the endpoint refuses.
    """
    dependant, embeds = _endpoint(connection)
    body = await _body(connection)
    own, faults = await _parsed(dependant, connection, body, embeds)
    params = dict(own)
    for nested in _nested(dependant):
        found, others = await _parsed(nested, connection, body, embeds, credentials=False)
        params = {**found, **params}
        faults += others
    if faults:
        refused = RequestValidationError if isinstance(connection, Request) else WebSocketRequestValidationError
        raise refused(faults)
    return {**_undeclared(dependant, connection), **params}


def _undeclared(dependant: Dependant, connection: HTTPConnection) -> dict[str, Any]:
    """The undeclared parameters of path and query, as texts: the endpoint can still read them from the request."""
    every = (dependant, *_nested(dependant))
    in_query = {field.alias for each in every for field in each.query_params}
    in_path = {field.alias for each in every for field in each.path_params}
    texts = {name: value for name, value in query_texts(connection).items() if name not in in_query}
    return texts | {name: value for name, value in connection.path_params.items() if name not in in_path}


def _endpoint(connection: HTTPConnection) -> tuple[Dependant, bool]:
    """What FastAPI made of the endpoint, and whether the body's parameters are members of one object."""
    route: Any = connection.scope.get("route")
    included = connection.scope.get("fastapi", {}).get("effective_route_context")
    if included is not None and included.original_route is route:
        route = included  # of a router that was included, with the prefix's parameters
    dependant = getattr(route, "dependant", None)
    if not isinstance(dependant, Dependant):
        raise InvalidInput("requires() is for routes of FastAPI: put it into Depends(...)")
    in_query = {field.alias for field in dependant.query_params} - {field.alias for field in dependant.path_params}
    if misread := in_query.intersection(connection.path_params):
        raise InvalidInput(
            f"requires() cannot tell path from query for {', '.join(misread)} ; rename the query parameter"
        )
    return dependant, bool(route._embed_body_fields)


def _nested(dependant: Dependant) -> Iterator[Dependant]:
    for each in dependant.dependencies:
        yield each
        yield from _nested(each)


async def _body(connection: HTTPConnection) -> Any:
    """The body as FastAPI has read it before it asks dependencies: Starlette keeps it in the request."""
    if not isinstance(connection, Request):
        return _NO_BODY
    kept = vars(connection)
    for name in ("_form", "_json"):
        if name in kept and kept[name] is not None:
            return kept[name]
    if "_json" in kept:
        return None
    return kept.get("_body") or _NO_BODY


async def _parsed(
    dependant: Dependant, connection: HTTPConnection, body: Any, embeds: bool, credentials: bool = True
) -> tuple[dict[str, Any], list[Any]]:
    """The parameters by name, and what is wrong with them. Headers and cookies of dependencies are left unread."""
    sources: list[tuple[Any, Any]] = [
        (dependant.path_params, connection.path_params),
        (dependant.query_params, connection.query_params),
    ]
    if credentials:
        sources += [(dependant.header_params, connection.headers), (dependant.cookie_params, connection.cookies)]
    values: dict[str, Any] = {}
    faults: list[Any] = []
    for fields, received in sources:
        found, wrong = request_params_to_args(fields, received)
        values |= found
        faults += wrong
    if dependant.body_params:
        found, wrong = await request_body_to_args(
            body_fields=dependant.body_params, received_body=body, embed_body_fields=embeds
        )
        values |= found
        faults += wrong
    return values, faults
