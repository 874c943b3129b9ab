"""What FastAPI, SQLAlchemy and httpx make for each server, engine and client, and could share: made once a process.

The routes of one server are those of the next, so a validator of a parameter is the same too, and so are the
certificates that a client trusts. Making them is two thirds of what a start of a server costs. The OpenAPI document,
which a server needs at its first request with a query, costs three times as much as a start.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from copy import deepcopy
from dataclasses import fields, replace
from functools import cache, wraps
from types import FunctionType
from typing import Any

import httpx._transports.default as transports
from fastapi import routing
from fastapi._compat import v2
from fastapi.dependencies.models import Dependant
from fastapi.openapi import utils as openapi_utils
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.sql.elements import ClauseElement
from sqlalchemy.util import LRUCache

from brain.server import openapi


def make_once() -> None:
    """From now on, in this process and in those that are forked from it."""
    transports.create_ssl_context = cache(transports.create_ssl_context)
    v2.ModelField.__post_init__ = _validators_once(v2.ModelField.__post_init__)  # type: ignore[method-assign]
    routing.get_dependant = _dependants_once(routing.get_dependant)
    routing._extract_endpoint_context = _places_once(routing._extract_endpoint_context)
    openapi.get_openapi = _documents_once(openapi.get_openapi)  # type: ignore[attr-defined]
    ClauseElement._compile_w_cache = _statements_once(ClauseElement._compile_w_cache)  # type: ignore[method-assign]


def _validators_once(make: Callable[[Any], None]) -> Callable[[Any], None]:
    made: dict[Hashable, Any] = {}

    @wraps(make)
    def post_init(field: Any) -> None:
        try:
            key = _key(field)
            found = made.get(key)
        except TypeError:  # something in it is not hashable
            make(field)
            return
        if found is None:
            make(field)
            made[key] = field._type_adapter
        else:
            field._type_adapter = found

    return post_init


def _key(field: Any) -> Hashable:
    """All that decides what the validator is; what is not hashable in it raises TypeError in a look-up."""
    parts = v2.asdict(field.field_info)
    attributes = parts["attributes"]
    shown = {name: attributes.pop(name, None) for name in ("examples", "json_schema_extra")}
    config = tuple(sorted(field.config.items())) if field.config else None
    return parts["annotation"], tuple(parts["metadata"]), tuple(attributes.items()), repr(shown), config


def _dependants_once(make: Callable[..., Dependant]) -> Callable[..., Dependant]:
    """What FastAPI reads off the signature of an endpoint is the same for each server's own function of that code."""
    made: dict[Hashable, Dependant] = {}

    @wraps(make)
    def get_dependant(*, path: str, call: Callable[..., Any], **more: Any) -> Dependant:
        if not isinstance(call, FunctionType):
            return make(path=path, call=call, **more)
        said = repr((call.__defaults__, call.__kwdefaults__, call.__annotations__, more))
        key = path, call.__code__, id(call.__globals__), said
        found = made.get(key)
        if found is None:
            found = make(path=path, call=call, **more)
            if not found.dependencies:  # those would be other servers' functions
                made[key] = found
        lists = {
            field.name: [*value] for field in fields(found) if isinstance(value := getattr(found, field.name), list)
        }
        return replace(found, call=call, **lists)

    return get_dependant


def _statements_once(make: Callable[..., Any]) -> Callable[..., Any]:
    """SQLAlchemy keeps what it made of a statement for each engine; it is the same for all SQLite files."""
    shared: list[Any] = []

    @wraps(make)
    def compile_with_cache(statement: ClauseElement, dialect: Dialect, **more: Any) -> Any:
        if type(dialect) is SQLiteDialect_pysqlite and more["compiled_cache"] is not None:
            if not shared:
                shared.extend((dialect, LRUCache(5_000)))
            dialect, more["compiled_cache"] = shared
        return make(statement, dialect, **more)

    return compile_with_cache


def _places_once(find: Callable[[Any], Any]) -> Callable[[Any], Any]:
    found: dict[object, Any] = {}

    @wraps(find)
    def extract(function: Any) -> Any:
        code = getattr(function, "__code__", function)
        if code not in found:
            found[code] = find(function)
        return found[code]

    return extract


def _documents_once(make: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    if not hasattr(routing, "iter_route_contexts"):  # an earlier FastAPI: `make test-lowest`
        return make
    made: dict[Hashable, dict[str, Any]] = {}

    @wraps(make)
    def get_openapi(*, routes: Any, **more: Any) -> dict[str, Any]:
        key = tuple(_route_keys(routes)), repr(sorted(more.items()))
        try:
            if key not in made:
                made[key] = make(routes=routes, **more)
        except TypeError:  # something in it is not hashable
            return make(routes=routes, **more)
        return deepcopy(made[key])

    return get_openapi


def _route_keys(routes: Any) -> Iterator[Hashable]:
    """All that decides what the document says of each route."""
    for found in routing.iter_route_contexts(routes):
        if isinstance(found.original_route, routing.APIRoute):
            fields = [found.body_field, found.response_field, *found.response_fields.values()]
            fields += openapi_utils.get_flat_params(found.dependant)  # type: ignore[attr-defined]
            infos = [(field.name, field.field_info) for field in fields if field]
            shown = tuple((name, info.annotation, repr(info)) for name, info in infos)
            said = repr((found.summary, found.description, found.responses, found.openapi_extra, found.status_code))
            code = getattr(found.endpoint, "__code__", found.endpoint)
            yield found.path_format, frozenset(found.methods or ()), code, shown, said, found.include_in_schema
