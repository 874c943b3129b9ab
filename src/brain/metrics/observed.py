"""What the events of a batch add to one metric, by bucket and label."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import repeat
from math import inf
from typing import Any

from brain.metrics.defined_rows import Observation

Span = tuple[float, float, float, float]
"""The lowest, highest and last of some values, and when the last one was."""


@dataclass(slots=True)
class Figures:
    """What is added to the rows of one bucket, by label. What a kind of metric does not keep is empty."""

    counts: Mapping[str, int]
    sums: Mapping[str, int] = field(default_factory=dict)
    bins: Mapping[tuple[str, int], int] = field(default_factory=dict)
    spans: Mapping[str, Span] = field(default_factory=dict)


class Observed:
    """The observations of one metric, a column each, in stream order. None: the same for all, or not kept."""

    def __init__(self, buckets: Sequence[int], labels: Sequence[str], unit: int) -> None:
        self.buckets = buckets
        self.labels = labels
        self.units: Sequence[int] | None = None
        self.bins: Sequence[int] | None = None
        self.values: Sequence[float] | None = None
        self.times: Sequence[float] | None = None
        self._unit = unit
        self._places: dict[int, list[int]] = {}
        self._all: Figures | None = None

    def by_bucket(self, step: int) -> dict[int, Figures]:
        """What they add to each bucket of this step (0: of all time)."""
        distinct = set(self.buckets)
        starts = {at: at // step * step if step else 0 for at in distinct}
        if len(set(starts.values())) == 1:
            if self._all is None:
                self._all = self._figures(None)
            return {starts[self.buckets[0]]: self._all}
        if not self._places:
            for place, at in enumerate(self.buckets):
                self._places.setdefault(at, []).append(place)
        places = defaultdict[int, list[int]](list)
        for at, some in self._places.items():
            places[starts[at]] += some
        return {bucket: self._figures(some) for bucket, some in places.items()}

    def ordered(self, step: int, bucket: int) -> list[tuple[str, Observation]]:
        """The single observations in this bucket of this step, in stream order."""
        end = bucket + step if step else inf
        return [
            (label, one)
            for at, label, one in zip(self.buckets, self.labels, self._observations, strict=True)
            if bucket <= at < end
        ]

    def _figures(self, places: Sequence[int] | None) -> Figures:
        def part(column: Sequence[Any]) -> Sequence[Any]:
            return column if places is None else [column[place] for place in places]

        labels = part(self.labels)
        figures = Figures(Counter(labels))
        if self.units is not None:
            figures.sums = _sums(labels, part(self.units))
        if self.bins is not None:
            figures.bins = Counter(zip(labels, part(self.bins), strict=True))
        if self.values is not None and self.times is not None:
            figures.spans = _spans(labels, part(self.values), part(self.times))
        return figures

    @cached_property
    def _observations(self) -> list[Observation]:
        count = len(self.buckets)
        return list(
            map(
                Observation,
                repeat(self._unit, count) if self.units is None else self.units,
                repeat(1.0, count) if self.values is None else self.values,
                repeat(0.0, count) if self.times is None else self.times,
                repeat(-1, count) if self.bins is None else self.bins,
            )
        )


def _sums(labels: Sequence[str], units: Sequence[int]) -> dict[str, int]:
    sums = defaultdict[str, int](int)
    for label, more in zip(labels, units, strict=True):
        sums[label] += more
    return sums


def _spans(labels: Sequence[str], values: Sequence[float], times: Sequence[float]) -> dict[str, Span]:
    spans: dict[str, Span] = {}
    for label, value, at in zip(labels, values, times, strict=True):
        known = spans.get(label)
        if known is None:
            spans[label] = (value, value, value, at)
            continue
        low, high, last, last_at = known
        if at >= last_at:
            last, last_at = value, at
        spans[label] = (min(low, value), max(high, value), last, last_at)
    return spans
