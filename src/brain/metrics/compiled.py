"""Definitions made ready for the hot path: from an event to its observation, by closures instead of names."""

from __future__ import annotations

import operator
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

from brain.charter import Event, Pattern
from brain.metrics.accumulate import LABEL_CHARACTERS, text
from brain.metrics.defined_rows import MOST_UNITS, DefinedRow, Observation
from brain.metrics.kinds import MetricKind
from brain.metrics.series import OTHER
from brain.stream.backends import position_key

if TYPE_CHECKING:
    from brain.metrics.definitions import FieldCondition, MetricDefinition

SEPARATOR = "\x1f"
"""Between the values of a row's labels."""
SEVERAL_CHARACTERS = 120
"""Of each label's value, where a metric has several labels."""
_ENVELOPE = ("type", "source", "target")
_MISSING = object()

Getter = Callable[[Event], Any]


@dataclass(frozen=True)
class Epoch:
    """One definition of a metric, and the part of the stream that it counts: after one position, up to another."""

    id: int
    name: str
    number: int
    definition: MetricDefinition
    after: str = ""
    until: str | None = None
    began_at: float = 0.0
    ended_at: float | None = None


class CompiledMetric:
    """An epoch, ready to observe events."""

    def __init__(self, epoch: Epoch) -> None:
        definition = epoch.definition
        self.id: int = epoch.id
        self.pattern: Pattern = Pattern(definition.events)
        self.labelled: bool = bool(definition.labels)
        self._scale = 10**definition.decimals
        self._kind = definition.kind
        self._value = None if definition.value is None else getter(definition.value)
        self._labels = [getter(path) for path in definition.labels.values()]
        self._conditions = [_condition(one) for one in definition.where]
        self._bounds = definition.bounds
        self._after = position_key(epoch.after)
        self._until = None if epoch.until is None else position_key(epoch.until)

    def covers(self, position: str) -> bool:
        """Whether the epoch counts the event at this position."""
        key = position_key(position)
        return key > self._after and (self._until is None or key <= self._until)

    def empty_row(self) -> DefinedRow:
        """A row without an observation."""
        bins = [0] * (len(self._bounds) + 1) if self._kind is MetricKind.HISTOGRAM else None
        return DefinedRow(self._kind is MetricKind.COUNTER, self._kind is MetricKind.GAUGE, bins=bins)

    def observe(self, event: Event) -> tuple[str, Observation] | None:
        """The event's label and observation; None when it does not fit the conditions or has no value."""
        for fits in self._conditions:
            if not fits(event):
                return None
        if self._value is None:
            return self._label(event), Observation(self._scale, 1.0, event.timestamp, -1)
        value = self._value(event)
        if value.__class__ is not int and value.__class__ is not float:
            return None
        if not isfinite(value) or (value < 0 and self._kind is not MetricKind.GAUGE):
            return None
        units = max(-MOST_UNITS, min(round(value * self._scale), MOST_UNITS))
        bin = bisect_left(self._bounds, value) if self._bounds else -1
        return self._label(event), Observation(units, float(value), event.timestamp, bin)

    def _label(self, event: Event) -> str:
        if not self._labels:
            return ""
        if len(self._labels) == 1:
            return _plain(self._labels[0](event), LABEL_CHARACTERS)
        return SEPARATOR.join(_plain(get(event), SEVERAL_CHARACTERS) for get in self._labels)


class CompiledMetrics:
    """Several epochs; `by_position`: each observes only what it covers, as a recount of the past needs it."""

    def __init__(self, epochs: Sequence[Epoch], *, by_position: bool = False) -> None:
        self.metrics: dict[int, CompiledMetric] = {epoch.id: CompiledMetric(epoch) for epoch in epochs}
        self._by_position = by_position
        self._by_type: dict[str, tuple[CompiledMetric, ...]] = {}

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.metrics)

    def wanting(self, type: str, position: str) -> Sequence[CompiledMetric]:
        """Those that an event of this type at this position may count for."""
        found = self._by_type.get(type)
        if found is None:
            found = tuple(one for one in self.metrics.values() if one.pattern.matches(type))
            if len(self._by_type) < 10_000:
                self._by_type[type] = found
        if self._by_position and found:
            return [one for one in found if one.covers(position)]
        return found


def split_label(definition: MetricDefinition, label: str) -> dict[str, str]:
    """The labels of a row, by name; OTHER for each in the row of the rest."""
    names = list(definition.labels)
    if len(names) < 2:
        return dict.fromkeys(names, label)
    values = label.split(SEPARATOR) if label != OTHER else [OTHER] * len(names)
    return dict(zip(names, values, strict=True))


def getter(path: str) -> Getter:
    """What reads a field of an event; _MISSING where there is none."""
    if path in _ENVELOPE:
        return operator.attrgetter(path)
    head, _, rest = path.partition(".")
    if head == "meta" and rest:
        return _reader(operator.attrgetter("meta"), rest.split("."))
    parts = rest.split(".") if head == "payload" and rest else path.split(".")
    return _reader(operator.attrgetter("payload"), parts)


def _reader(of: Getter, parts: Sequence[str]) -> Getter:
    if len(parts) == 1:
        (name,) = parts
        return lambda event: of(event).get(name, _MISSING)

    def read(event: Event) -> Any:
        found: Any = of(event)
        for part in parts:
            if not isinstance(found, Mapping):
                return _MISSING
            found = found.get(part, _MISSING)
        return found

    return read


def _plain(value: object, longest: int) -> str:
    written = text(None if value is _MISSING else value)
    return written.replace(SEPARATOR, " ")[:longest]


_ORDER: Mapping[str, Callable[[Any, Any], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


def _condition(condition: FieldCondition) -> Callable[[Event], bool]:
    get, wanted, name = getter(condition.field), condition.value, condition.operator
    if name == "=":
        return lambda event: _equal(get(event), wanted)
    if name == "!=":
        return lambda event: not _equal(get(event), wanted)
    if name == "exists":
        return lambda event: (get(event) is not _MISSING) is wanted
    if name == "in":
        return lambda event: any(_equal(get(event), one) for one in wanted)
    if name == "contains":
        return lambda event: _contains(get(event), wanted)
    compare = _ORDER[name]

    def ordered(event: Event) -> bool:
        found = get(event)
        return _comparable(found, wanted) and compare(found, wanted)

    return ordered


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
