"""What calls cost, by the price table of the settings. No package that writes spans says it."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from brain.telemetry.genai import Use
from brain.telemetry.settings import Price

UNIT = 10**12
"""Costs are whole numbers of 1/UNIT of the currency, so that their sums are exact."""
_MILLION = 1_000_000


class Prices:
    """The price table, by model."""

    def __init__(self, prices: Mapping[str, Price]) -> None:
        self._prices = {model: _units(price) for model, price in prices.items()}

    def cost(self, use: Use) -> int | None:
        """In 1/UNIT of the currency; None where neither the model that answered nor the one asked for has a price."""
        price = self._prices.get(use.name) or self._prices.get(use.asked)
        if price is None:
            return None
        new, cached, output = price
        return (use.input_tokens - use.cached_tokens) * new + use.cached_tokens * cached + use.output_tokens * output


def _units(price: Price) -> tuple[int, int, int]:
    """Of one token: input, cached input, output."""
    cached = price.input if price.cached is None else price.cached
    return _of_token(price.input), _of_token(cached), _of_token(price.output)


def _of_token(million: float) -> int:
    return int(Decimal(repr(million)) * UNIT / _MILLION)
