"""The rows of defined metrics, and what a single event adds to them.

Sums are whole numbers in units of 10 to the minus `decimals`, so that adding up in any order gives the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

LARGEST = (1 << 63) - 1
"""What a BIGINT holds; sums stop there."""
MOST_UNITS = 10**17
"""Units of one value; what is beyond counts as so many, so that one absurd event cannot fill a sum."""


COLUMNS = ("count", "sum", "error", "low", "high", "last", "last_at", "bins")
"""The columns of the table that are a row's figures."""


class Observation(NamedTuple):
    """One event's value: in units, as it is given, when (Unix seconds), and the place of its bin (-1: no bins)."""

    units: int
    value: float
    at: float
    bin: int


@dataclass(slots=True)
class DefinedRow:
    """A point of a defined metric.

    `by_sum`: the row weighs what its values add up to (counters), else how many there are. `low`, `high`, `last` (the
    value with the latest time, of equal times the later in the stream) are kept for gauges; `bins` for histograms.
    """

    by_sum: bool = True
    is_gauge: bool = False
    count: int = 0
    sum: int = 0
    error: int = 0
    low: float | None = None
    high: float | None = None
    last: float | None = None
    last_at: float | None = None
    bins: list[int] | None = None

    @property
    def weight(self) -> int:
        """By which rows are ranked."""
        return self.error + (self.sum if self.by_sum else self.count)

    def add(self, observation: Observation) -> None:
        """One observation more, later in the stream than those before."""
        self.count += 1
        self.sum += observation.units
        if self.is_gauge:
            self.note(observation.value, observation.value, observation.value, observation.at)
        elif self.bins is not None:
            self.bins[observation.bin] += 1

    def absorb(self, other: DefinedRow) -> None:
        """All that another row has, whose observations come later in the stream or have other times."""
        self.count += other.count
        self.sum += other.sum
        if other.low is not None and other.high is not None and other.last is not None and other.last_at is not None:
            self.note(other.low, other.high, other.last, other.last_at)
        if self.bins is not None and other.bins is not None:
            self.bins = [mine + more for mine, more in zip(self.bins, other.bins, strict=True)]

    def note(self, low: float, high: float, last: float, at: float) -> None:
        """Values that came later in the stream, or at other times."""
        self.low = low if self.low is None else min(self.low, low)
        self.high = high if self.high is None else max(self.high, high)
        if self.last_at is None or at >= self.last_at:
            self.last, self.last_at = last, at

    def figures(self) -> tuple[Any, ...]:
        """As the table has it, in the order of COLUMNS."""
        bins = None if self.bins is None else " ".join(map(str, self.bins))
        total, error = self.sum, self.error
        if not -LARGEST <= total <= LARGEST or error > LARGEST:
            total, error = max(-LARGEST, min(total, LARGEST)), min(error, LARGEST)
        return (self.count, total, error, self.low, self.high, self.last, self.last_at, bins)

    def fill(self, figures: Sequence[Any]) -> DefinedRow:
        """Take over what the table has, in the order of COLUMNS."""
        self.count, self.sum, self.error, self.low, self.high, self.last, self.last_at, bins = figures
        self.bins = None if bins is None else [int(count) for count in bins.split()]
        return self
