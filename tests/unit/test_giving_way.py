"""The event loop gives way to calls in threads, for a bounded time."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from brain.stream.giving_way import AT_ONCE, BUSY, FOR_EACH, IN_ALL, GivingWay
from support.clock import Clock


class Standing(Clock):
    """A clock by which each standing still takes as long as it may: every second look at it is a moment later."""

    def __init__(self) -> None:
        super().__init__(100.0)
        self.looks = 0

    def __call__(self) -> float:
        self.looks += 1
        if self.looks % 2 == 0:
            self.advance(AT_ONCE)
        return super().__call__()


def stood(giving_way: GivingWay, clock: Standing, apart: float = BUSY / 2) -> Iterator[bool]:
    """Whether the loop stood still, answer by answer, each so many seconds after the one before."""
    while True:
        before = clock.now
        giving_way.give_way()
        yield clock.now > before
        clock.looks = 0
        clock.advance(apart)


def test_it_stands_still_for_calls_under_way_alone() -> None:
    giving_way = GivingWay(clock=lambda: pytest.fail("nothing is under way"))
    giving_way.give_way()
    call = giving_way.call(pow, 2, 5)
    assert call() == 32
    giving_way.give_way()


def test_the_time_of_a_call_is_bounded_and_shared_with_the_answers() -> None:
    clock = Standing()
    giving_way = GivingWay(clock)
    giving_way.call(print)
    answers = stood(giving_way, clock)
    assert [next(answers) for _ in range(50)].count(True) == pytest.approx(FOR_EACH / AT_ONCE, abs=1)
    for _ in range(1_000):
        giving_way.call(print)
    assert [next(answers) for _ in range(1_000)].count(True) <= (IN_ALL + FOR_EACH) / AT_ONCE + 1


def test_a_loop_that_is_not_busy_stands_still_for_nobody() -> None:
    clock = Standing()
    giving_way = GivingWay(clock)
    giving_way.call(print)
    answers = stood(giving_way, clock, apart=2 * BUSY)
    assert not any(next(answers) for _ in range(50))


def test_the_loop_goes_on_when_a_call_ends_or_fails() -> None:
    giving_way = GivingWay()
    begun, may_end = threading.Event(), threading.Event()

    def fail() -> None:
        begun.set()
        may_end.wait(30)
        raise ValueError("as the call raises")

    raised: list[str] = []
    failing = giving_way.call(fail)

    def run() -> None:
        try:
            failing()
        except ValueError as error:
            raised.append(str(error))

    thread = threading.Thread(target=run)
    thread.start()
    assert begun.wait(30)
    giving_way.give_way()
    may_end.set()
    thread.join(30)
    assert raised == ["as the call raises"]
    giving_way.give_way()
