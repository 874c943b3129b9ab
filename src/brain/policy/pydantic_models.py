"""Pydantic models with the fields that another class declares, for what HTTP routes take and give.

A field's type, default, bounds (`msgspec.Meta`) and description are declared once, in the class that the model is of.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from enum import Enum
from functools import reduce
from operator import or_
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from msgspec import Meta
from pydantic import BaseModel, Field, create_model

from brain.fields import within

_BOUNDS = ("min_length", "max_length", "ge", "gt", "le", "lt")
_BYTES = "x-max-bytes"  # of a JSON value: a bound that no keyword of JSON Schema has


def model_of(
    shape: Any,
    name: str,
    doc: str,
    *,
    base: type[BaseModel] | None = None,
    defaults: Mapping[str, Any] | None = None,
    patch: bool = False,
    leave_out: Collection[str] = (),
    nested: Mapping[type, Any] | None = None,
    **types: Any,
) -> Any:
    """A model called `name` with the fields of a dataclass, NamedTuple or Struct.

    All are required but those in `defaults`; with `patch` each may be left out, and is None then. `nested` are the
    models that stand for classes in the types of fields. `types` replaces the types of fields, and adds fields.
    """
    fields: dict[str, Any] = {}
    own = get_type_hints(shape, include_extras=True)
    for field, hint in {**types, **own}.items():
        if field in leave_out:
            continue
        kind = types[field] if field in types and field in own else _edge(hint, nested or {})
        default = None if patch else (defaults or {}).get(field, ...)
        meta = next((one for one in getattr(hint, "__metadata__", ()) if isinstance(one, Meta)), None)
        about = meta.description if meta is not None and not patch else None
        fields[field] = (kind | None if patch else kind, Field(default, description=about))
    return create_model(name, __base__=base, __doc__=doc, **fields)


def names_of(kind: type[Enum]) -> Any:
    """The type of the values of an enum, for a model that gives or takes these as texts."""
    return Literal[tuple(member.value for member in kind)]


def _edge(hint: Any, nested: Mapping[type, Any]) -> Any:
    """The type as pydantic reads it: msgspec's bounds as its own, and collections that it builds itself."""
    if hasattr(hint, "__metadata__"):
        return _bounded(_edge(hint.__origin__, nested), hint.__metadata__)
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Sequence, list, tuple):
        return list[_edge(inner[0], nested)]  # type: ignore[misc]
    if origin is Mapping:
        return dict[str, Any]
    if origin in (Union, UnionType):
        return reduce(or_, (_edge(one, nested) for one in inner))
    return nested.get(hint, hint) if isinstance(hint, type) else hint


def _bounded(made: Any, metadata: tuple[Any, ...]) -> Any:
    for meta in metadata:
        bounds = {name: bound for name in _BOUNDS if (bound := getattr(meta, name, None)) is not None}
        extra = meta.extra_json_schema or {}
        if _BYTES in extra:
            made = Annotated[made, within(extra[_BYTES]), Field(json_schema_extra=extra)]
        elif bounds:
            made = Annotated[made, Field(**bounds)]
    return made
