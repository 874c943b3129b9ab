"""How a service level objective stands: its burn rates, and what is left of its error budget."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta
from sqlalchemy import Connection, func, select

from brain.metrics import series, tables
from brain.metrics.burn_rate import Burning, Spent, allowed, budget_seconds, burning, seconds_of
from brain.metrics.compiled import Epoch
from brain.metrics.windows import sums_in_windows

if TYPE_CHECKING:
    from brain.metrics.definitions import SloDefinition


@dataclass(frozen=True)
class SloStatus:
    """An objective as it stands."""

    name: Annotated[str, Meta(description="The objective's name.")]
    objective: Annotated[float, Meta(description="The share of events that should be good.")]
    burn_rates: Annotated[dict[str, float], Meta(description="Burn rates by window, in seconds; 1 is just allowed.")]
    budget_left: Annotated[float, Meta(description="The share of the error budget that is left; below 0: overspent.")]
    burning: Burning | None


def slo_status(
    connection: Connection, name: str, slo: SloDefinition, epochs: Mapping[str, Epoch], now: float, *, already: bool
) -> SloStatus:
    """How it stands at `now` (Unix seconds); `already`: an alert is on."""
    spent = _spent(connection, slo, epochs, now)
    rates = {str(seconds): float(one.burn(slo.objective)) for seconds, one in spent.items()}
    left = 1.0 - float(spent[budget_seconds(slo)].bad) / _budget(connection, slo, epochs, spent, now)
    return SloStatus(name, slo.objective, rates, left, burning(slo, spent, already=already))


def _spent(connection: Connection, slo: SloDefinition, epochs: Mapping[str, Epoch], now: float) -> dict[int, Spent]:
    seconds = seconds_of(slo)
    totals = sums_in_windows(connection, epochs[slo.total], seconds, now)
    other = sums_in_windows(connection, epochs[slo.good or slo.bad or ""], seconds, now)
    if slo.bad is not None:
        return {window: Spent(totals[window], min(other[window], totals[window])) for window in seconds}
    return {window: Spent(totals[window], max(totals[window] - other[window], Fraction(0))) for window in seconds}


def _budget(
    connection: Connection, slo: SloDefinition, epochs: Mapping[str, Epoch], spent: Mapping[int, Spent], now: float
) -> float:
    """How many events may be bad in the whole window; a young series is taken to go on as it has until now."""
    table, window = tables.defined.c, budget_seconds(slo)
    epoch = epochs[slo.total]
    first = connection.execute(
        select(func.min(table.bucket)).where(table.step == series.STEPS[-1], table.epoch == epoch.id)
    ).scalar_one()
    age = max(3600.0, now - min(epoch.began_at, now if first is None else first))
    return float(spent[window].total * allowed(slo.objective)) * max(1.0, window / age) or 1.0
