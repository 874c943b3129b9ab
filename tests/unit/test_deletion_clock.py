"""The clock of deletions: no step of the wall clock that nothing explains makes anything old."""

from __future__ import annotations

import pytest

from brain.errors import Unavailable
from brain.store import Store, open_store
from brain.store.deletion_clock import (
    COLLECTION,
    DOWN_SECONDS,
    KEY,
    Clocks,
    DeletionClock,
    clock_fault,
    deletion_clock,
    trust_clock,
)
from support.clock import Clock

DAY = 86_400.0
YEAR = 365 * DAY


class Machine:
    """Both clocks of a machine, and a store."""

    def __init__(self) -> None:
        self.wall, self.steady = Clock(), Clock(1000.0)
        self.store: Store = open_store("memory://")
        self.newest: float | None = None
        self.start()

    def start(self) -> None:
        """As a process that starts."""
        self.clock = DeletionClock(self.store, lambda: self.newest, Clocks(self.wall, self.steady))

    def run(self, seconds: float) -> None:
        self.wall.advance(seconds)
        self.steady.advance(seconds)


def test_it_is_the_wall_clock_while_that_can_be_explained() -> None:
    machine = Machine()
    for _ in range(100):
        machine.run(3600)
        machine.wall.advance(0.5)
        assert machine.clock() == machine.wall()
    machine.run(DOWN_SECONDS - 1)
    machine.start()
    assert machine.clock() == machine.wall()
    assert clock_fault(machine.store, machine.wall()) is None


@pytest.mark.parametrize("step", [600.0, DAY, YEAR, 75 * YEAR])
def test_a_step_forward_makes_nothing_old(step: float, caplog: pytest.LogCaptureFixture) -> None:
    machine = Machine()
    right = machine.clock()
    machine.wall.advance(step)
    for _ in range(5):
        machine.run(60)
    assert machine.clock() == right + 300
    assert machine.clock.step == step
    assert "the clock has stepped" in caplog.text
    assert f"by {step:.0f} s" in str(clock_fault(machine.store, machine.wall()))
    machine.wall.advance(-step)
    assert machine.clock() == machine.wall() == right + 300
    assert machine.clock.step == 0
    assert clock_fault(machine.store, machine.wall()) is None


@pytest.mark.parametrize("step", [600.0, DAY, YEAR, 40 * YEAR])
def test_after_a_step_back_less_is_old_and_the_way_forward_again_is_explained(step: float) -> None:
    machine = Machine()
    right = machine.clock()
    machine.wall.advance(-step)
    machine.run(60)
    assert machine.clock() == machine.wall() == right - step + 60
    assert machine.clock.step == -step
    assert clock_fault(machine.store, machine.wall()) is not None
    machine.wall.advance(step)
    machine.run(60)
    assert machine.clock() == machine.wall() == right + 120
    machine.wall.advance(YEAR)
    assert machine.clock() == right + 120


def test_a_wrong_year_at_a_start_makes_nothing_old_and_another_start_does_not_change_that() -> None:
    machine = Machine()
    right = machine.clock()
    machine.wall.advance(YEAR)
    for _ in range(3):
        machine.start()
        assert machine.clock() == right
        assert machine.clock.step == YEAR


def test_where_nothing_was_deleted_yet_the_newest_event_tells_the_time() -> None:
    machine = Machine()
    machine.newest = machine.wall()
    machine.wall.advance(YEAR)
    assert machine.clock() == machine.newest


def test_a_person_may_say_that_the_clock_is_right() -> None:
    machine = Machine()
    machine.clock()
    machine.wall.advance(YEAR)
    assert machine.clock() < machine.wall()
    trust_clock(machine.store, machine.wall())
    machine.run(5)
    assert machine.clock() == machine.wall()
    assert clock_fault(machine.store, machine.wall()) is None
    machine.wall.advance(YEAR)
    assert machine.clock() < machine.wall()


def test_another_node_with_a_wrong_clock_does_not_lead_this_one_astray() -> None:
    machine = Machine()
    right = machine.clock()
    astray = DeletionClock(machine.store, None, Clocks(lambda: right + YEAR, machine.steady))
    assert astray() == right
    machine.start()
    assert machine.clock() == right


def test_nothing_is_deleted_while_the_store_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine()

    def away(*_: object) -> None:
        raise Unavailable("the store is away")

    monkeypatch.setattr(machine.store, "get", away)
    with pytest.raises(Unavailable):
        machine.clock()


def test_a_mark_that_cannot_be_read_is_said_and_made_anew(caplog: pytest.LogCaptureFixture) -> None:
    machine = Machine()
    machine.store.put(COLLECTION, KEY, b"no mark")
    assert machine.clock() == machine.wall()
    assert "cannot be read" in caplog.text


def test_a_process_has_one_for_each_store() -> None:
    store = open_store("memory://")
    assert deletion_clock(store) is deletion_clock(store, lambda: None)
    assert deletion_clock(store) is not deletion_clock(open_store("memory://"))
