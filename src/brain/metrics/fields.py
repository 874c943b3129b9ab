"""The fields of events, a column at a time: read, compared, and written as labels."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any

from brain.charter import Event
from brain.metrics.accumulate import text
from brain.metrics.defined_rows import MOST_UNITS

if TYPE_CHECKING:
    from brain.metrics.definitions import FieldCondition

SEPARATOR = "\x1f"
"""Between the values of a row's labels."""
_ENVELOPE = ("type", "source", "target")
_MISSING = object()

Column = list[Any]


def read(path: str, events: Sequence[Event]) -> Column:
    """A field of each event; a mark of our own where there is none."""
    if path in _ENVELOPE:
        return list(map(operator.attrgetter(path), events))
    head, _, rest = path.partition(".")
    if head == "meta" and rest:
        return _inside([event.meta for event in events], rest.split("."))
    parts = rest.split(".") if head == "payload" and rest else path.split(".")
    return _inside([event.payload for event in events], parts)


def _inside(column: Sequence[Mapping[str, Any]], parts: Sequence[str]) -> Column:
    first, *others = parts
    found: Column = [one.get(first, _MISSING) for one in column]
    for part in others:
        found = [one.get(part, _MISSING) if isinstance(one, Mapping) else _MISSING for one in found]
    return found


def as_labels(column: Column, longest: int) -> list[str]:
    """The values as labels of at most so many characters."""
    known: dict[str, str] = {}
    labels = []
    for value in column:
        if value.__class__ is not str:
            labels.append(_label(value, longest))
            continue
        label = known.get(value)
        if label is None:
            label = known[value] = _label(value, longest)
        labels.append(label)
    return labels


def _label(value: object, longest: int) -> str:
    written = text(None if value is _MISSING else value)
    return written.replace(SEPARATOR, " ")[:longest]


def as_units(column: Column, scale: int, *, negative: bool) -> list[int | None]:
    """The values as whole numbers of a unit; None for what does not count: no number, or a negative one."""
    units: list[int | None] = []
    for value in column:
        if (value.__class__ is float or value.__class__ is int) and (value >= 0 or negative) and _is_finite(value):
            units.append(max(-MOST_UNITS, min(round(value * scale), MOST_UNITS)))
        else:
            units.append(None)
    return units


def _is_finite(value: float) -> bool:
    try:
        return isfinite(value)
    except OverflowError:  # a whole number beyond all floats
        return False


class Condition:
    """What a field must be; `key` is the same for two that say the same."""

    def __init__(self, declared: FieldCondition) -> None:
        self.path: str = declared.field
        self.key: str = declared.model_dump_json()
        self._holds = _condition(declared)
        self._text = declared.value if declared.operator == "=" and isinstance(declared.value, str) else None

    def holds(self, column: Column) -> list[bool]:
        """For each value, whether it fits."""
        if (wanted := self._text) is not None:
            return [value.__class__ is str and value == wanted for value in column]
        return list(map(self._holds, column))


_ORDER: Mapping[str, Callable[[Any, Any], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


def _condition(declared: FieldCondition) -> Callable[[Any], bool]:
    wanted, name = declared.value, declared.operator
    if name == "=":
        return lambda found: _equal(found, wanted)
    if name == "!=":
        return lambda found: not _equal(found, wanted)
    if name == "exists":
        return lambda found: (found is not _MISSING) is wanted
    if name == "in":
        return lambda found: any(_equal(found, one) for one in wanted)
    if name == "contains":
        return lambda found: _contains(found, wanted)
    compare = _ORDER[name]
    return lambda found: _comparable(found, wanted) and compare(found, wanted)


def _equal(found: object, wanted: object) -> bool:
    return (isinstance(found, bool) == isinstance(wanted, bool)) and bool(found == wanted)


def _comparable(found: object, wanted: object) -> bool:
    if isinstance(found, bool) or isinstance(wanted, bool):
        return False
    if isinstance(found, int | float) and isinstance(wanted, int | float):
        return True
    return isinstance(found, str) and isinstance(wanted, str)


def _contains(found: object, wanted: object) -> bool:
    if isinstance(found, str):
        return isinstance(wanted, str) and wanted in found
    if isinstance(found, Mapping):
        return isinstance(wanted, str) and wanted in found
    return isinstance(found, Sequence) and any(_equal(one, wanted) for one in found)
