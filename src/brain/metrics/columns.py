"""The events of a batch as columns, so that each field is read once, however many metrics want it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Hashable, Sequence
from itertools import compress
from typing import Any

from brain.charter import Event, Pattern
from brain.metrics.accumulate import bucket_of
from brain.metrics.fields import SEPARATOR, Column, Condition, as_labels, as_units, read
from brain.stream.backends import position_key


class Columns:
    """Some events of a batch, in stream order: their places in it, their buckets of 10 s, and their fields."""

    def __init__(self, places: Sequence[int], events: Sequence[Event], buckets: Sequence[int]) -> None:
        self.places = places
        self.events = events
        self.buckets = buckets
        self._known: dict[Hashable, Column] = {}

    def values(self, path: str) -> Column:
        """A field, as it is."""
        return self._once(path, lambda: read(path, self.events))

    def labels(self, paths: tuple[str, ...], longest: int) -> Column:
        """These fields as one label."""
        if len(paths) == 1:
            return self._once((paths, longest), lambda: as_labels(self.values(paths[0]), longest))
        parts = [self.labels((path,), longest) for path in paths]
        return self._once((paths, longest), lambda: list(map(SEPARATOR.join, zip(*parts, strict=True))))

    def fitting(self, condition: Condition) -> Column:
        """Whether each event fits the condition."""
        return self._once(("fits", condition.key), lambda: condition.holds(self.values(condition.path)))

    def units(self, path: str, scale: int, *, negative: bool) -> Column:
        """A field as `as_units` gives it."""
        key = ("units", path, scale, negative)
        return self._once(key, lambda: as_units(self.values(path), scale, negative=negative))

    def counted(self, path: str, scale: int, *, negative: bool) -> Column:
        """Whether each event's field counts."""
        key = ("counts", path, scale, negative)
        return self._once(key, lambda: [one is not None for one in self.units(path, scale, negative=negative)])

    def bins(self, path: str, bounds: tuple[float, ...], counted: Column) -> Column:
        """The place of each event's field among the bounds, where it is `counted`."""

        def find() -> Column:
            found = zip(self.values(path), counted, strict=True)
            return [bisect_left(bounds, value) if counts else -1 for value, counts in found]

        return self._once(("bins", path, bounds), find)

    def times(self) -> Column:
        """When each event was, in Unix seconds."""
        return self._once("times", lambda: [event.timestamp for event in self.events])

    def _once(self, key: Hashable, make: Callable[[], Column]) -> Column:
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = make()
        return found


class EventBatch:
    """The events of a batch, with their positions, in stream order."""

    def __init__(self, events: Sequence[tuple[str, Event]]) -> None:
        self._positions = [position for position, _ in events]
        self._events = [event for _, event in events]
        self._types = [event.type for event in self._events]
        self._all = Columns(range(len(events)), self._events, [bucket_of(event.timestamp) for event in self._events])
        self._keys: list[Any] = []

    def of(self, pattern: Pattern) -> Columns:
        """Those whose type matches."""
        wanted = {type for type in set(self._types) if pattern.matches(type)}
        if len(wanted) == len(set(self._types)):
            return self._all
        mask = [type in wanted for type in self._types]
        all = self._all
        events, buckets = list(compress(all.events, mask)), list(compress(all.buckets, mask))
        return Columns(list(compress(all.places, mask)), events, buckets)

    def range(self, after: str, until: str | None) -> tuple[int, int]:
        """The places from the first one after the position up to the one at `until`, and one more."""
        if not self._keys:
            self._keys = [position_key(position) for position in self._positions]
        end = len(self._keys) if until is None else bisect_right(self._keys, position_key(until))
        return bisect_right(self._keys, position_key(after)), end
