"""Business hours and on-call rotations, in the wall time of a place.

A time zone's clock is put forward and back; so everything is reckoned in local time and only then compared: a shift
from 09:00 to 09:00 has 23 or 25 hours on those days, and opening hours stay what the sign on the door says.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_LOOK_AHEAD_DAYS = 400


@dataclass(frozen=True)
class Hours:
    """The same hours on some days of the week; `end` before or at `start` is on the next day.

    `days` are numbers, Monday 0, of the day on which the hours begin; `closed` are dates on which they do not.
    """

    zone: ZoneInfo
    days: frozenset[int]
    start: time
    end: time
    closed: frozenset[date] = frozenset()

    def open_at(self, at: float) -> bool:
        """Whether the Unix time lies within the hours; the end is excluded."""
        local = datetime.fromtimestamp(at, self.zone)
        return any(
            begin <= at < end
            for begin, end in (self._span(local.date() - timedelta(days=back)) for back in (0, 1))
            if begin < end
        )

    def next_change(self, at: float) -> float | None:
        """The first Unix time after `at` when they open or close; None when they never do within a year."""
        today = datetime.fromtimestamp(at, self.zone).date()
        for ahead in range(-1, _LOOK_AHEAD_DAYS):
            begin, end = self._span(today + timedelta(days=ahead))
            later = [edge for edge in (begin, end) if begin < end and edge > at]
            if later:
                return min(later)
        return None

    def _span(self, day: date) -> tuple[float, float]:
        """The Unix times between which the hours of that day lie; an empty span when there are none."""
        if day.weekday() not in self.days or day in self.closed:
            return 0.0, 0.0
        last = day if self.end > self.start else day + timedelta(days=1)
        return unix_time(day, self.start, self.zone), unix_time(last, self.end, self.zone)


@dataclass(frozen=True)
class Rotation:
    """People who take turns: the first from `start` (local date and time) for `shift_days` days, then the next."""

    zone: ZoneInfo
    people: tuple[str, ...]
    start: datetime
    shift_days: int

    def on_call(self, at: float) -> str:
        """Whose turn it is at the Unix time; before the start, as if they had always taken turns."""
        return self.people[self._shift(at) % len(self.people)]

    def next_change(self, at: float) -> float:
        """The Unix time at which the present shift ends."""
        return self._begin(self._shift(at) + 1)

    def _shift(self, at: float) -> int:
        """The number of the shift that holds the time."""
        local = datetime.fromtimestamp(at, self.zone).date()
        number = (local - self.start.date()).days // self.shift_days
        if at < self._begin(number):
            return number - 1
        return number

    def _begin(self, number: int) -> float:
        day = self.start.date() + timedelta(days=number * self.shift_days)
        return unix_time(day, self.start.time(), self.zone)


def unix_time(day: date, clock: time, zone: ZoneInfo) -> float:
    """When the clocks of the zone show that. A time shown twice means the first, one skipped what follows the gap."""
    local = datetime.combine(day, clock, zone)
    # In a gap the zone's own answer is the time before it, counted on: 02:30 becomes 03:30, which does exist.
    return local.astimezone(UTC).timestamp()
