"""The inbox on sqlite3 and on DB-API connections of every paramstyle."""

from __future__ import annotations

import sqlite3
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from brain import Event, InvalidInput
from brain.stream.inbox import Inbox
from support.clock import Clock
from support.styled import PLACEHOLDERS, StyledConnection, StyledCursor


def make() -> Event:
    return Event(type="order.paid", source="shop_service", payload={"amount": 5})


@pytest.fixture
def path(tmp_path: Path) -> str:
    path = str(tmp_path / "effects.db")
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE effects (event_id TEXT)")
    db.commit()
    db.close()
    return path


@pytest.fixture
def db(path: str) -> Iterator[sqlite3.Connection]:
    db = sqlite3.connect(path)
    yield db
    db.close()


def effects(path: str) -> list[str]:
    """What another connection sees: only what was committed."""
    other = sqlite3.connect(path)
    try:
        return [row[0] for row in other.execute("SELECT event_id FROM effects")]
    finally:
        other.close()


def handle(db: sqlite3.Connection, inbox: Inbox, event: Event) -> bool:
    with db, inbox.once(event) as fresh:
        if fresh:
            db.execute("INSERT INTO effects VALUES (?)", (event.id,))
    return fresh


def test_an_effect_happens_once_for_each_event_and_consumer(db: sqlite3.Connection, path: str) -> None:
    first, second = make(), make()
    billing, mailing = Inbox(db, consumer="billing"), Inbox(db, consumer="mailing")
    assert [handle(db, billing, event) for event in (first, first, second, first)] == [True, False, True, False]
    assert handle(db, mailing, first)
    assert effects(path) == [first.id, second.id, first.id]
    assert not handle(db, Inbox(db, consumer="billing"), first), "a new Inbox on the same file knows the old ids"


def test_nothing_is_committed_but_by_the_user(db: sqlite3.Connection, path: str) -> None:
    event = make()
    inbox = Inbox(db, consumer="billing")
    with inbox.once(event) as fresh:
        assert fresh
        db.execute("INSERT INTO effects VALUES (?)", (event.id,))
    assert effects(path) == []
    assert db.in_transaction
    db.rollback()
    assert handle(db, inbox, event)
    assert effects(path) == [event.id]


def test_a_block_that_raises_leaves_neither_effect_nor_id(db: sqlite3.Connection, path: str) -> None:
    event = make()
    inbox = Inbox(db, consumer="billing")

    def fail() -> None:
        with inbox.once(event):  # no `with db`: nobody else rolls back
            db.execute("INSERT INTO effects VALUES (?)", (event.id,))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    db.commit()
    assert effects(path) == []
    assert handle(db, inbox, event)
    assert effects(path) == [event.id]


def test_what_raises_after_the_block_undoes_both(db: sqlite3.Connection, path: str) -> None:
    event = make()
    inbox = Inbox(db, consumer="billing")

    def fail_late() -> None:
        with db:
            with inbox.once(event) as fresh:
                assert fresh
                db.execute("INSERT INTO effects VALUES (?)", (event.id,))
            raise ZeroDivisionError

    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            fail_late()
        assert effects(path) == []


def test_the_table_made_in_a_transaction_that_was_rolled_back_is_made_again(path: str) -> None:
    db = sqlite3.connect(path, isolation_level=None)
    inbox = Inbox(db, consumer="billing")
    event = make()
    for end, expected in (("ROLLBACK", True), ("COMMIT", True), ("COMMIT", False), ("COMMIT", False)):
        db.execute("BEGIN")
        with inbox.once(event) as fresh:
            assert fresh is expected
        db.execute(end)
    db.close()


def test_a_table_that_was_dropped_costs_one_attempt(db: sqlite3.Connection) -> None:
    event = make()
    inbox = Inbox(db, consumer="billing")
    for _ in range(3):
        handle(db, inbox, event)
    db.execute("DROP TABLE brain_inbox")
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        handle(db, inbox, event)
    assert handle(db, inbox, event)


def test_a_table_of_an_attached_database(db: sqlite3.Connection, tmp_path: Path) -> None:
    db.execute(f"ATTACH '{tmp_path / 'other.db'}' AS other")
    inbox = Inbox(db, consumer="billing", table="other.Handled")
    event = make()
    assert [handle(db, inbox, event) for _ in range(3)] == [True, False, False]
    assert db.execute("SELECT count(*) FROM other.handled").fetchall() == [(1,)]


def test_a_table_of_your_own_migrations(db: sqlite3.Connection) -> None:
    with pytest.raises(sqlite3.OperationalError, match="no such table: brain_inbox"):
        handle(db, Inbox(db, consumer="billing", create=False), make())


def test_a_connection_that_commits_by_itself_is_refused(path: str) -> None:
    db = sqlite3.connect(path, isolation_level=None)
    with pytest.raises(InvalidInput, match="begin a transaction before"), Inbox(db, consumer="billing").once(make()):
        pass
    db.close()


