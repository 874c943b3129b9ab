"""How many labels a point may have, and which: the Space-Saving algorithm, with the remainder counted exactly.

While there is room every label has a row of its own. A new label that finds none takes the place of the row that weighs
least, which is added to the row OTHER; it inherits that row's weight as its `error`, so that it must really be frequent
to stay. So sums over all rows are always exact, a label with more than 1/`limit` of the bucket's weight always has a
row, and what a row may lack is at most its `error`. A denial weighs as much as DENIAL decisions, so that an agent
that is refused a lot ranks above one that asks a lot.

The result depends on the order of the observations and on nothing else: not on how they were batched. So a recount of
the same stream gives the same rows. Source: Metwally, Agrawal, El Abbadi, "Efficient Computation of Frequent and Top-k
Elements in Data Streams", ICDT 2005.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from brain.metrics.series import OTHER

LIMIT = 200
"""Labels with rows of their own. Not a setting: points counted under another one would not equal a recount."""
DENIAL = 10
_DENIAL_MORE = DENIAL - 1


class RankedRow(Protocol):
    """A row that others are ranked against: `error` is the weight it took over from the row whose place it took."""

    error: int

    @property
    def weight(self) -> int:
        """By which rows are ranked."""

    def add(self, observation: Any) -> None:
        """One observation more."""

    def absorb(self, other: Any) -> None:
        """All that another row of the same kind has."""


R = TypeVar("R", bound=RankedRow)


@dataclass(slots=True)
class Row:
    """A stored point."""

    count: int = 0
    sum: int = 0
    error: int = 0

    @property
    def weight(self) -> int:
        """By which rows are ranked."""
        return self.error + self.count + _DENIAL_MORE * self.sum

    def add(self, observation: int) -> None:
        """One observation more."""
        self.count += 1
        self.sum += observation

    def absorb(self, other: Row) -> None:
        """All that another row has."""
        self.count += other.count
        self.sum += other.sum


def fits(rows: Mapping[str, object], labels: Iterable[str], limit: int = LIMIT) -> bool:
    """Whether these labels, each given once, find room, so that they may be added in any order."""
    new = sum(label not in rows and label != OTHER for label in labels)
    return len(rows) - (OTHER in rows) + new <= limit


def add_ranked(rows: MutableMapping[str, Row], observations: Iterable[tuple[str, int]], limit: int = LIMIT) -> None:
    """Add observations (label, value) in order, giving rows of their own to at most `limit` labels besides OTHER."""
    # As `rank`, written out for this kind of row: most events come by here, at every step of time.
    other, replace = rows.get(OTHER), heapq.heapreplace
    heap = [(row.weight, label) for label, row in rows.items() if label != OTHER]
    heapq.heapify(heap)
    for label, value in observations:
        row = rows.get(label)
        if row is not None:
            row.count += 1
            row.sum += value
        elif label == OTHER:
            other = rows[OTHER] = Row(1, value)
        elif len(heap) < limit:
            row = rows[label] = Row(1, value)
            heapq.heappush(heap, (row.weight, label))
        else:
            weight, lightest = heap[0]
            row = rows[lightest]
            while weight != (now := row.error + row.count + _DENIAL_MORE * row.sum):
                replace(heap, (now, lightest))
                weight, lightest = heap[0]
                row = rows[lightest]
            if other is None:
                other = rows[OTHER] = Row()
            other.count += row.count
            other.sum += row.sum
            del rows[lightest]
            row.count, row.sum, row.error = 1, value, weight
            rows[label] = row
            replace(heap, (weight + 1 + _DENIAL_MORE * value, label))


def rank(
    rows: MutableMapping[str, R], observations: Iterable[tuple[str, Any]], make: Callable[[], R], limit: int = LIMIT
) -> None:
    """As `add_ranked`, for rows of any kind; `make` gives an empty one."""
    # The weights in the heap may be out of date, and then are too small: rows only gain. So the top is put right first.
    heap = [(row.weight, label) for label, row in rows.items() if label != OTHER]
    heapq.heapify(heap)
    for label, observation in observations:
        row = rows.get(label)
        if row is not None:
            row.add(observation)
        elif label == OTHER:
            row = rows[label] = make()
            row.add(observation)
        elif len(heap) < limit:
            row = rows[label] = make()
            row.add(observation)
            heapq.heappush(heap, (row.weight, label))
        else:
            weight = _make_room(rows, heap, make)
            row = rows[label] = make()
            row.error = weight
            row.add(observation)
            heapq.heapreplace(heap, (row.weight, label))


def _make_room(rows: MutableMapping[str, R], heap: list[tuple[int, str]], make: Callable[[], R]) -> int:
    """Add the lightest row (of equal ones the first by label) to OTHER; its weight. It is still on top of the heap."""
    weight, label = heap[0]
    while weight < (now := rows[label].weight):
        heapq.heapreplace(heap, (now, label))
        weight, label = heap[0]
    gone = rows.pop(label)
    other = rows.get(OTHER)
    if other is None:
        other = rows[OTHER] = make()
    other.absorb(gone)
    return weight
