"""What the events of a batch add to one metric, by bucket and label."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import repeat
from math import inf
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

from brain.metrics.defined_rows import Observation

_NOTHING: Mapping[Any, Any] = MappingProxyType({})
_FEW = 200

K = TypeVar("K")
Span = tuple[float, float, float, float]
"""The lowest, highest and last of some values, and when the last one was."""


class Figures(NamedTuple):
    """What is added to the rows of one bucket, by label. What a kind of metric does not keep is empty."""

    counts: Mapping[str, int]
    sums: Mapping[str, int] = _NOTHING
    bins: Mapping[tuple[str, int], int] = _NOTHING
    spans: Mapping[str, Span] = _NOTHING


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
        return Figures(
            _counts(labels),
            _NOTHING if self.units is None else _sums(labels, part(self.units)),
            _NOTHING if self.bins is None else _counts(list(zip(labels, part(self.bins), strict=True))),
            _NOTHING
            if self.values is None or self.times is None
            else _spans(labels, part(self.values), part(self.times)),
        )

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


def _counts(keys: Sequence[K]) -> Mapping[K, int]:
    if len(keys) > _FEW:
        return Counter(keys)
    counts: dict[K, int] = {}  # a Counter takes longer to make than so few take to count
    for key in keys:
        counts[key] = counts.get(key, 0) + 1
    return counts


def _sums(labels: Sequence[str], units: Sequence[int]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for label, more in zip(labels, units, strict=True):
        sums[label] = sums.get(label, 0) + more
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
