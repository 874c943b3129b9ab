"""Commands and other programs' databases, and databases that are not there: nothing is written, and that is said."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import pytest

from brain.errors import InvalidInput
from brain.kit.database import open_database
from brain.store import open_store
from brain.store.ours import APPLICATION_ID, claim
from brain.stream import EventStream
from support.command import Command

READING = [
    ("policy", "list"),
    ("policy", "versions"),
    ("policy", "export"),
    ("threats", "list"),
    ("threats", "stats"),
    ("events", "replay"),
    ("events", "tail", "-n", "1"),
    ("events", "trace", "x"),
    ("groups", "list"),
    ("dead-letters", "list"),
    ("alerts", "list"),
    ("alerts", "notifiers"),
    ("silences", "list"),
    ("incidents", "list"),
    ("outbox", "list"),
    ("audit", "search"),
    ("audit", "verify"),
    ("metrics", "verify"),
    ("hardware", "robots"),
    ("vision", "models", "list"),
    ("dna", "study", "list"),
]


def foreign(path: Path) -> bytes:
    """Make a database of another program; its bytes."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE customers (name TEXT)")
        db.execute("INSERT INTO customers VALUES ('Ada')")
        db.commit()
    return path.read_bytes()


@pytest.mark.parametrize("command", [*READING, ("serve", "--port", "0")], ids=" ".join)
def test_another_programs_database_is_refused_untouched(command: tuple[str, ...], tmp_path: Path) -> None:
    before = {name: foreign(tmp_path / name) for name in ("app.db", "app-consumers.db")}
    ended = Command(tmp_path)(*command, "--stream", "sqlite:///app.db")
    assert ended.code == 2
    assert "is the database of another program (its tables: customers)" in ended.err
    assert "Traceback" not in ended.err
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if not path.name.startswith(".")} == before


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_a_reading_command_makes_nothing_and_names_the_file_it_looked_for(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    ended = Command(tmp_path)(*command)
    assert ended.code == 2
    assert ended.out == ""
    assert f"{tmp_path}/brain" in ended.err or "brain-consumers.db" in ended.err
    assert "there is no" in ended.err
    assert [path.name for path in tmp_path.iterdir() if path.name not in (".out", ".err")] == []


@pytest.mark.parametrize(
    "line",
    [
        "dna karma a 0.5 --by ann",
        "dna rollback a --by ann",
        "dna mutate a x=1 --by ann",
        "dna study ask s --by ann",
        "dna study stop s --by ann",
        "hardware clear",
        "missions cancel m",
        "missions answer t --by ann --yes",
        "vision cameras remove c",
        "vision models approve m --by ann",
        "alerts ack a --by ann",
        "policy disable r",
        "incidents note i text",
        "threats move t RESOLVED",
    ],
)
def test_a_change_of_what_is_not_there_makes_no_database(line: str, tmp_path: Path) -> None:
    ended = Command(tmp_path)(*line.split())
    assert ended.code == 2
    assert "there is no database" in ended.err
    assert [path.name for path in tmp_path.iterdir() if path.name not in (".out", ".err")] == []


@pytest.mark.parametrize(
    "line",
    [
        "ingest sshd no.log",
        "ingest falco no.log",
        "ingest json no.log",
        "playbooks run p --event no.json",
        "playbooks test no.yaml",
        "vision run no.mp4",
        "audit verify-proof no.json --key k",
        "hardware stop",
    ],
)
def test_a_wrong_file_or_folder_makes_nothing(line: str, tmp_path: Path) -> None:
    ended = Command(tmp_path)(*line.split())
    assert ended.code == 2
    assert ended.err.startswith("error: ")
    assert "Error:" not in ended.err
    assert "Errno" not in ended.err
    assert [path.name for path in tmp_path.iterdir() if path.name not in (".out", ".err")] == []


@pytest.mark.parametrize("line", ["events replay", "keys list", "agents registered", "policy approvals"])
def test_what_reads_leaves_no_journal_behind(line: str, tmp_path: Path) -> None:
    open_store(f"sqlite:///{tmp_path}/brain.db").close()
    assert Command(tmp_path)(*line.split()).code == 0
    assert not (tmp_path / "brain.db.journal").exists()


def application_id(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        return int(db.execute("PRAGMA application_id").fetchone()[0])


async def test_files_are_marked_and_those_of_earlier_releases_are_recognised(tmp_path: Path) -> None:
    async with EventStream.open(f"sqlite:///{tmp_path}/stream.db"):
        pass
    await asyncio.to_thread(lambda: open_store(f"sqlite:///{tmp_path}/store.db").close())
    for name in ("stream.db", "store.db"):
        assert application_id(tmp_path / name) == APPLICATION_ID
        with closing(sqlite3.connect(tmp_path / name)) as db:
            db.execute("PRAGMA application_id = 0")  # as an earlier release left it
        open_store(f"sqlite:///{tmp_path}/{name}").close()
        assert application_id(tmp_path / name) == APPLICATION_ID


def test_a_file_with_the_mark_of_another_program_is_refused(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "x.db")) as db:
        db.execute("PRAGMA application_id = 7")
    with pytest.raises(InvalidInput, match="another program"):
        open_store(f"sqlite:///{tmp_path}/x.db")


def test_a_file_that_another_process_claims_and_fills_meanwhile_is_ours(tmp_path: Path) -> None:
    """The other one comes right before the look at the tables: it finds the file in use, or it is seen whole."""
    path = tmp_path / "new.db"
    looked = []

    def fill(statement: str) -> None:
        if "sqlite_master" in statement and not looked:
            looked.append(statement)
            with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as other, suppress(sqlite3.Error):
                claim(other, path)
                other.execute("CREATE TABLE of_one_part (a)")

    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.set_trace_callback(fill)
        claim(connection, path)
        assert looked
        assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)


def test_a_new_consumers_database_is_marked(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path}/c.db")
    with engine.connect():
        pass
    engine.dispose()
    assert application_id(tmp_path / "c.db") == APPLICATION_ID
