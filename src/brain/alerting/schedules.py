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
        """Whether the clock of the zone shows a time within the hours; the end is excluded.

        Where clocks are put back, what they show twice is judged twice. A beginning that they skip is counted on: 02:30
        is 03:30 then, or the end of the gap where the hours would be over by that time.
        """
        shown = datetime.fromtimestamp(at, self.zone).replace(tzinfo=None)
        return any(self._holds(shown.date() - timedelta(days=back), shown, at) for back in (0, 1))

    def next_change(self, at: float) -> float | None:
        """The first Unix time after `at` when they open or close; None when they never do within a year."""
        today, now = datetime.fromtimestamp(at, self.zone).date(), self.open_at(at)
        for ahead in range(-1, _LOOK_AHEAD_DAYS):
            shown, skipped = self._edges(today + timedelta(days=ahead))
            for edge in sorted(shown | skipped):
                if edge > at and (edge in shown or self.open_at(edge) is not now):
                    return edge
        return None

    def _holds(self, day: date, shown: datetime, at: float) -> bool:
        """Whether the hours that begin on that day hold the time."""
        if day.weekday() not in self.days or day in self.closed:
            return False
        first, end = self._shown_span(day)
        if not first <= shown < end:
            return False
        begin = unix_time(day, self.start, self.zone)
        return at >= begin or begin >= unix_time(end.date(), end.time(), self.zone)

    def _shown_span(self, day: date) -> tuple[datetime, datetime]:
        """What the clocks show when the hours of that day begin, and when they end."""
        last = day if self.end > self.start else day + timedelta(days=1)
        return datetime.combine(day, self.start), datetime.combine(last, self.end)

    def _edges(self, day: date) -> tuple[set[float], set[float]]:
        """The Unix times at which the clock shows the beginning or the end of that day's hours, and those beside them
        at which they may begin or end because clocks are changed."""
        shown: set[float] = set()
        skipped: set[float] = set()
        if day.weekday() not in self.days or day in self.closed:
            return shown, skipped
        for moment in self._shown_span(day):
            for fold in (0, 1):
                at = moment.replace(tzinfo=self.zone, fold=fold).astimezone(UTC).timestamp()
                exists = datetime.fromtimestamp(at, self.zone).replace(tzinfo=None) == moment
                (shown if exists else skipped).add(at)
        every = shown | skipped
        return shown, skipped | clock_changes(min(every), max(every), self.zone)


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


def clock_changes(since: float, until: float, zone: ZoneInfo) -> set[float]:
    """The Unix times at which the clocks of the zone are put forward or back, between two whole seconds."""
    found: set[float] = set()
    low = int(since)
    while low < until:
        high = min(low + 21_600, int(until) + 1)
        before, after = _offset(low, zone), _offset(high, zone)
        start = low
        if before != after:
            while high - start > 1:
                middle = (start + high) // 2
                start, high = (middle, high) if _offset(middle, zone) == before else (start, middle)
            found.add(float(high))
        low = high if before != after else low + 21_600
    return found


def _offset(at: float, zone: ZoneInfo) -> timedelta | None:
    return datetime.fromtimestamp(at, zone).utcoffset()
