"""Limits on series of values: crossed at the level, cleared below another, held for a time, never flapping."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain.errors import InvalidInput
from brain.kit.limits import Direction, Limit, LimitChange, LimitState


def changes(limit: Limit, values: list[float | None], every: float = 1.0) -> list[LimitChange]:
    """The changes that these values make, the first at time 0, the others `every` seconds apart."""
    state, found = LimitState(), []
    for number, value in enumerate(values):
        state, change = limit.apply(state, value, number * every)
        found += [] if change is None else [change]
    return found


def test_a_value_at_the_limit_crosses_it_and_one_at_the_clear_level_does_not_clear_it() -> None:
    limit = Limit(90.0, clear=85.0)
    assert changes(limit, [89.999]) == []
    assert changes(limit, [90.0, 85.0, 84.999]) == [LimitChange(True, 90.0, 0.0, 0.0), LimitChange(False, 84.999, 2, 2)]


def test_nothing_flaps_between_the_levels() -> None:
    swinging: list[float | None] = [89.0, 91.0] * 500
    assert [change.crossed for change in changes(Limit(90.0, clear=85.0), swinging)] == [True]


def test_a_limit_must_hold_before_it_is_crossed_and_its_end_likewise() -> None:
    limit = Limit(90.0, clear=85.0, hold=3.0, clear_hold=2.0)
    assert changes(limit, [95, 95, 95, 80, 95, 95, 95]) == []
    held = changes(limit, [95, 95, 95, 95, 80, 86, 80, 80, 80])
    assert held == [LimitChange(True, 95, 3.0, 3.0), LimitChange(False, 80, 8.0, 8.0)]


def test_a_limit_from_below_is_the_mirror() -> None:
    battery = Limit(20.0, clear=25.0, direction=Direction.BELOW)
    found = changes(battery, [21, 20, 25, 25.1])
    assert [(change.crossed, change.value) for change in found] == [(True, 20), (False, 25.1)]


def test_what_is_not_available_changes_nothing() -> None:
    limit = Limit(90.0, hold=2.0)
    found = changes(limit, [95, None, 95, float("nan"), 10])
    assert [(change.crossed, change.at) for change in found] == [(True, 2.0), (False, 4.0)]


def test_a_clock_that_is_set_back_starts_the_hold_over() -> None:
    limit = Limit(90.0, hold=10.0)
    state, change = limit.apply(LimitState(), 95.0, 1_000.0)
    for at, crossed in ((500.0, False), (509.0, False), (510.0, True)):
        state, change = limit.apply(state, 95.0, at)
        assert (change is not None) is crossed
    assert state.since == 500.0
    assert limit.apply(state, 10.0, 400.0)[1] == LimitChange(False, 10.0, 400.0, 0.0)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"limit": 90, "clear": 91}, "clear"),
        ({"limit": 20, "clear": 19, "direction": Direction.BELOW}, "clear"),
        ({"limit": 90, "hold": -1}, "hold"),
        ({"limit": 90, "clear_hold": float("inf")}, "clear_hold"),
        ({"limit": float("nan")}, "limit"),
        ({"limit": 90, "clear": float("-inf")}, "limit"),
    ],
)
def test_levels_that_cannot_be_are_refused(given: dict[str, float], named: str) -> None:
    with pytest.raises(InvalidInput, match=named):
        Limit(**given)  # type: ignore[arg-type]


VALUES = st.lists(st.floats(0, 100), max_size=60)


@given(VALUES, st.integers(0, 5), st.integers(0, 5), st.sampled_from(Direction))
def test_crossings_and_clearings_take_turns_and_each_has_held(
    values: list[float], hold: int, clear_hold: int, direction: Direction
) -> None:
    sign = 1.0 if direction is Direction.ABOVE else -1.0
    limit = Limit(sign * 70.0, sign * 60.0, hold, clear_hold, direction)
    found = changes(limit, [sign * value for value in values])
    assert [change.crossed for change in found] == [number % 2 == 0 for number in range(len(found))]
    for change in found:
        last = values[int(change.at) - (hold if change.crossed else clear_hold) : int(change.at) + 1]
        assert all(value >= 70 for value in last) if change.crossed else all(value < 60 for value in last)
    for before, after in pairwise(found):
        assert after.at - before.at >= (hold if after.crossed else clear_hold)
