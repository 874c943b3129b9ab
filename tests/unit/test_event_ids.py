"""Ids of events: sorted in the order of their minting within a process, whatever the clock does."""

from __future__ import annotations

import multiprocessing
import threading
from math import nextafter
from multiprocessing.connection import Connection

import pytest

from brain import Event
from brain.charter import envelope, mint_id
from support.clock import Clock

STEPS = [0.0, 0.0, 0.0004, 1.0, -3600.0, 0.001, -86_400.0 * 365, 5.0, 86_400.0 * 365 * 75, -86_400.0 * 365 * 76, 0.0]


def event(**given: float) -> Event:
    return Event(type="test.happened", source="test_service", payload={}, **given)  # type: ignore[arg-type]


def test_ids_stay_sorted_through_every_step_of_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(4_000_000_000.0)
    monkeypatch.setattr(envelope, "time", clock)
    monkeypatch.setattr(envelope, "_newest", (0, "0", 0.0))
    minted = []
    for step in STEPS * 20:
        clock.advance(step)
        made = event()
        assert made.timestamp == clock()
        minted += [made.id, mint_id("test", clock())]
    assert minted == sorted(minted)
    assert len(set(minted)) == len(minted)


def test_an_id_has_the_very_milliseconds_of_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(envelope, "_newest", (0, "0", 0.0))
    now = 1_796_079_124.0
    for _ in range(20_000):
        now = nextafter(now + 0.000_01, 2e9)
        for moment in (now, nextafter(int(now * 1000) / 1000 + 0.001, 0.0)):
            if moment >= now:
                assert mint_id("test", moment).split("_")[2] == str(int(moment * 1000))
                now = moment


def test_a_given_time_is_that_of_the_id_and_moves_no_other() -> None:
    before = event()
    assert event(timestamp=4e9).id.startswith("evt_test_4000000000000_")
    assert event(timestamp=1_703_001_234.567).id.startswith("evt_test_1703001234567_")
    assert event().timestamp - before.timestamp < 60
    assert int(event().id.split("_")[2]) < 4_000_000_000_000


def test_threads_mint_no_id_twice_and_each_its_own_in_order() -> None:
    found: list[list[str]] = [[] for _ in range(4)]
    threads = [
        threading.Thread(target=lambda mine=mine: mine.extend(event().id for _ in range(5_000))) for mine in found
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(mine == sorted(mine) for mine in found)
    assert len({one for mine in found for one in mine}) == 20_000


def _mint(into: Connection) -> None:
    into.send([event().id for _ in range(100)])


def test_a_forked_child_mints_ids_of_its_own() -> None:
    ours, theirs = multiprocessing.Pipe(duplex=False)
    child = multiprocessing.get_context("fork").Process(target=_mint, args=(theirs,))
    child.start()
    mine = [event().id for _ in range(100)]
    there = ours.recv()
    child.join()
    numbers = {one.rpartition("_")[2] for one in [*mine, *there]}
    assert len(numbers) == 200
