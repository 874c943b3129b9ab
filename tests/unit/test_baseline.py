"""What a learned baseline calls unusual."""

from __future__ import annotations

import math

import pytest

from brain.kit.baseline import Baseline, Unusual

STEP = 300.0
DAY = 288


def wave(days: float, start: int = 0) -> list[tuple[float, float]]:
    """A measure that goes up and down each day, with a small ripple."""
    steps = range(start, start + int(days * DAY))
    return [(n * STEP, 50 + 30 * math.sin(n / DAY * math.tau) + n * 7 % 5) for n in steps]


def judge(baseline: Baseline, values: list[tuple[float, float]]) -> list[Unusual]:
    """What is unusual about these values."""
    return [found for at, value in values if (found := baseline.see(at, value)) is not None]


def test_a_daily_rhythm_is_usual_and_a_rise_above_it_is_not() -> None:
    baseline = Baseline()
    assert judge(baseline, wave(3)) == []
    found = judge(baseline, [(at, value + 80) for at, value in wave(0.25, 3 * DAY)])
    assert found[0].at - 3 * DAY * STEP <= 600
    assert [one.new for one in found] == [True] + [False] * (len(found) - 1)
    assert found[0].is_high
    assert found[0].words.startswith("the mean of 20 min is")


def test_a_fall_to_nothing_is_unusual() -> None:
    baseline = Baseline()
    judge(baseline, wave(3))
    found = judge(baseline, [(at, 0.0) for at, _ in wave(0.1, 3 * DAY)])
    assert found
    assert not found[0].is_high


def test_nothing_is_judged_before_enough_is_known() -> None:
    baseline = Baseline()
    assert judge(baseline, [(n * STEP, 1.0) for n in range(DAY - 3)]) == []
    assert judge(baseline, [(n * STEP, 1e6) for n in range(DAY - 3, DAY)]) == []


def test_an_episode_is_new_again_after_a_quiet_time() -> None:
    baseline = Baseline()
    judge(baseline, wave(2))
    first = judge(baseline, [(at, value + 200) for at, value in wave(0.05, 2 * DAY)])
    judge(baseline, wave(0.5, 2 * DAY + 20))
    again = judge(baseline, [(at, value + 900) for at, value in wave(0.05, 3 * DAY)])
    assert [one.new for one in (*first[:2], *again[:2])] == [True, False, True, False]


def test_looking_learns_nothing() -> None:
    baseline = Baseline()
    judge(baseline, wave(2))
    at = 2 * DAY * STEP
    looked = baseline.look(at, 1_000.0)
    assert looked is not None
    assert baseline.look(at, 50.0) is None
    assert baseline.see(at, 1_000.0) == looked


def test_a_restored_baseline_judges_like_one_that_saw_everything() -> None:
    values = [(at, value + (90 if 2200 < n < 2230 else 0)) for n, (at, value) in enumerate(wave(9))]
    whole = Baseline()
    found = judge(whole, values[:2240])
    later = Baseline.restored(values[2240 - 2070 : 2240], whole.unusual_at)
    assert found
    more = [(at, value + 120 * (n % 100 < 9)) for n, (at, value) in enumerate(values[2240:])]
    assert judge(later, more) == judge(whole, more) != []


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_or_late_is_left_out(value: float) -> None:
    baseline, same = Baseline(), Baseline()
    judge(baseline, [*wave(2), (2 * DAY * STEP, value), (10.0, 1e9)])
    judge(same, wave(2))
    more = [(at, number + 100) for at, number in wave(0.1, 2 * DAY)]
    assert judge(baseline, more) == judge(same, more) != []
