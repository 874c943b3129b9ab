"""Which ids count as applied: those of committed batches, of whichever process, as far back as is promised."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from brain.kit import positions
from brain.kit.applied_ids import AppliedIds
from brain.kit.database import create_tables, open_database
from brain.stream.decoded import digest_of


@pytest.fixture
def database(tmp_path: Path) -> sa.Engine:
    engine = open_database(f"sqlite:///{tmp_path / 'consumers.db'}")
    create_tables(engine, positions.METADATA)
    return engine


def digests(*numbers: int) -> list[bytes]:
    return [digest_of(f"evt_test_1700000000000_{number:012x}") for number in numbers]


def apply(ids: AppliedIds, database: sa.Engine, applied: int, *numbers: int, commit: bool = True) -> int:
    """Apply what is new of these; how many were applied then."""
    with database.connect() as db, db.begin() as transaction:
        fresh = ids.fresh(db, applied, digests(*numbers))
        taken = [one for one in dict.fromkeys(digests(*numbers)) if one in fresh]
        committed = ids.store(db, applied, applied + len(taken), taken, "last")
        if not commit:
            transaction.rollback()
            return applied
    committed()
    return applied + len(taken)


def test_what_is_committed_is_known_to_every_process(database: sa.Engine) -> None:
    here, there = AppliedIds("group", 100), AppliedIds("group", 100)
    assert apply(here, database, 0, 1, 2, 2) == 2
    assert apply(here, database, 2, 3, commit=False) == 2
    assert apply(here, database, 2, 2, 3) == 3  # rolled back, so it is new
    assert apply(there, database, 3, 1, 2, 3, 4) == 4
    assert apply(here, database, 4, 4, 5) == 5
    assert apply(AppliedIds("other", 100), database, 0, 1) == 1


def test_what_was_rolled_back_is_never_noted(database: sa.Engine) -> None:
    """Not even when as many events as it had were applied by another process meanwhile."""
    here, there = AppliedIds("group", 100), AppliedIds("group", 100)
    assert apply(here, database, 0, 1, 2, commit=False) == 0
    assert apply(there, database, 0, 3, 4) == 2
    with database.begin() as db:
        assert here.fresh(db, 2, digests(1, 2, 3, 4)) == set(digests(1, 2))


def test_at_least_the_promised_number_is_remembered(database: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(positions, "FORGET_EVERY", 5)
    ids, applied = AppliedIds("group", 10), 0
    for number in range(40):
        applied = apply(ids, database, applied, number)
    for known in (ids, AppliedIds("group", 10)):
        with database.begin() as db:
            assert not known.fresh(db, 40, digests(*range(30, 40)))
            assert known.fresh(db, 40, digests(0)) == set(digests(0))
    with database.begin() as db:
        assert db.execute(sa.select(sa.func.count()).select_from(positions.IDS)).scalar_one() <= 15


def test_few_queries_are_made_while_nothing_comes_again(database: sa.Engine) -> None:
    """Only what may have come before is looked up; what was rolled back is found not to be there."""
    queries: list[str] = []
    sa.event.listen(database, "before_cursor_execute", lambda *given: queries.append(given[2]))
    ids, applied = AppliedIds("group", 100), 0
    for first in range(0, 1_000, 50):
        applied = apply(ids, database, applied, *range(first, first + 50))
    assert not [query for query in queries if query.startswith("SELECT")]
    assert apply(ids, database, applied, 1_000, 1_001, commit=False) == applied
    assert apply(ids, database, applied, 1_000, 1_001, 999) == applied + 2
    assert len([query for query in queries if query.startswith("SELECT")]) == 1


def test_an_older_database_is_read_again(database: sa.Engine) -> None:
    ids = AppliedIds("group", 100)
    assert apply(ids, database, 0, 1, 2) == 2
    with database.begin() as db:
        db.execute(sa.delete(positions.IDS))
    assert apply(ids, database, 0, 1) == 1  # fewer were applied: it is another database


def test_the_ids_of_an_older_version_are_taken_over(database: sa.Engine) -> None:
    names = [f"evt_test_1700000000000_{number:012x}" for number in range(4)]
    with database.begin() as db:
        db.exec_driver_sql("CREATE TABLE consumer_seen (name TEXT, event_id TEXT, number INTEGER)")
        rows = [("group", names[0], 0), ("group", names[1], 0), ("group", names[2], 2), ("other", names[3], 0)]
        db.exec_driver_sql("INSERT INTO consumer_seen VALUES (?, ?, ?)", rows)
        for _ in range(2):  # a step may be repeated
            positions._pack_ids(db)
    with database.begin() as db:
        assert AppliedIds("group", 100).fresh(db, 3, digests(0, 1, 2, 3)) == set(digests(3))
        assert AppliedIds("other", 100).fresh(db, 1, digests(2, 3)) == set(digests(2))
        assert not sa.inspect(db).has_table("consumer_seen")
