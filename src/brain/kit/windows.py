"""Windows: samples gathered by steps of time, each with count, sum, least and greatest.

What is added in the same order gives the same figures to the last bit, however often a process was killed in between:
a stored window goes on where it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

__all__ = ["STEP", "Window", "start_of"]

STEP = 10
"""The usual width of a window, in seconds."""


@dataclass(slots=True)
class Window:
    """The samples of one step of time; `add` takes them in their order."""

    count: int = 0
    sum: float = 0.0
    least: float = inf
    most: float = -inf
    last: float = 0.0

    def add(self, value: float) -> None:
        """One sample."""
        self.count += 1
        self.sum += value
        self.last = value
        if value < self.least:
            self.least = value
        if value > self.most:
            self.most = value

    @property
    def mean(self) -> float:
        """The sum over the count; 0 without a sample."""
        return self.sum / self.count if self.count else 0.0


def start_of(at: float, step: int = STEP) -> int:
    """The start of the window that this time falls into, in Unix seconds."""
    return int(at // step) * step
