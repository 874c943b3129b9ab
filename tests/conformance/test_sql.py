"""The upsert, and the texts that are kept, are the same on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from brain.kit.database import create_tables, open_database
from brain.kit.sql import CHUNK, chunks, insert_missing, upsert
from brain.text import clip_text

METADATA = sa.MetaData()
WORDS = sa.Table(
    "words_of_a_test",
    METADATA,
    sa.Column("language", sa.String(10), primary_key=True),
    sa.Column("word", sa.String(50), primary_key=True),
    sa.Column("count", sa.Integer, nullable=False, default=0),
    sa.Column("first", sa.String(50), unique=True),
)


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.Engine]:
    if request.param == "sqlite":
        made = open_database(f"sqlite:///{tmp_path}/consumers.db")
    else:
        made = open_database(request.getfixturevalue("postgres").url)
    create_tables(made, METADATA)
    yield made
    made.dispose()


def row(word: str, count: int, first: str | None = None) -> dict[str, Any]:
    return {"language": "en", "word": word, "count": count, "first": first}


def stored(db: sa.Connection) -> dict[str, tuple[int, str | None]]:
    return {word: (count, first) for _, word, count, first in db.execute(sa.select(WORDS))}


def test_an_upsert_inserts_and_overwrites_by_the_whole_primary_key(engine: sa.Engine) -> None:
    with engine.begin() as db:
        upsert(db, WORDS, [])
        upsert(db, WORDS, [row("cat", 1, "a"), row("dog", 1, "b")])
        upsert(db, WORDS, [row("cat", 2, "c"), row("cow", 1)])
        upsert(db, WORDS, [{**row("cat", 9), "language": "fr"}])
        assert set(db.execute(sa.select(WORDS)).all()) == {
            ("en", "cat", 2, "c"),
            ("en", "dog", 1, "b"),
            ("en", "cow", 1, None),
            ("fr", "cat", 9, None),
        }


def test_an_upsert_leaves_what_it_is_told_to_keep_and_what_the_rows_do_not_name(engine: sa.Engine) -> None:
    with engine.begin() as db:
        upsert(db, WORDS, [row("cat", 1, "a")])
        upsert(db, WORDS, [row("cat", 2, "b")], keep=["first"])
        assert stored(db) == {"cat": (2, "a")}
        upsert(db, WORDS, [{"language": "en", "word": "cat", "count": 3}])
        assert stored(db) == {"cat": (3, "a")}
        upsert(db, WORDS, [{"language": "en", "word": word} for word in ("cat", "cow")])
        assert stored(db) == {"cat": (3, "a"), "cow": (0, None)}


def test_what_is_there_is_not_inserted_again(engine: sa.Engine) -> None:
    with engine.begin() as db:
        insert_missing(db, WORDS, [row("cat", 1, "a")])
        insert_missing(db, WORDS, [row("cat", 2, "b"), row("cow", 1, "a"), row("dog", 1, "d")])
        insert_missing(db, WORDS, [])
        assert stored(db) == {"cat": (1, "a"), "dog": (1, "d")}


def test_a_clipped_text_is_kept_as_it_is(engine: sa.Engine) -> None:
    text = clip_text("ab\0" + "é" * 100, 50, ellipsis="")
    assert text == "ab\N{REPLACEMENT CHARACTER}" + "é" * 47
    with engine.begin() as db:
        upsert(db, WORDS, [row(text, 1)])
        assert stored(db) == {text: (1, None)}


def test_chunks_are_all_the_values_in_order() -> None:
    values = list(range(2 * CHUNK + 1))
    pieces = list(chunks(values))
    assert [len(piece) for piece in pieces] == [CHUNK, CHUNK, 1]
    assert [value for piece in pieces for value in piece] == values
    assert list(chunks([])) == []
