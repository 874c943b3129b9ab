"""Service level objectives by simulated time: when an alert comes, when it never does, and how it ends."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from random import Random
from typing import Any

import pytest
import sqlalchemy as sa

from brain.charter import Event
from brain.kit import outbox
from brain.metrics.burn_rate import Spent, burning
from brain.metrics.definition_store import read_defined
from brain.metrics.definition_views import show_slos
from brain.metrics.definitions import SloDefinition
from brain.metrics.projector import EventCounter
from brain.metrics.schema import changing_tables
from brain.metrics.watch import changes, store
from support.metrics_defined import defined
from support.metrics_tables import open_tables
from support.metrics_traffic import START
from support.sizes import sizes

DEFINITIONS: dict[str, Any] = {
    "requests": {"kind": "counter", "events": "request.*"},
    "errors": {"kind": "counter", "events": "request.failed"},
}
BEGIN = START // 3600 * 3600


class Simulation:
    """A service whose requests fail by a rate, counted and watched at injected times."""

    def __init__(self, objective: float, per_second: float) -> None:
        self.engine = open_tables()
        slo = {"requests": {"total": "requests", "bad": "errors", "objective": objective}}
        defined(self.engine, DEFINITIONS, BEGIN, slos=slo)
        with self.engine.begin() as connection:
            self.defined = read_defined(connection)
        self.now = BEGIN
        self.alerts: list[tuple[float, str]] = []
        self._per_second = per_second
        self._counter = EventCounter()
        self._position = 0

    def run(self, seconds: int, fails: Callable[[int], bool], look: int = 10, batch: int = 0) -> None:
        """Go on for so many seconds; `fails` says of the n-th request of this run whether it fails.

        Events are counted `batch` seconds at once, ahead of the looks, which see those up to their own time.
        """
        number = 0
        for _ in range(0, seconds, batch or look):
            events = []
            for place in range(round((batch or look) * self._per_second)):
                type = "request.failed" if fails(number) else "request.served"
                when = self.now + place / self._per_second
                events.append(Event(type=type, source="web_service", timestamp=when, payload={}))
                number += 1
            with self.engine.begin() as connection:
                numbered = enumerate(events, self._position + 1)
                self._counter.count(connection, [(str(at), event) for at, event in numbered])
            self._position += len(events)
            for _ in range(0, batch or look, look):
                self.now += look
                self._look()

    def _look(self) -> None:
        with changing_tables(self.engine) as connection:
            found = changes(connection, self.defined, self.now)
            store(connection, found, self.now)
        self.alerts += [(self.now - BEGIN, one.event.name) for one in found if one.event is not None]


def evenly(share: float) -> Callable[[int], bool]:
    """Every request that makes up the share fails, the first one among them."""
    exact = Fraction(str(share))
    return lambda number: math.ceil((number + 1) * exact) > math.ceil(number * exact)


def test_burning_14_4_times_too_fast_alerts_within_two_minutes() -> None:
    simulation = Simulation(objective=0.99, per_second=10)
    simulation.run(120, evenly(14.4 * 0.01))
    ((after, name),) = simulation.alerts
    print(f"14.4 times: an alert after {after:.0f} s")
    assert (name, after <= 120) == ("metrics.slo_burning", True)
    with simulation.engine.begin() as connection:
        rows = connection.execute(sa.select(outbox.events.c.data)).scalars()
        payload = [Event.decode(row).payload for row in rows][-1]
        (shown,) = show_slos(connection, simulation.now)
    assert (payload["slo"], payload["window_long"], payload["window_short"]) == ("requests", 3600, 300)
    assert payload["burn_rate"] >= 14.4
    assert 0.97 < payload["budget_left"] < 1, "an hour at 14.4 costs 2 % of 30 days"
    assert shown.burning_since == BEGIN + after


def test_an_outage_after_healthy_hours_alerts_within_two_minutes_and_is_cleared() -> None:
    simulation = Simulation(objective=0.999, per_second=1)
    simulation.run(3600, lambda number: False, look=300)
    assert simulation.alerts == []
    simulation.run(120, lambda number: True)
    after = [at - 3600 for at, _ in simulation.alerts]
    print(f"an outage: alerts after {after} s")
    assert after[0] <= 30, "10 % of the budget at this rate"
    assert 50 <= after[-1] <= 120, "2 % of the budget at this rate"
    simulation.run(7 * 3600, lambda number: False, look=300)
    assert [name for _, name in simulation.alerts][len(after) :] == ["metrics.slo_cleared"]


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("hours", "look"), sizes((6, 300), (168, 60)))
def test_burning_nine_tenths_of_the_budget_never_alerts(hours: int, look: int) -> None:
    chance = Random(hours)
    simulation = Simulation(objective=0.99, per_second=0.1)
    simulation.run(hours * 3600, lambda number: chance.random() < 0.9 * 0.01, look, batch=3600)
    print(f"{hours} hours at 0.9: {len(simulation.alerts)} alerts")
    assert simulation.alerts == []


def test_what_chance_does_is_no_alert() -> None:
    slo = SloDefinition(total="t", bad="b", objective=0.99)

    def at(total: int, bad: int) -> bool:
        spent = {seconds: Spent(Fraction(total), Fraction(bad)) for seconds in (300, 1800, 3600, 21_600, 259_200)}
        return burning(slo, spent) is not None

    assert [at(10, 1), at(50, 9), at(60, 10)] == [False, False, True]
    assert [at(10_000, 100), at(10_000, 139), at(10_000, 140)] == [False, False, True]
    assert at(0, 0) is False
