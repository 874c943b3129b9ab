"""A long read on SQLite lets others have the processor; a transaction that writes, on which others wait, does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from brain.kit import database as kit
from brain.kit.database import STEPS, open_database, reading

COUNT = sa.text("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :most) SELECT max(i) FROM n")


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[sa.Engine]:
    found = open_database(f"sqlite:///{tmp_path}/b.db")
    yield found
    found.dispose()


def test_long_reads_give_way(engine: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[None] = []
    monkeypatch.setattr(kit, "give_way", lambda: given.append(None))
    with reading(engine).connect() as db:
        assert db.scalar(COUNT, {"most": 5}) == 5
        assert given == [], "a short one does not"
        assert db.scalar(COUNT, {"most": 10 * STEPS}) == 10 * STEPS
        assert len(given) >= 10
    given.clear()
    with engine.begin() as db:  # over the same connection of the pool
        assert db.scalar(COUNT, {"most": 10 * STEPS}) == 10 * STEPS
    assert given == []
