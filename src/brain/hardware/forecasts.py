"""When something is used up if it goes on as it did: a straight line through the readings, by least squares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import StatisticsError, correlation, linear_regression

LEAST_POINTS = 6
LEAST_R2 = 0.8
"""Below it the line does not tell: what swings has no time at which it is full."""
_HOUR = 3600.0
_NEWS = 0.25
"""By which part the hours that are left must change until it is announced again."""


@dataclass(frozen=True)
class Forecast:
    """When a percentage reaches 100. Times are in Unix seconds."""

    made_at: float
    exhausted_at: float
    slope: float
    """Percent an hour."""
    r2: float
    """How well the line fits: the square of the correlation."""

    @property
    def hours(self) -> float:
        """The hours that were left when it was made."""
        return (self.exhausted_at - self.made_at) / _HOUR

    def is_news_after(self, announced: float) -> bool:
        """Whether it differs much from what was announced: that it is used up at that time."""
        return abs(self.exhausted_at - announced) > _NEWS * max(self.exhausted_at - self.made_at, _HOUR)


def forecast(points: Sequence[tuple[float, float]], full: float = 100.0) -> Forecast | None:
    """From (Unix seconds, percent), the oldest first; None where it does not rise, or not on a line."""
    if len(points) < LEAST_POINTS:
        return None
    now, last = points[-1]
    hours = [(at - now) / _HOUR for at, _ in points]
    values = [value for _, value in points]
    try:
        slope, intercept = linear_regression(hours, values)
        r2 = correlation(hours, values) ** 2
    except StatisticsError:  # all at one time, or all of one value
        return None
    if slope <= 0 or r2 < LEAST_R2 or last >= full:
        return None
    return Forecast(now, now + max(0.0, (full - intercept) / slope) * _HOUR, slope, r2)
