"""A learned baseline: whether a measure is outside what the past days were like.

The means of the last twenty minutes and of the last two hours are each compared with such means of the past seven
days. One is unusual when it lies outside their inner 98 % by a margin, which is a share of how far they spread. These
are order statistics: nothing is assumed of how values are distributed, and a few wild ones do not widen what is usual.
docs/immune.md has the measurements on recorded series, beside other detectors.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from math import isfinite

__all__ = ["Baseline", "BaselineSettings", "Unusual"]


@dataclass(frozen=True)
class BaselineSettings:
    """How a baseline learns and judges; all times are in seconds. One setting is meant for all series."""

    spans: tuple[float, ...] = (1200.0, 7200.0)
    """The times over which values are averaged before they are compared."""
    memory: float = 7 * 86_400.0
    """How far back the baseline looks."""
    tail: float = 0.01
    """The share of means left out at each end of what is usual."""
    margin: float = 0.25
    """How far outside a mean must be, as a share of the spread."""
    floor: float = 0.05
    """The least spread, as a share of the median: a series that never moved may move a little."""
    least: float = 1e-9
    """The least spread, in the unit of the values."""
    settle: float = 86_400.0
    """How far back means must be known before anything is judged: a day, since days have rhythms."""
    known: int = 50
    """Means that must be known besides."""
    quiet: float = 4 * 3600.0
    """How long a series must have been usual before it is announced again."""
    most: int = 2016
    """Means kept: those of `memory` with one value each five minutes. With more values the memory is shorter."""


@dataclass(frozen=True)
class Unusual:
    """A mean outside the baseline."""

    at: float
    span: float
    mean: float
    low: float
    usual: float
    high: float
    score: float
    """How far outside it is, in spreads; the margin at least."""
    new: bool
    """Whether this begins an episode. What follows within the quiet time is the same one."""

    @property
    def is_high(self) -> bool:
        """Whether the mean is above what is usual; else it is below."""
        return self.mean > self.high

    @property
    def words(self) -> str:
        """What was seen, for a person."""
        side = "above" if self.is_high else "below"
        usual = f"the usual {self.low:.4g} to {self.high:.4g}"
        return f"the mean of {self.span / 60:g} min is {self.mean:.4g}, {side} {usual}"


class Baseline:
    """One series. Give it values in order of time; one that is no number, or late, is left out.

    The same values give the same judgements. A baseline made of the values of its `memory` and the longest span goes
    on where one that saw them all stands: see `restored`.
    """

    def __init__(self, settings: BaselineSettings | None = None) -> None:
        self.settings: BaselineSettings = settings or BaselineSettings()
        self.unusual_at: float = float("-inf")
        """When the series was unusual last."""
        self._at = float("-inf")
        self._means = [_Means(span, self.settings) for span in self.settings.spans]

    @classmethod
    def restored(
        cls,
        values: Iterable[tuple[float, float]],
        unusual_at: float = float("-inf"),
        settings: BaselineSettings | None = None,
    ) -> Baseline:
        """The baseline that has learned these values, each with its time."""
        made = cls(settings)
        for at, value in values:
            for means in made._means:
                means.learn(at, value)
            made._at = at
        made.unusual_at = unusual_at
        return made

    def see(self, at: float, value: float) -> Unusual | None:
        """Learn a value; what is unusual about it, or None."""
        if not isfinite(value) or at <= self._at:
            return None
        self._at = at
        found = self._worst(at, [means.learn(at, value) for means in self._means])
        if found is not None:
            self.unusual_at = at
        return found

    def look(self, at: float, value: float) -> Unusual | None:
        """What `see` would say of this value, without learning it."""
        return self._worst(at, [means.mean_with(at, value) for means in self._means])

    def knows(self, at: float) -> bool:
        """Whether enough was learned by then to judge by."""
        return all(means.knows(at) for means in self._means)

    def _worst(self, at: float, present: Iterable[float]) -> Unusual | None:
        new = at - self.unusual_at > self.settings.quiet
        judged = (means.judge(at, mean, new) for means, mean in zip(self._means, present, strict=True))
        return max((one for one in judged if one is not None), key=lambda one: one.score, default=None)


class _Means:
    """The moving means over one span, and the past ones in order of size."""

    def __init__(self, span: float, settings: BaselineSettings) -> None:
        self._span = span
        self._settings = settings
        self._recent: deque[tuple[float, float]] = deque()  # the values within the span
        self._waiting: deque[tuple[float, float]] = deque()  # means that overlap the present one
        self._past: deque[tuple[float, float]] = deque()
        self._sorted: list[float] = []

    def learn(self, at: float, value: float) -> float:
        """Take a value; the mean with it, which is compared with those before it."""
        mean = self.mean_with(at, value)
        self._recent.append((at, value))
        while self._waiting and self._waiting[0][0] <= at - self._span:
            self._past.append(self._waiting.popleft())
            insort(self._sorted, self._past[-1][1])
        oldest, most = at - self._settings.memory, self._settings.most
        while self._past and (self._past[0][0] < oldest or len(self._past) > most):
            del self._sorted[bisect_left(self._sorted, self._past.popleft()[1])]
        self._waiting.append((at, mean))
        return mean

    def mean_with(self, at: float, value: float) -> float:
        """The mean over the span that ends with this value."""
        while self._recent and self._recent[0][0] <= at - self._span:
            self._recent.popleft()
        return (sum(known for _, known in self._recent) + value) / (len(self._recent) + 1)

    def knows(self, at: float) -> bool:
        """Whether there is a day of means by then, and enough of them."""
        settings = self._settings
        return len(self._sorted) >= settings.known and self._past[0][0] <= at - settings.settle

    def judge(self, at: float, mean: float, new: bool) -> Unusual | None:
        """What is unusual about a mean; None also while too little is known."""
        if not self.knows(at):
            return None
        settings, last = self._settings, len(self._sorted) - 1
        tail = round(settings.tail * last)
        low, middle, high = self._sorted[tail], self._sorted[last // 2], self._sorted[last - tail]
        spread = high - low + settings.floor * abs(middle) + settings.least
        score = max(mean - high, low - mean) / spread
        return Unusual(at, self._span, mean, low, middle, high, score, new) if score >= settings.margin else None
