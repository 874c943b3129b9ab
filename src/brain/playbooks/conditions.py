"""Conditions on an event, and values from it: `payload.module: billing`, `${payload.module}`."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Any

from brain.charter import Event
from brain.errors import InvalidInput

__all__ = ["check_where", "filled", "holds", "value_at", "values_of"]

_PLACE = re.compile(r"\$\{([^{}]*)\}")


def values_of(event: Event) -> Mapping[str, Any]:
    """The event's fields, as conditions and steps name them."""
    return event.to_dict()


def value_at(values: Mapping[str, Any], path: str) -> Any:
    """What is at a dotted path; None where nothing is."""
    found: Any = values
    for name in path.split("."):
        if not isinstance(found, Mapping):
            return None
        found = found.get(name)
    return found


def _compared(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def both(value: Any, wanted: Any) -> bool:
        numbers = all(isinstance(one, (int, float)) and not isinstance(one, bool) for one in (value, wanted))
        return (numbers or (isinstance(value, str) and isinstance(wanted, str))) and compare(value, wanted)

    return both


def _is_address(value: Any, wanted: Any) -> bool:
    try:
        ipaddress.ip_address(str(value))
    except ValueError:
        return wanted is False
    return wanted is True


def _same(value: Any, wanted: Any) -> bool:
    return bool(value == wanted) and isinstance(value, bool) == isinstance(wanted, bool)


def _contains(value: Any, wanted: Any) -> bool:
    if isinstance(value, str):
        return isinstance(wanted, str) and wanted in value
    return isinstance(value, (list, Mapping)) and wanted in value


_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": _same,
    "!=": lambda value, wanted: not _same(value, wanted),
    ">": _compared(lambda value, wanted: value > wanted),
    ">=": _compared(lambda value, wanted: value >= wanted),
    "<": _compared(lambda value, wanted: value < wanted),
    "<=": _compared(lambda value, wanted: value <= wanted),
    "in": lambda value, wanted: any(_same(value, one) for one in wanted),
    "not_in": lambda value, wanted: not any(_same(value, one) for one in wanted),
    "contains": _contains,
    "starts_with": lambda value, wanted: isinstance(value, str) and value.startswith(wanted),
    "exists": lambda value, wanted: (value is not None) is wanted,
    "is_address": _is_address,
}
_LISTS = ("in", "not_in")


def check_where(where: Any, place: str) -> list[str]:
    """The faults of conditions: each names the field."""
    if not isinstance(where, Mapping):
        return [f"{place}: must be fields with their values, not {type(where).__name__}"]
    faults = []
    for field, wanted in where.items():
        for operator, value in wanted.items() if isinstance(wanted, Mapping) else ():
            if operator not in _OPERATORS:
                faults.append(f"{place}.{field}: {operator!r} is unknown; use one of {', '.join(_OPERATORS)}")
            elif operator in _LISTS and not isinstance(value, (list, tuple)):
                faults.append(f"{place}.{field}: {operator} needs a list")
    return faults


def holds(where: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    """Whether all conditions hold; a list means any of its values."""
    for field, wanted in where.items():
        value = value_at(values, field)
        if isinstance(wanted, Mapping):
            if not all(_OPERATORS[operator](value, one) for operator, one in wanted.items()):
                return False
        elif isinstance(wanted, list):
            if not any(_same(value, one) for one in wanted):
                return False
        elif not _same(value, wanted):
            return False
    return True


def filled(template: Any, values: Mapping[str, Any]) -> Any:
    """The template with each `${field}` replaced. Raises InvalidInput for a field that the event does not have."""
    if isinstance(template, Mapping):
        return {name: filled(value, values) for name, value in template.items()}
    if isinstance(template, (list, tuple)):
        return [filled(value, values) for value in template]
    if not isinstance(template, str):
        return template
    if (whole := _PLACE.fullmatch(template)) is not None:
        return _present(whole.group(1), values)
    return _PLACE.sub(lambda found: str(_present(found.group(1), values)), template)


def _present(path: str, values: Mapping[str, Any]) -> Any:
    value = value_at(values, path)
    if value is None:
        raise InvalidInput(f"${{{path}}}: the event has no such field")
    return value
