"""How fast an error budget is spent, and whether that is an alert: multi-window, multi-burn-rate.

A burn rate of 1 spends the budget of the whole window in just that time. An alert needs both windows of a pair: the
long one shows that it matters, the short one that it goes on. Source: Google, The Site Reliability Workbook, chapter 5,
"Alerting on SLOs", section 6 and table 5-8.

Two things are added. Figures are compared as fractions, so that a rate of just 14.4 reaches 14.4. And what chance alone
may do is no alert: the bad events of the long window must be at least LEAST_BAD, and more than SIGMAS standard
deviations above what the objective allows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import sqrt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from brain.metrics.definitions import BurnWindow, SloDefinition


LEAST_BAD = 10
SIGMAS = 4.0
STAYS = Fraction(9, 10)
"""The share of the burn rate down to which an alert goes on."""


@dataclass(frozen=True)
class Spent:
    """Events of one window: how many in all, and how many of them were bad."""

    total: Fraction
    bad: Fraction

    def burn(self, objective: float) -> Fraction:
        """How many times faster than the objective allows; 0 without events."""
        return self.bad / self.total / allowed(objective) if self.total > 0 else Fraction(0)


@dataclass(frozen=True)
class Burning:
    """The pair of windows that alerts, with its burn rates."""

    window: BurnWindow
    long: float
    short: float


def allowed(objective: float) -> Fraction:
    """The share of events that may be bad, exactly as it is written: 0.001 for 0.999."""
    return 1 - Fraction(str(objective))


def burning(slo: SloDefinition, spent: Mapping[int, Spent], *, already: bool = False) -> Burning | None:
    """The fastest pair that alerts; None when none does. `already`: an alert is on, and ends a little later."""
    for window in sorted(slo.windows, key=lambda one: -one.burn):
        level = Fraction(str(window.burn)) * (STAYS if already else 1)
        long, short = (spent[seconds] for seconds in (window.long_seconds, window.short_seconds))
        rates = [one.burn(slo.objective) for one in (long, short)]
        if min(rates) >= level and (already or _is_no_chance(long, slo.objective)):
            return Burning(window, float(rates[0]), float(rates[1]))
    return None


def seconds_of(slo: SloDefinition) -> Sequence[int]:
    """All windows that are asked for, that of the budget included."""
    pairs = [seconds for one in slo.windows for seconds in (one.long_seconds, one.short_seconds)]
    return sorted({*pairs, budget_seconds(slo)})


def budget_seconds(slo: SloDefinition) -> int:
    """The window of the budget."""
    return slo.window_days * 86_400


def _is_no_chance(long: Spent, objective: float) -> bool:
    expected = float(long.total * allowed(objective))
    return long.bad >= LEAST_BAD and float(long.bad) >= expected + SIGMAS * sqrt(expected)
