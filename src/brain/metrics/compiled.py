"""Definitions made ready for the hot path: from the events of a batch to what they add, a column at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import compress
from operator import and_
from typing import TYPE_CHECKING, Any

from brain.charter import Event, Pattern
from brain.metrics.accumulate import LABEL_CHARACTERS
from brain.metrics.columns import Columns, EventBatch
from brain.metrics.defined_rows import DefinedRow
from brain.metrics.fields import SEPARATOR, Column, Condition
from brain.metrics.kinds import MetricKind
from brain.metrics.observed import Observed
from brain.metrics.series import OTHER

if TYPE_CHECKING:
    from brain.metrics.definitions import MetricDefinition

SEVERAL_CHARACTERS = 120
"""Of each label's value, where a metric has several labels."""


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
        self.labelled: bool = bool(definition.labels)
        self.scale: int = 10**definition.decimals
        self.after: str = epoch.after
        self.until: str | None = epoch.until
        self._kind = definition.kind
        self._value = definition.value
        self._labels = tuple(definition.labels.values())
        self._longest = LABEL_CHARACTERS if len(self._labels) == 1 else SEVERAL_CHARACTERS
        self._conditions = [Condition(one) for one in definition.where]
        self._bounds = tuple(definition.bounds)

    def empty_row(self) -> DefinedRow:
        """A row without an observation."""
        bins = [0] * (len(self._bounds) + 1) if self._kind is MetricKind.HISTOGRAM else None
        return DefinedRow(self._kind is MetricKind.COUNTER, self._kind is MetricKind.GAUGE, bins=bins)

    def observe(self, columns: Columns, covered: Column | None = None) -> Observed:
        """What is observed of those events that fit the conditions and have a value, and are `covered`."""
        mask, path, negative = covered, self._value, self._kind is MetricKind.GAUGE
        for condition in self._conditions:
            mask = _both(mask, columns.fitting(condition))
        if path is not None:
            counted = columns.counted(path, self.scale, negative=negative)
            mask = _both(mask, counted)

        def kept(column: Sequence[Any]) -> Sequence[Any]:
            return column if mask is None else list(compress(column, mask))

        buckets = kept(columns.buckets)
        labels = kept(columns.labels(self._labels, self._longest)) if self._labels else [""] * len(buckets)
        found = Observed(buckets, labels, self.scale)
        if path is not None:
            found.units = kept(columns.units(path, self.scale, negative=negative))
            if self._kind is MetricKind.HISTOGRAM:
                found.bins = kept(columns.bins(path, self._bounds, counted))
            elif negative:
                found.values = [float(value) for value in kept(columns.values(path))]
                found.times = kept(columns.times())
        return found


def _both(mask: Column | None, more: Column) -> Column:
    return more if mask is None else list(map(and_, mask, more))


class CompiledMetrics:
    """Several epochs; `by_position`: each observes only what it covers, as a recount of the past needs it."""

    def __init__(self, epochs: Sequence[Epoch], *, by_position: bool = False) -> None:
        self.metrics: dict[int, CompiledMetric] = {epoch.id: CompiledMetric(epoch) for epoch in epochs}
        self._by_position = by_position
        self._patterns: dict[tuple[str, ...], tuple[Pattern, list[CompiledMetric]]] = {}
        for epoch in epochs:
            events = tuple(epoch.definition.events)
            _, same = self._patterns.setdefault(events, (Pattern(epoch.definition.events), []))
            same.append(self.metrics[epoch.id])

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.metrics)

    def observe(self, events: Sequence[tuple[str, Event]]) -> Iterator[tuple[CompiledMetric, Observed]]:
        """For each metric that these events, with their positions, count for: what is observed."""
        batch = EventBatch(events)
        for pattern, metrics in self._patterns.values():
            columns = batch.of(pattern)
            if not columns.events:
                continue
            for metric in metrics:
                found = metric.observe(columns, self._covered(batch, columns, metric))
                if found.buckets:
                    yield metric, found

    def _covered(self, batch: EventBatch, columns: Columns, metric: CompiledMetric) -> Column | None:
        """Which of the events the metric's epoch covers; None for all."""
        if not self._by_position:
            return None
        first, end = batch.range(metric.after, metric.until)
        if first <= columns.places[0] and columns.places[-1] < end:
            return None
        return [first <= place < end for place in columns.places]


def split_label(definition: MetricDefinition, label: str) -> dict[str, str]:
    """The labels of a row, by name; OTHER for each in the row of the rest."""
    names = list(definition.labels)
    if len(names) < 2:
        return dict.fromkeys(names, label)
    values = label.split(SEPARATOR) if label != OTHER else [OTHER] * len(names)
    return dict(zip(names, values, strict=True))