def test_of_two_consumers_at_the_same_moment_one_has_the_effect(db: sqlite3.Connection, path: str) -> None:
    event = make()
    Inbox(db, consumer="billing").create_table()
    claimed, release = threading.Event(), threading.Event()
    outcomes: list[bool] = []

    def slow() -> None:
        own = sqlite3.connect(path)
        with own, Inbox(own, consumer="billing").once(event) as fresh:
            own.execute("INSERT INTO effects VALUES (?)", (event.id,))
            outcomes.append(fresh)
            claimed.set()
            release.wait(60)
        own.close()

    def quick() -> None:
        own = sqlite3.connect(path, timeout=60)
        outcomes.append(handle(own, Inbox(own, consumer="billing"), event))
        own.close()

    threads = [threading.Thread(target=slow), threading.Thread(target=quick)]
    threads[0].start()
    assert claimed.wait(60)
    threads[1].start()
    threads[1].join(0.1)
    assert threads[1].is_alive(), "waits until the first one has committed"
    release.set()
    for thread in threads:
        thread.join(60)
    assert outcomes == [True, False]
    assert effects(path) == [event.id]


def test_pruning_forgets_what_is_old_for_its_consumer_alone(db: sqlite3.Connection) -> None:
    clock = Clock()
    billing = Inbox(db, consumer="billing", clock=clock)
    mailing = Inbox(db, consumer="mailing", clock=clock)
    old, new = make(), make()
    handle(db, billing, old)
    handle(db, mailing, old)
    clock.advance(100)
    handle(db, billing, new)
    clock.advance(50)
    with db:
        assert billing.prune(older_than=100) == 1
    assert handle(db, billing, old)
    assert not handle(db, billing, new)
    assert not handle(db, mailing, old)


@pytest.mark.parametrize("style", PLACEHOLDERS)
def test_every_paramstyle(path: str, style: str) -> None:
    connection = StyledConnection(path, style)
    inbox = Inbox(connection, consumer="billing", paramstyle=style)
    event = make()
    for expected in (True, False):
        with inbox.once(event) as fresh:
            assert fresh is expected
        connection.commit()
    with pytest.raises(ZeroDivisionError), inbox.once(make()):
        raise ZeroDivisionError
    assert inbox.prune(older_than=-1) == 1


def test_the_paramstyle_is_found_in_the_package_of_the_connection(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Pooled(StyledConnection):
        pass

    with pytest.raises(InvalidInput, match="paramstyle: None for Pooled; give one of qmark, format"):
        Inbox(Pooled(path, "format"), consumer="billing")
    driver = ModuleType("somedb")
    driver.paramstyle = "format"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "somedb", driver)
    Pooled.__module__ = "somedb.connections"
    with Inbox(Pooled(path, "format"), consumer="billing").once(make()) as fresh:
        assert fresh


class Overtaken(StyledConnection):
    """Between its look into the inbox and its insert, another consumer commits the same event."""

    def __init__(self, path: str, event: Event) -> None:
        super().__init__(path, "qmark")
        self._path = path
        self._event = event

    def cursor(self) -> StyledCursor:
        connection = self

        class Cursor(StyledCursor):
            def fetchall(self) -> list[Any]:
                rows = super().fetchall()
                connection.overtake()
                return rows

        return Cursor(self.db.cursor(), self.style)

    def overtake(self) -> None:
        other = sqlite3.connect(self._path)
        handle(other, Inbox(other, consumer="billing"), self._event)
        other.close()


def test_where_the_dialect_has_no_single_step_the_unique_key_decides(path: str) -> None:
    event = make()
    overtaken = Overtaken(path, event)
    inbox = Inbox(overtaken, consumer="billing", paramstyle="qmark")
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"), inbox.once(event):
        pass
    with inbox.once(event) as fresh:  # the next attempt
        assert not fresh
    assert effects(path) == [event.id]


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ({"consumer": ""}, "consumer: '' must have 1 to 100 characters"),
        ({"consumer": "x" * 101}, "must have 1 to 100 characters"),
        ({"consumer": "a", "table": "a; DROP TABLE b"}, "table: 'a; DROP TABLE b' must be made of"),
        ({"consumer": "a", "paramstyle": "colon"}, "paramstyle: 'colon' for Connection; give one of"),
        ({"consumer": "a", "connection": object()}, "connection: object is neither a DB-API connection nor"),
    ],
)
def test_bad_arguments_are_named(db: sqlite3.Connection, arguments: dict[str, str], fault: str) -> None:
    with pytest.raises(InvalidInput, match=fault):
        Inbox(**{"connection": db, **arguments})  # type: ignore[arg-type]


async def test_a_blocking_connection_says_which_with_it_takes(db: sqlite3.Connection) -> None:
    with pytest.raises(InvalidInput, match="write `with inbox"):
        async with Inbox(db, consumer="billing").once(make()):
            pass
