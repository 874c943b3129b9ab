"""Exports by the time of the log have no gap, and a legal hold of a story holds what hangs together with it."""

from __future__ import annotations

import random
from pathlib import Path

import sqlalchemy as sa

from brain import Event
from brain.audit.retention import add_hold, prune, tied_to
from brain.audit.search import AuditQuery, each
from brain.audit.tables import causes, entries
from brain.kit.database import create_tables, open_database
from brain.kit.schema import VERSIONS
from support.audit import append, denial, filled, record
from support.clock import Clock

DAY = 86_400.0


def log_of_skewed_events(database: sa.Engine) -> Clock:
    """A log of three days, whose events say that they happened up to two days earlier or later."""
    chance, clock = random.Random(7), Clock()
    log = filled(database, [], clock)
    for number in range(60):
        made = denial(number).to_dict()
        event = Event(**{**made, "timestamp": clock() + chance.uniform(-2 * DAY, 2 * DAY)})
        append(database, log, [record(event)])
        clock.advance(DAY / 20 if chance.random() < 0.9 else -DAY / 50)
    return clock


def test_the_files_of_each_day_together_have_each_entry_once(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path}/brain.db")
    begun = Clock()()
    log_of_skewed_events(database)

    def day(number: int) -> list[int]:
        query = AuditQuery(logged_since=begun + number * DAY, logged_until=begun + (number + 1) * DAY)
        return [entry.index for entry in each(database, query)]

    days = [day(number) for number in range(4)]
    assert [index for indexes in days for index in indexes] == list(range(60))
    assert all(days[:3])
    by_index = [[entry.index for entry in each(database, AuditQuery(after=n - 1, upto=n + 19))] for n in (0, 20, 40)]
    assert [index for part in by_index for index in part] == list(range(60))
    assert [entry.index for entry in each(database, AuditQuery(after=0, upto=1))] == [1]
    assert list(each(database, AuditQuery(logged_since=begun + DAY, logged_until=begun))) == []
    database.dispose()


def tied_together(database: sa.Engine, clock: Clock) -> dict[str, Event]:
    """A story, what caused it, what it caused, and what has nothing to do with it."""
    events = {
        "cause": denial(1, correlation_id="other"),
        "story": denial(2, correlation_id="story-x", causation_id=denial(1).id),
        "effect": denial(3, correlation_id=None, causation_id=denial(2).id),
        "effect of the effect": denial(4, correlation_id="third", causation_id=denial(3).id),
        "stranger": denial(5, correlation_id="other"),
    }
    append(database, filled(database, [], clock), [record(event) for event in events.values()])
    return events


def test_a_hold_of_a_story_holds_what_it_caused_and_what_caused_it(tmp_path: Path) -> None:
    database, clock = open_database(f"sqlite:///{tmp_path}/brain.db"), Clock()
    events = tied_together(database, clock)
    log = filled(database, [], clock)
    add_hold(database, clock(), pattern=None, correlation_id="story-x", reason="case 7", by="ann")
    assert prune(database, log.sealing, 100, clock() + 400 * DAY, dry=True) == 1
    assert prune(database, log.sealing, 100, clock() + 400 * DAY) == 1
    with database.connect() as db:
        gone = db.execute(sa.select(entries.c.event_id).where(entries.c.payload.is_(None))).scalars().all()
    assert gone == [events["stranger"].id]
    database.dispose()


def test_the_causes_of_a_log_of_the_version_before_are_found(tmp_path: Path) -> None:
    database, clock = open_database(f"sqlite:///{tmp_path}/brain.db"), Clock()
    events = tied_together(database, clock)
    with database.begin() as db:
        causes.drop(db)
        db.execute(sa.update(VERSIONS).where(VERSIONS.c.part == "audit").values(version=1))
    database.dispose()
    database = open_database(f"sqlite:///{tmp_path}/brain.db")
    create_tables(database, entries.metadata)
    with database.connect() as db:
        assert tied_to(db, "story-x") == {event.id for name, event in events.items() if name != "stranger"}
    database.dispose()
