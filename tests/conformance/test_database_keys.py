"""What requests with a key created in the consumers' database, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from brain.errors import Conflict, InvalidInput
from brain.kit.database import create_tables, open_database
from brain.kit.database_keys import KEPT_SECONDS, KEYS, METADATA, KeyedRequest, once


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.Engine]:
    sqlite = request.param == "sqlite"
    engine = open_database(f"sqlite:///{tmp_path}/c.db" if sqlite else request.getfixturevalue("postgres").url)
    create_tables(engine, METADATA)
    yield engine
    engine.dispose()


def made(database: sa.Engine, key: str | None, content: str, now: float = 0.0, calls: list[str] | None = None) -> str:
    """Make a thing whose id is its content, or find the one of before."""

    def make() -> str:
        (calls if calls is not None else []).append(content)
        return content

    with database.begin() as db:
        return once(db, now, KeyedRequest.of("thing", key, content), make, str, str)


def test_a_key_makes_one_thing_and_stands_for_its_content(database: sa.Engine) -> None:
    calls: list[str] = []
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: made(database, "k", "one", calls=calls), range(8)))
    assert (found, calls) == (["one"] * 8, ["one"])
    with pytest.raises(Conflict, match="it made one from other content"):
        made(database, "k", "two")
    assert [made(database, None, "two", calls=calls) for _ in range(2)] == ["two", "two"]
    assert calls == ["one", "two", "two"]
    with pytest.raises(InvalidInput):
        made(database, "", "three")


def test_a_change_that_is_rolled_back_leaves_no_key_and_old_ones_go(database: sa.Engine) -> None:
    request = KeyedRequest.of("thing", "k", "one")
    assert request is not None
    with database.connect() as db:
        assert request.begin(db, 0.0) is None
        db.rollback()
        assert request.find(db) is None
    for number in range(30):
        made(database, f"k{number}", "one", float(number))
    made(database, "new", "one", KEPT_SECONDS + 15.0)
    with database.begin() as db:
        left = sorted(db.execute(sa.select(KEYS.c.at)).scalars())
    assert left == [*map(float, range(15, 30)), KEPT_SECONDS + 15.0]
