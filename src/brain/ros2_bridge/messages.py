"""Messages as plain values, and as the bytes of ROS 2 (CDR). Needs the extra `robots`."""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Mapping, Sequence
from functools import cache
from math import nan
from typing import Any

from brain.errors import InvalidInput
from brain.extras import needs

with needs("messages of ROS", "robots"):
    import numpy as np
    from rosbags.typesys import Stores, get_typestore


_BYTES, _FLOATS = ("uint8", "char", "octet", "byte"), ("float32", "float64")
"""In JSON a rosbridge has arrays of bytes as base64, and numbers that are not finite as null."""


@cache
def typestore() -> Any:
    """The message types of ROS 2 Jazzy."""
    return get_typestore(Stores.ROS2_JAZZY)


def type_hash(type: str) -> str:
    """The hash of the type, as rmw_zenoh has it in its keys. Raises InvalidInput for a type that is not known."""
    _check_known(type)
    found: str = typestore().hash_rihs01(type)
    return found


def to_cdr(type: str, message: Mapping[str, Any]) -> bytes:
    """The message's bytes; fields that are left out are 0 or empty. Raises InvalidInput for what does not fit."""
    _check_known(type)
    try:
        return bytes(typestore().serialize_cdr(_made(type, message), type))
    except InvalidInput:
        raise
    except Exception as error:
        raise InvalidInput(f"{type}: the message does not fit its type: {type_name(error)}: {error}") from error


def check_fits(type: str, message: Mapping[str, Any]) -> None:
    """Raises InvalidInput for a message that does not fit its type; types that are not known are not looked at."""
    if type in typestore().types:
        to_cdr(type, message)


def definition_of(type: str) -> str:
    """The text that defines the type and those in it, as bags have it. Raises InvalidInput for one not known."""
    _check_known(type)
    text: str = typestore().generate_msgdef(type, ros_version=2)[0]
    return text


def from_cdr(type: str, data: bytes) -> dict[str, Any]:
    """The message as plain values. Raises InvalidInput for bytes that are none."""
    _check_known(type)
    try:
        found: dict[str, Any] = to_plain(typestore().deserialize_cdr(data, type))
    except Exception as error:
        raise InvalidInput(f"{type}: the bytes are no message of it: {type_name(error)}: {error}") from error
    return found


def type_name(error: Exception) -> str:
    """The name of an error's class."""
    return error.__class__.__name__


def to_plain(value: Any) -> Any:
    """A decoded message as mappings, lists and numbers."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, list | tuple):
        return [to_plain(one) for one in value]
    fields = getattr(value, "__dataclass_fields__", None)
    if fields is not None:
        return {name: to_plain(getattr(value, name)) for name in fields if name != "__msgtype__"}
    return value


def _check_known(type: str) -> None:
    if type not in typestore().types:
        raise InvalidInput(f"type {type[:100]!r} is not known; name one of ROS 2 as geometry_msgs/msg/Twist")


def _from_base64(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except binascii.Error as error:
        raise InvalidInput(f"an array of bytes is no base64: {error}") from error


def _made(type: str, given: Mapping[str, Any]) -> Any:
    fields = typestore().fielddefs[type][1]
    known = {name for name, _ in fields}
    if unknown := sorted(set(given) - known):
        raise InvalidInput(f"{type}: has no field {unknown[0]!r}; it has {', '.join(sorted(known))}")
    values = {name: _value(definition, given.get(name)) for name, definition in fields}
    return typestore().types[type](**values)


def _value(definition: Any, given: Any) -> Any:
    kind, detail = definition
    name = getattr(kind, "name", str(kind))
    if name == "BASE":
        default: Any = "" if detail[0] == "string" else False if detail[0] == "bool" else 0
        return default if given is None else given
    if name == "NAME":
        return _made(detail, given or {})
    (item_kind, item_detail), length = detail
    if isinstance(given, str) and item_detail[0] in _BYTES:
        given = list(_from_base64(given))
    items: Sequence[Any] = given if given is not None else ([None] * length if name == "ARRAY" else [])
    if getattr(item_kind, "name", "") == "BASE" and item_detail[0] in _FLOATS:
        items = [nan if item is None and given is not None else item for item in items]
    made = [_value((item_kind, item_detail), item) for item in items]
    if getattr(item_kind, "name", "") == "BASE" and item_detail[0] not in ("string",):
        return np.array(made, dtype=np.dtype("uint8" if item_detail[0] in ("octet", "byte") else item_detail[0]))
    return made
