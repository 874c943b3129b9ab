"""SQLite files that are nobody's, or another program's: commands that read or copy leave them as they are."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from brain.errors import InvalidInput
from brain.kit.backup.take import take
from brain.settings import Settings
from brain.store import open_store
from brain.store.ours import check_exists


def made(path: Path, statement: str) -> bytes:
    with closing(sqlite3.connect(path)) as db:
        db.execute(statement)
        db.commit()
    return path.read_bytes()


def test_an_empty_file_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    made(tmp_path / "blank.db", "PRAGMA user_version = 7")
    for name in ("empty.db", "blank.db"):
        before = (tmp_path / name).read_bytes()
        with pytest.raises(InvalidInput, match=rf"{name} is empty: there is no database in it; .*brain serve"):
            check_exists(f"sqlite:///{tmp_path / name}")
        assert (tmp_path / name).read_bytes() == before


def test_a_file_with_tables_and_one_of_ours_are_there(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/ours.db")
    check_exists(f"sqlite:///{tmp_path}/ours.db")  # also while all but its header is in the write-ahead log
    store.close()
    check_exists(f"sqlite:///{tmp_path}/ours.db")
    made(tmp_path / "theirs.db", "CREATE TABLE customers (name TEXT)")
    check_exists(f"sqlite:///{tmp_path}/theirs.db")  # who opens it says whose it is


@pytest.mark.parametrize(
    ("content", "words"),
    [("CREATE TABLE customers (name TEXT)", "is the database of another program"), (None, "is no SQLite database")],
)
def test_no_backup_is_made_of_a_file_of_others(content: str | None, words: str, tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    if content is None:
        path.write_text("a letter to a friend, and not a short one\n" * 10)
    before = made(path, content) if content is not None else path.read_bytes()
    with pytest.raises(InvalidInput, match=words):
        take(Settings(stream=f"sqlite:///{path}"), tmp_path / "backup")
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("app.db", before)]
