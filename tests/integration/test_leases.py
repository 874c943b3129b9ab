"""Leases on both databases: one holder at a time, and a late one is refused by its token."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from brain.kit.database import create_tables, open_database
from brain.kit.leases import METADATA, LeaseLost, Leases
from support.clock import Clock


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.Engine]:
    sqlite = request.param == "sqlite"
    engine = open_database(f"sqlite:///{tmp_path}/c.db" if sqlite else request.getfixturevalue("postgres").url)
    create_tables(engine, METADATA)
    yield engine
    engine.dispose()


def test_a_lease_has_one_holder_and_a_late_one_is_refused(database: sa.Engine) -> None:
    clock = Clock()
    robots, doors = Leases("robot", clock), Leases("door", clock)
    with database.begin() as db:
        first = robots.acquire(db, "r1", "ann", 30)
        assert first is not None
        assert (first.name, first.holder, first.token, first.until) == ("r1", "ann", 1, clock() + 30)
        assert robots.acquire(db, "r1", "bob", 30) is None
        assert doors.acquire(db, "r1", "bob", 30) is not None  # of another kind
    clock.advance(20)
    with database.begin() as db:
        assert robots.renew(db, "r1", 1, 30).until == clock() + 30
    clock.advance(30)
    with database.begin() as db:
        assert robots.find(db, "r1") is None
        with pytest.raises(LeaseLost, match="the lease of ann ran out"):
            robots.check(db, "r1", 1)
        second = robots.acquire(db, "r1", "bob", 30)
        assert second is not None
        assert second.token == 2
        for refused in (robots.check, robots.release):
            with pytest.raises(LeaseLost, match="token 1 is not the present one; bob has the lease"):
                refused(db, "r1", 1)
        assert robots.check(db, "r1", 2) == second


def test_who_holds_it_gets_it_anew_and_its_older_self_is_refused(database: sa.Engine) -> None:
    robots = Leases("robot", Clock())
    with database.begin() as db:
        assert [taken.token for _ in range(2) if (taken := robots.acquire(db, "r1", "ann", 30))] == [1, 2]
        with pytest.raises(LeaseLost):
            robots.renew(db, "r1", 1, 30)
        assert robots.release(db, "r1", 2).holder == "ann"
        with pytest.raises(LeaseLost, match="nobody has the lease"):
            robots.check(db, "r1", 2)
        again = robots.acquire(db, "r1", "bob", 30)
        assert again is not None
        assert again.token == 3  # it goes on rising


def test_the_leases_of_one_holder_end_at_once_and_those_that_ran_out_are_told_once(database: sa.Engine) -> None:
    clock = Clock()
    robots = Leases("robot", clock)
    with database.begin() as db:
        for name, holder, seconds in (("r1", "ann", 30), ("r2", "bob", 10), ("r3", "ann", 10)):
            robots.acquire(db, name, holder, seconds)
        assert [lease.name for lease in robots.held(db)] == ["r1", "r2", "r3"]
    clock.advance(10)
    with database.begin() as db:
        assert [lease.name for lease in robots.lapse(db)] == ["r2", "r3"]
        assert robots.lapse(db) == []
        assert [(lease.name, lease.holder) for lease in robots.revoke(db, "ann")] == [("r1", "ann")]
        assert robots.held(db) == []


def test_a_lease_that_ran_out_and_ends_with_its_holder_is_told_too(database: sa.Engine) -> None:
    clock = Clock()
    robots = Leases("robot", clock)
    with database.begin() as db:
        robots.acquire(db, "r1", "ann", 30)
    clock.advance(30)
    with database.begin() as db:
        assert [lease.name for lease in robots.revoke(db, "ann")] == ["r1"]  # else nobody would stop that robot
        assert robots.lapse(db) == []


def test_of_many_at_once_one_gets_it(database: sa.Engine) -> None:
    robots = Leases("robot", Clock())
    start, got = threading.Barrier(8), []

    def take(holder: str) -> None:
        start.wait()
        with database.begin() as db:
            if robots.acquire(db, "r1", holder, 30) is not None:
                got.append(holder)

    threads = [threading.Thread(target=take, args=(f"w{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.begin() as db:
        held = robots.find(db, "r1")
    assert held is not None
    assert got == [held.holder]
    assert held.token == 1
