"""A tool's arguments as its input schema wants them: defaults filled in, checked strictly, nothing converted."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from brain.policy.guards_mcp.schemas import ArgumentsRefused, InputSchema, input_schema

MAX_DEPTH = 32
"""Levels of lists and objects that an argument may have."""

UnknownArguments = Literal["refuse", "pass"]
"""What becomes of arguments that a schema with properties, and no word on others, does not name."""


def prepared(
    schema: Mapping[str, Any],
    arguments: Mapping[str, Any],
    *,
    unknown: UnknownArguments = "refuse",
    remote: bool = False,
) -> dict[str, Any]:
    """A copy of `arguments` with the schema's defaults, which fits the schema: to be decided on, and to be passed on.

    `remote` refuses texts that hold JSON where the schema takes either: a server may read them as what they hold.
    Raises ArgumentsRefused.
    """
    check_values(arguments)
    checked = input_schema(schema)
    with checked.at_work():
        filled: dict[str, Any] = _filled(checked, checked.schema, copy.deepcopy(dict(arguments)))
        faults = list(_unknown(schema, filled)) if unknown == "refuse" else []
        faults += checked.faults(filled)
        if remote:
            faults += _ambiguous(checked, filled)
    if faults:
        raise ArgumentsRefused("; ".join(faults), faults)
    return filled


def check_values(arguments: Mapping[str, Any], levels: int = MAX_DEPTH) -> None:
    """Raises ArgumentsRefused for a number that is not finite, and for what is nested more than `levels` deep."""
    pending: list[tuple[str, int, Any]] = [("", 0, arguments)]
    while pending:
        path, depth, value = pending.pop()
        if isinstance(value, float) and not math.isfinite(value):
            raise ArgumentsRefused(f"{path}: {value} is not a number that JSON can hold")
        if isinstance(value, (Mapping, list, tuple)):
            if depth > levels:
                raise ArgumentsRefused(f"{path[:80]}: is nested more than {levels} levels deep")
            members = value.items() if isinstance(value, Mapping) else enumerate(value)
            pending += [(f"{path}.{name}" if path else str(name), depth + 1, member) for name, member in members]


def _unknown(schema: Mapping[str, Any], arguments: Mapping[str, Any]) -> Iterator[str]:
    properties = schema.get("properties")
    if isinstance(properties, Mapping) and not {"additionalProperties", "patternProperties"} & set(schema):
        for name in arguments:
            if name not in properties:
                yield f"{name}: the tool has no such argument"


def _ambiguous(checked: InputSchema, arguments: Mapping[str, Any]) -> Iterator[str]:
    """The texts that fit their schema both as they are and as the JSON that they hold."""
    properties = checked.schema.get("properties")
    for name, value in arguments.items():
        part = properties.get(name) if isinstance(properties, Mapping) else None
        if part is not None and isinstance(value, str):
            held = _held(value)
            if held is not _NOTHING and checked.fits(part, held):
                yield f"{name}: the text holds JSON, which the tool also takes; send the value itself"


def _filled(checked: InputSchema, schema: Any, value: Any) -> Any:
    """`value`, changed in place, with the defaults that the schema's properties, items and branches have for it."""
    if not isinstance(schema, Mapping):
        return value
    if isinstance(schema.get("$ref"), str):
        value = _filled(checked, checked.target(schema["$ref"]), value)
    for part in schema.get("allOf", ()):
        value = _filled(checked, part, value)
    for branches in (schema.get("anyOf", ()), schema.get("oneOf", ())):
        value = _branch(checked, branches, value)
    if isinstance(value, dict):
        _fill_members(checked, schema, value)
    elif isinstance(value, list):
        first = schema.get("prefixItems", ())
        for place, member in enumerate(value):
            value[place] = _filled(checked, first[place] if place < len(first) else schema.get("items"), member)
    return value


def _branch(checked: InputSchema, branches: Any, value: Any) -> Any:
    """With the defaults of the first branch that the value fits then."""
    for part in branches:
        candidate = _filled(checked, part, copy.deepcopy(value))
        if checked.fits(part, candidate):
            return candidate
    return value


def _fill_members(checked: InputSchema, schema: Mapping[str, Any], value: dict[str, Any]) -> None:
    properties = schema.get("properties", {})
    for name, part in properties.items():
        if name not in value and isinstance(part, Mapping) and "default" in part:
            # A default of null that the schema itself does not take says only: nothing was given.
            if part["default"] is None and not checked.fits(part, None):
                continue
            value[name] = copy.deepcopy(part["default"])
        if name in value:
            value[name] = _filled(checked, part, value[name])
    others = schema.get("additionalProperties")
    for name in value.keys() - properties.keys() if isinstance(others, Mapping) else ():
        value[name] = _filled(checked, others, value[name])


_NOTHING = object()


def _held(text: str) -> Any:
    """The list, object, truth value or null that the text holds as JSON."""
    try:
        held = json.loads(text)
    except (ValueError, RecursionError):
        return _NOTHING
    return _NOTHING if isinstance(held, (str, int, float)) and not isinstance(held, bool) else held
