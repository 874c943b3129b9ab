"""What calls cost, by the price table of the settings. No package that writes spans says it."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from brain.telemetry.genai import MODEL, Labels
from brain.telemetry.settings import Price

UNIT = 10**12
"""Costs are whole numbers of 1/UNIT of the currency, so that their sums are exact."""
_MILLION = 1_000_000


class Prices:
    """The price table, by model."""

    def __init__(self, prices: Mapping[str, Price]) -> None:
        self._prices = {model: _units(price) for model, price in prices.items()}

    def cost(self, labels: Labels, tokens: int, answered: int, cached: int) -> int | None:
        """Of calls with so many tokens in all, in 1/UNIT of the currency; 0 for tools.

        None where neither the model that answered nor the one asked for has a price.
        """
        if labels.kind != MODEL:
            return 0
        price = self._prices.get(labels.name) or self._prices.get(labels.asked)
        if price is None:
            return None
        new, of_cached, output = price
        return (tokens - cached) * new + cached * of_cached + answered * output


def _units(price: Price) -> tuple[int, int, int]:
    """Of one token: input, cached input, output."""
    cached = price.input if price.cached is None else price.cached
    return _of_token(price.input), _of_token(cached), _of_token(price.output)


def _of_token(million: float) -> int:
    return int(Decimal(repr(million)) * UNIT / _MILLION)
