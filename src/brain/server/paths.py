"""The paths of the API as its OpenAPI document lists them: their methods, and the query parameters of each.

FastAPI ignores a query parameter that no endpoint names: with a misspelt filter it would answer with everything. Its
405 names the methods of one route alone, where a path may have several.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

from starlette.datastructures import QueryParams
from starlette.routing import compile_path
from starlette.types import ASGIApp, Receive, Scope, Send

from brain.errors import InvalidInput
from brain.kit.route_marks import ACTION, ANY_QUERY, CREATES_NOTHING, RAW_BODY, SIGNED, RawBody
from brain.nearest import nearest
from brain.server.actions import ACTIONS, default_action
from brain.server.problems import problem

OPEN_PAGES = "/open/"
"""Below it is what plug-ins show to people who have no key (`Component.open_page`)."""
_ACTION = "brain.action"
"""The key of an ASGI scope under which the request's action is kept."""


@dataclass(frozen=True)
class KnownPath:
    """A path of the document."""

    pattern: re.Pattern[str]
    loose: re.Pattern[str]
    """The same with slashes in its last parameter: the document does not say which routes take them."""
    queries: Mapping[str, Mapping[str, bool] | None]
    """By method: the query parameters by name, and whether each may be given more than once; None when any will do."""
    takes_key: bool
    """Whether its POST takes an Idempotency-Key."""
    signed: frozenset[str]
    """The methods whose sender signs, and needs no API key."""
    raw: Mapping[str, RawBody]
    """By method: the body of a route that takes other than JSON."""
    actions: Mapping[str, str]
    """By method: what its sender must be allowed to do."""


class Paths:
    """The paths that an application serves; `known` gives those among which that of a request may be."""

    def __init__(self, known: Callable[[str], Iterable[KnownPath]]) -> None:
        self._known = known

    def methods(self, path: str) -> frozenset[str]:
        """Every method that this path of a request has; none for a path that is not in the document."""
        return frozenset(method for found in self._matching(path) for method in found.queries)

    def takes_key(self, path: str) -> bool:
        """Whether a POST to this path of a request takes an Idempotency-Key."""
        return any(found.takes_key for found in self._matching(path))

    def is_signed(self, method: str, path: str) -> bool:
        """Whether such a request is signed with a secret of its own, which its route checks: it needs no API key."""
        return any(method in found.signed for found in self._matching(path))

    def action(self, method: str, path: str) -> str:
        """What the sender of such a request must be allowed to do."""
        literal = ACTIONS.get(f"{method} {path}")
        if literal is not None:
            return literal
        asked = "GET" if method == "HEAD" else method
        loose = (found for found in self._known(path) if found.loose.match(path))
        for found in chain(self._matching(path), loose):
            if asked in found.actions:
                return found.actions[asked]
        return default_action(method)

    def action_of(self, scope: Scope) -> str:
        """As `action`, for a request; looked up once, however many ask."""
        found: str | None = scope.get(_ACTION)
        if found is None:
            found = scope[_ACTION] = self.action(scope.get("method", "GET"), scope["path"])
        return found

    def raw_body(self, method: str, path: str) -> RawBody | None:
        """What body the route of such a request takes; None where that is JSON, as nearly everywhere."""
        return next((found.raw[method] for found in self._matching(path) if method in found.raw), None)

    def query_faults(self, method: str, path: str, query: QueryParams) -> list[str]:
        """A fault for each query parameter that the endpoint does not have, or has once and was given more often."""
        queries = next((found.queries[method] for found in self._matching(path) if method in found.queries), None)
        if queries is None:
            return []
        unknown = [_fault(name, queries) for name in query if name not in queries]
        once = [name for name, repeats in queries.items() if not repeats and len(query.getlist(name)) > 1]
        return [*unknown, *(f"{name} (query parameter): is given more than once; give it once" for name in once)]

    def _matching(self, path: str) -> Iterator[KnownPath]:
        return (found for found in self._known(path) if found.pattern.match(path))


class KnownParameters:
    """ASGI middleware: 422 for a query parameter that an endpoint under `/api/` does not have, naming the nearest; and
    for one that is given twice where one is meant, of which only the last would count."""

    def __init__(self, app: ASGIApp, paths: Paths) -> None:
        self._app = app
        self._paths = paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["query_string"] and scope["path"].startswith("/api/"):
            query = QueryParams(scope["query_string"])
            faults = self._paths.query_faults(scope["method"], scope["path"], query)
            if faults:
                detail = faults[0] if len(faults) == 1 else f"{len(faults)} query parameters are not acceptable"
                await problem(InvalidInput.status, InvalidInput.title, detail, faults)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def known_paths(document: Mapping[str, Any]) -> Iterator[KnownPath]:
    """The paths of an OpenAPI document."""
    for path, operations in document["paths"].items():
        queries = {method.upper(): _names(found) for method, found in operations.items()}
        signed = frozenset(method.upper() for method, found in operations.items() if SIGNED in found)
        raw = {method.upper(): RawBody(**found[RAW_BODY]) for method, found in operations.items() if RAW_BODY in found}
        actions = {method.upper(): _action(method.upper(), path, found) for method, found in operations.items()}
        loose = f"{path[:-1]}:path}}" if path.endswith("}") else path
        patterns = compile_path(path)[0], compile_path(loose)[0]
        yield KnownPath(*patterns, queries, takes_key(path, operations.get("post")), signed, raw, actions)


def takes_key(path: str, post: Mapping[str, Any] | None) -> bool:
    """Whether the POST of this path takes an Idempotency-Key: each of the API does that has no reason not to."""
    return post is not None and path.startswith("/api/") and CREATES_NOTHING not in post


def _action(method: str, path: str, operation: Mapping[str, Any]) -> str:
    return ACTIONS.get(f"{method} {path}") or operation.get(ACTION) or default_action(method)


def _names(operation: Mapping[str, Any]) -> Mapping[str, bool] | None:
    if ANY_QUERY.items() <= operation.items():
        return None
    return {
        found["name"]: _is_list(found["schema"]) for found in operation.get("parameters", ()) if found["in"] == "query"
    }


def _is_list(schema: Mapping[str, Any]) -> bool:
    return schema.get("type") == "array" or any(_is_list(one) for one in schema.get("anyOf", ()))


def _fault(name: str, known: Collection[str]) -> str:
    shown = name if len(name) <= 50 else f"{name[:50]}..."
    near = nearest(name, known)
    if near is not None:
        remedy = f"did you mean {near}?"
    elif known:
        remedy = f"there are {', '.join(sorted(known))}"
    else:
        remedy = "this path has none"
    return f"{shown} (query parameter): no such parameter; {remedy}"
