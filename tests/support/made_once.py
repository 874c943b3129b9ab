"""What FastAPI and httpx make anew for each server and client, and could share: made once a process.

The routes of one server are those of the next, so a validator of a parameter is the same too, and so are the
certificates that a client trusts. Making them is two thirds of what a start of a server costs.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import cache, wraps
from typing import Any

import httpx._transports.default as transports
from fastapi import routing
from fastapi._compat import v2


def make_once() -> None:
    """From now on, in this process and in those that are forked from it."""
    transports.create_ssl_context = cache(transports.create_ssl_context)
    v2.ModelField.__post_init__ = _validators_once(v2.ModelField.__post_init__)  # type: ignore[method-assign]
    routing._extract_endpoint_context = _places_once(routing._extract_endpoint_context)


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


def _places_once(find: Callable[[Any], Any]) -> Callable[[Any], Any]:
    found: dict[object, Any] = {}

    @wraps(find)
    def extract(function: Any) -> Any:
        code = getattr(function, "__code__", function)
        if code not in found:
            found[code] = find(function)
        return found[code]

    return extract
