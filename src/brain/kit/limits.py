"""Limits on a series of values, that neither flap nor alarm at once: a clear level, and times to hold.

    limit = Limit(90.0, clear=85.0, hold=60.0)
    state, change = limit.apply(LimitState(), value, now)

A value reaches a limit when it is at it or beyond it (`>=`, or `<=` for one from below). The limit is crossed once that
has held for `hold` seconds, and cleared once values are on the other side of `clear` for `clear_hold` seconds. What
lies between the two levels changes nothing. So a value that swings around the limit makes one change, not one a swing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from math import isfinite, isnan

from brain.errors import InvalidInput

__all__ = ["Direction", "Limit", "LimitChange", "LimitState"]


class Direction(StrEnum):
    """On which side of a limit the trouble lies."""

    ABOVE = "above"
    BELOW = "below"


@dataclass(frozen=True)
class LimitState:
    """What is known of one series; a new one begins with `LimitState()`. Times are in Unix seconds."""

    crossed: bool = False
    since: float | None = None
    """When the trouble began: the first of the values that led to the crossing. None while it is not crossed."""
    pending_since: float | None = None
    """From when on values ask for the other state, and have not yet held long enough; None when none does."""


@dataclass(frozen=True)
class LimitChange:
    """A limit was crossed, or cleared."""

    crossed: bool
    """True for a crossing, False for its end."""
    value: float
    at: float
    """The time of the value that made the change, in Unix seconds."""
    for_seconds: float
    """A crossing: for how long values had reached the limit. A clearing: how long the trouble lasted in all."""


@dataclass(frozen=True)
class Limit:
    """A level, and when it counts as crossed and as cleared. Raises InvalidInput for what cannot be."""

    limit: float
    clear: float | None = None
    """The level that ends it, on the good side of the limit; the limit itself when None."""
    hold: float = 0.0
    """Seconds for which values must reach the limit."""
    clear_hold: float = 0.0
    """Seconds for which values must be on the good side of `clear`."""
    direction: Direction = Direction.ABOVE

    def __post_init__(self) -> None:
        for name in ("hold", "clear_hold"):
            seconds = getattr(self, name)
            if not isfinite(seconds) or seconds < 0:
                raise InvalidInput(f"{name}: {seconds} is no time to hold; give seconds, 0 or more")
        if not isfinite(self.limit) or not isfinite(self.clear_level):
            raise InvalidInput("limit: a level must be a finite number")
        if self._beyond(self.clear_level, self.limit) and self.clear_level != self.limit:
            side = "below" if self.direction is Direction.ABOVE else "above"
            raise InvalidInput(f"clear: {self.clear_level} must be {side} the limit {self.limit}, or equal to it")

    @property
    def clear_level(self) -> float:
        """The level that ends a crossing."""
        return self.limit if self.clear is None else self.clear

    def apply(self, state: LimitState, value: float | None, at: float) -> tuple[LimitState, LimitChange | None]:
        """The state after a value at `at` (Unix seconds), and the change that it made, if any.

        None and NaN stand for a value that is not available: they change nothing. A clock that is set back starts the
        time to hold over.
        """
        if value is None or isnan(value):
            return state, None
        if not self._asks_for_change(state, value):
            return (state if state.pending_since is None else replace(state, pending_since=None)), None
        pending = at if state.pending_since is None else min(state.pending_since, at)
        if at - pending < (self.clear_hold if state.crossed else self.hold):
            return replace(state, pending_since=pending), None
        if state.crossed:
            began = at if state.since is None else state.since
            return LimitState(), LimitChange(False, value, at, max(0.0, at - began))
        return LimitState(crossed=True, since=pending), LimitChange(True, value, at, at - pending)

    def _asks_for_change(self, state: LimitState, value: float) -> bool:
        if state.crossed:
            return not self._beyond(value, self.clear_level)
        return self._beyond(value, self.limit)

    def _beyond(self, value: float, level: float) -> bool:
        return value >= level if self.direction is Direction.ABOVE else value <= level
