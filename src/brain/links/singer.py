"""The messages of a Singer tap, one a line: SCHEMA, RECORD, STATE. Source: hub.meltano.com, "Singer specification".

A number with a fraction is read as the text of its digits, since a float would turn 12.10 into 12.1; so is a whole
number of more than 64 bits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from brain.errors import InvalidInput
from brain.json_text import JSON_FAULTS
from brain.limits import INTEGER_LEAST, INTEGER_MOST, shown
from brain.links.mapping import joined_key
from brain.typed import ready

LINE_BYTES = 8 << 20
"""Most bytes of one message."""
_IGNORED = frozenset({"ACTIVATE_VERSION"})


@dataclass(frozen=True, slots=True)
class StreamSchema:
    """The declared shape of a stream."""

    stream: str
    types: Mapping[str, str]
    """The type of each property, without null: `string`, or `integer|number`."""
    keys: Sequence[str]
    bookmarks: Sequence[str]


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a stream."""

    stream: str
    values: Mapping[str, Any]
    line: bytes


@dataclass(frozen=True, slots=True)
class State:
    """What the tap wants to be started with the next time; it means nothing to us."""

    json: str
    """As it came: a number that was read and written again might be another one."""


Message = StreamSchema | Record | State


def read_message(line: bytes, decimals: str = "text") -> Message | None:
    """The message of a line; None for an empty one and one that needs no answer. Raises InvalidInput."""
    if not line.strip():
        return None
    decoder = _NUMBERS if decimals == "number" else _TEXTS
    try:
        found = decoder.decode(line)
    except JSON_FAULTS as error:
        raise InvalidInput(f"is no JSON: {error}; a tap writes its log to standard error") from error
    kind = found.get("type") if isinstance(found, dict) else None
    match kind:
        case "RECORD":
            return Record(_stream(found), _object(found, "record"), line)
        case "STATE":
            if "value" not in found:
                raise InvalidInput("STATE: value is missing")
            return State(bytes(_STATES.decode(line).value).decode())
        case "SCHEMA":
            return _schema(found)
        case "BATCH":
            raise InvalidInput(
                "BATCH: is not read, since it names files; take the batch capability from the tap's config"
            )
        case str() if kind in _IGNORED:
            return None
        case _:
            raise InvalidInput(f"type: {shown(kind)} is none of SCHEMA, RECORD, STATE")


_TEXTS = msgspec.json.Decoder(float_hook=str)
_NUMBERS = msgspec.json.Decoder()


class _StateLine(msgspec.Struct):
    value: msgspec.Raw


_STATES = msgspec.json.Decoder(ready(_StateLine))


def _schema(found: Mapping[str, Any]) -> StreamSchema:
    properties = _object(found, "schema").get("properties")
    if not isinstance(properties, dict):
        raise InvalidInput("SCHEMA: schema.properties is missing")
    return StreamSchema(
        _stream(found),
        {name: _type_name(declared) for name, declared in properties.items()},
        _names(found, "key_properties"),
        _names(found, "bookmark_properties"),
    )


def _type_name(declared: Any) -> str:
    kinds = declared.get("type") if isinstance(declared, dict) else None
    names = [kinds] if isinstance(kinds, str) else kinds if isinstance(kinds, list) else []
    found = sorted(str(name) for name in names if name != "null")
    return "|".join(found) or "any"


def _stream(found: Mapping[str, Any]) -> str:
    stream = found.get("stream")
    if not isinstance(stream, str) or not stream:
        raise InvalidInput(f"{found['type']}: stream is missing")
    return stream


def _object(found: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = found.get(name)
    if not isinstance(value, dict):
        raise InvalidInput(f"{found['type']}: {name} must be an object")
    return value


def _names(found: Mapping[str, Any], name: str) -> Sequence[str]:
    value = found.get(name)
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def key_of(record: Record, schema: StreamSchema, digest: str) -> tuple[str, str | None]:
    """What the record is known by, and its key for people.

    The values of its key and of its bookmark name one version of one row. Without a bookmark a hash takes its place,
    and without a key all of it is the hash: equal records of such a stream are one.
    """
    keys = [record.values.get(name) for name in schema.keys]
    marks = [record.values.get(name) for name in schema.bookmarks]
    named = joined_key(keys)
    if named is None:
        return f"{record.stream} sha256:{digest}", None
    known = joined_key([record.stream, *keys, *(marks if joined_key(marks) is not None else [digest])])
    return known or f"{record.stream} sha256:{digest}", named


def content_of(values: Mapping[str, Any]) -> bytes:
    """The record's values in one form, to hash."""
    return msgspec.json.encode(in_64_bits(values), order="sorted")


def in_64_bits(value: Any) -> Any:
    """The value with whole numbers of more than 64 bits as texts."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if INTEGER_LEAST <= value <= INTEGER_MOST else str(value)
    if isinstance(value, dict):
        return {name: in_64_bits(member) for name, member in value.items()}
    if isinstance(value, list):
        return [in_64_bits(member) for member in value]
    return value
