"""The range of time that is asked for: its steps, and the stored buckets that answer it."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from brain.errors import InvalidInput
from brain.metrics.series import STEPS
from brain.metrics.settings import MetricsSettings

MOST_POINTS = 11_000
"""Most points of one series in an answer, as in Prometheus' own HTTP API."""
USUAL_POINTS = 240
"""About how many points an answer has when no step is given."""
DEFAULT_SPAN = 3600.0
"""Seconds, when no `since` is given."""
_WEEK = 604_800
_MONDAY = 4 * 86_400
"""The first Monday of Unix time, which began on a Thursday."""
_NICE = (10, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 604_800)


@dataclass(frozen=True)
class TimeRange:
    """From `since` to before `until` (Unix seconds), in steps of `step` seconds, read from buckets of `stored`."""

    since: int
    until: int
    step: int
    stored: int

    @property
    def origin(self) -> int:
        """The time from which steps are counted: steps of whole weeks begin on a Monday (ISO 8601), in UTC."""
        return origin_of(self.step)

    @property
    def starts(self) -> range:
        """Where each step begins."""
        return range(self.since, self.until, self.step)


def origin_of(step: int) -> int:
    """The Unix time from which steps of so many seconds are counted."""
    return _MONDAY if step % _WEEK == 0 else 0


def keep_seconds(settings: MetricsSettings) -> dict[int, float]:
    """How long the points of each stored step are kept."""
    return dict(
        zip(
            STEPS,
            (settings.keep_10s_hours * 3600, settings.keep_1m_days * 86_400, settings.keep_1h_days * 86_400),
            strict=True,
        )
    )


def time_range(
    since: float | None, until: float | None, step: int | None, now: float, settings: MetricsSettings
) -> TimeRange:
    """The range that is asked for, widened to whole steps.

    A step that is not a multiple of 10 s, or finer than what is still kept from `since` on, is made coarser.
    Raises InvalidInput for an empty or reversed range, and for more than MOST_POINTS steps.
    """
    end = now if until is None else until
    start = end - DEFAULT_SPAN if since is None else since
    if not start < end:
        raise InvalidInput(f"since: {start:.0f} is not before until, {end:.0f}; give an earlier since or a later until")
    if step is None:
        step = next((nice for nice in _NICE if (end - start) / nice <= USUAL_POINTS), _NICE[-1])
    elif step < 1:
        raise InvalidInput(f"step: {step} s is too short; use 1 or more")
    finest = _finest_kept(now - start, settings)
    step = ceil(step / finest) * finest
    origin = origin_of(step)
    first = int((start - origin) // step) * step + origin
    last = ceil((end - origin) / step) * step + origin
    if (last - first) // step > MOST_POINTS:
        raise InvalidInput(
            f"step: {step} s gives {(last - first) // step} points, at most {MOST_POINTS} are allowed; use a larger one"
        )
    return TimeRange(first, last, step, max(stored for stored in STEPS if step % stored == 0))


def _finest_kept(age: float, settings: MetricsSettings) -> int:
    """The finest stored step that reaches `age` seconds back; the coarsest when none does."""
    kept = keep_seconds(settings)
    return next((stored for stored in STEPS if age <= kept[stored]), STEPS[-1])
