"""A clock that a test moves by hand."""

from __future__ import annotations


class Clock:
    """Unix seconds; stands still until `advance` is called."""

    def __init__(self, now: float = 1_703_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds
