"""What routes answer with, made from the struct or dataclass that declares the shape: no field is described twice.

class Move(msgspec.Struct):
    "One move of a threat."
    at: Annotated[float, Meta(description="When, in Unix seconds.")]

MoveView = view_of(Move)
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping, Sequence
from functools import reduce
from operator import or_
from types import MappingProxyType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec
from pydantic import BaseModel, ConfigDict, Field, create_model

_NONE: Mapping[type, type[BaseModel]] = MappingProxyType({})
_made: dict[type, type[BaseModel]] = {}


def view_of(
    declared: type,
    name: str = "",
    *,
    without: Sequence[str] = (),
    properties: Sequence[str] = (),
    views: Mapping[type, type[BaseModel]] = _NONE,
    example: Mapping[str, Any] | None = None,
) -> type[BaseModel]:
    """The pydantic model of a struct or dataclass; `View.model_validate(object)` fills it from an untagged one.

    `name` is what OpenAPI calls it, else the class's name and `View`. Its description is the first paragraph of the
    class's docstring; those of the fields are in `msgspec.Meta`, those of the `properties` to add in their docstrings.
    Structs and dataclasses inside become views too: those of `views`, those made before, or new ones.
    """
    fields: dict[str, Any] = {}
    if issubclass(declared, msgspec.Struct) and isinstance(tag := declared.__struct_config__.tag, str):
        about = Field(description=f"Always {tag}.", examples=[tag])
        fields[str(declared.__struct_config__.tag_field)] = Annotated[str, about]
    hints = get_type_hints(declared, include_extras=True)
    for field, default in _fields(declared).items():
        if field not in without:
            kind = _translate(hints[field], views)
            fields[field] = (kind, None) if default is msgspec.UNSET else kind
    for field in properties:
        getter = inspect.getattr_static(declared, field).fget
        kind = _translate(get_type_hints(getter, include_extras=True)["return"], views)
        fields[field] = Annotated[kind, Field(description=_about(getter))]
    config = ConfigDict(from_attributes=True)
    if example is not None:
        config["json_schema_extra"] = {"examples": [dict(example)]}
    made: type[BaseModel] = create_model(
        name or f"{declared.__name__}View", __config__=config, __doc__=_about(declared), **fields
    )
    _made[declared] = made
    return made


def list_of(view: type[BaseModel]) -> Any:
    """For `response_model=` of a route that answers with a list."""
    return list[view]  # type: ignore[valid-type]


def _fields(declared: type) -> Mapping[str, Any]:
    """The names of the fields, with their defaults."""
    if issubclass(declared, msgspec.Struct):
        return {field.name: field.default for field in msgspec.structs.fields(declared)}
    return {field.name: field.default for field in dataclasses.fields(declared)}  # type: ignore[arg-type]


def _about(documented: object) -> str:
    return " ".join((inspect.getdoc(documented) or "").partition("\n\n")[0].split())


def _translate(annotation: Any, views: Mapping[type, type[BaseModel]]) -> Any:
    """The annotation in pydantic's terms. A field that may be left out (`msgspec.UnsetType`) is null there."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        extras = (_field(extra) if isinstance(extra, msgspec.Meta) else extra for extra in arguments[1:])
        return Annotated[(_translate(arguments[0], views), *extras)]
    if origin in (Union, UnionType):
        return reduce(or_, (_translate(argument, views) for argument in arguments))
    if arguments:
        return origin[tuple(_translate(argument, views) for argument in arguments)]
    if annotation is msgspec.UnsetType:
        return None
    if isinstance(annotation, type) and (
        issubclass(annotation, msgspec.Struct) or dataclasses.is_dataclass(annotation)
    ):
        return views.get(annotation) or _made.get(annotation) or view_of(annotation, views=views)
    return annotation


def _field(meta: msgspec.Meta) -> Any:
    return Field(description=meta.description, examples=meta.examples, ge=meta.ge, le=meta.le)
