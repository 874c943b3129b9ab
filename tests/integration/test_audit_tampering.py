"""Whoever changes an SQLite file behind the log's back is found out, and the first bad entry is named."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from brain.audit.checkpoint import Checkpoint
from brain.audit.merkle import leaf_hash
from brain.audit.retention import prune
from brain.audit.tree import Tampered
from brain.audit.verify import AuditReport, verify
from brain.kit.database import open_database
from support.audit import append, filled, records
from support.clock import Clock
from support.sizes import sizes

BATCHES = (1, 7, 30, 2, 60, 100)
SIZE = sum(BATCHES)
SIGNED = [sum(BATCHES[: n + 1]) for n in range(len(BATCHES))]
PRUNED = 38
SEED = 20261125
BLOBS = ("payload", "leaf_hash", "seal")

WORDS = {"delete": "is missing", "swap": "was swapped", "insert": "was inserted"}

Change = Callable[[sqlite3.Connection], object]


class Bench:
    """A good log in a file, and a copy of it to be tampered with."""

    def __init__(self, folder: Path) -> None:
        good, copy = folder / "good.db", folder / "copy.db"
        self.clock = Clock()
        database = open_database(f"sqlite:///{good}")
        self.log = filled(database, BATCHES, self.clock)
        days = (self.clock() - (1_703_000_000.0 + 3 * 3600)) / 86400
        assert prune(database, self.log.sealing, days, self.clock()) == PRUNED
        database.dispose()
        shutil.copyfile(good, copy)
        self.database = open_database(f"sqlite:///{copy}")
        self._db = sqlite3.connect(copy, isolation_level=None)
        self._db.execute("PRAGMA synchronous=OFF")
        self._db.execute("ATTACH ? AS good", (str(good),))

    def tampered(self, change: Change) -> AuditReport:
        """What verification says of a copy that was changed so."""
        self.reset()
        change(self._db)
        return verify(self.database, self.log.signer)

    def public(self, change: Change) -> AuditReport:
        """The same, by who has only the public key."""
        self.tampered(change)
        return verify(self.database, self.log.signer.verifier)

    def reset(self) -> None:
        """Make the copy good again."""
        self._db.execute("BEGIN IMMEDIATE")
        for table in ("audit_entries", "audit_checkpoints"):
            self._db.execute(f"DELETE FROM main.{table}")
            self._db.execute(f"INSERT INTO main.{table} SELECT * FROM good.{table}")
        self._db.execute("COMMIT")

    def close(self) -> None:
        self._db.close()
        self.database.dispose()


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    found = Bench(tmp_path_factory.mktemp("audit"))
    yield found
    found.close()


def flipped(data: bytes, bit: int) -> bytes:
    """The bytes with one bit the other way; `bit` counts from the first, and around."""
    place, bit = divmod(bit % (8 * len(data)), 8)
    return data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :]


def flip(table: str, column: str, key: str, row: int, bit: int) -> Change:
    def change(db: sqlite3.Connection) -> None:
        (value,) = db.execute(f"SELECT {column} FROM main.{table} WHERE {key} = ?", (row,)).fetchone()
        db.execute(f"UPDATE main.{table} SET {column} = ? WHERE {key} = ?", (flipped(value, bit), row))

    return change


def swap(one: int, other: int) -> Change:
    def change(db: sqlite3.Connection) -> None:
        for old, new in ((one, -1), (other, one), (-1, other)):
            db.execute("UPDATE audit_entries SET idx = ? WHERE idx = ?", (new, old))

    return change


def delete(index: int) -> Change:
    return lambda db: db.execute("DELETE FROM audit_entries WHERE idx = ?", (index,))


def insert(index: int, data: bytes = b'{"forged": true}') -> Change:
    """A row that is right in itself, before the entry of that index; the others move up."""

    def change(db: sqlite3.Connection) -> None:
        db.execute("UPDATE audit_entries SET idx = -1 - idx WHERE idx >= ?", (index,))
        db.execute("UPDATE audit_entries SET idx = -idx WHERE idx < 0")
        like = db.execute("SELECT * FROM audit_entries WHERE idx = ?", (index - 1 if index else 1,))
        row = dict(zip([column[0] for column in like.description], like.fetchone(), strict=True))
        row |= {"idx": index, "payload": data, "leaf_hash": leaf_hash(data), "deletion": None}
        db.execute(f"INSERT INTO audit_entries VALUES ({','.join('?' * len(row))})", tuple(row.values()))

    return change


def test_the_untouched_log_is_good(bench: Bench) -> None:
    report = bench.tampered(lambda db: None)
    assert (report.ok, report.size, report.deleted, report.checkpoints) == (True, SIZE, PRUNED, len(BATCHES))
    assert (report.first_bad_index, report.problem) == (None, None)
    assert bench.public(lambda db: None).ok


@pytest.mark.parametrize("ways", sizes(1, 4))
def test_each_entry_in_turn(bench: Bench, ways: int) -> None:
    chance = random.Random(SEED)
    for index in range(SIZE):
        other = chance.choice([number for number in range(SIZE) if number != index])
        column = BLOBS[index % 3] if index >= PRUNED else ("leaf_hash", "seal", "deletion")[index % 3]
        changes = {
            "flip": flip("audit_entries", column, "idx", index, chance.randrange(1 << 16)),
            "delete": delete(index),
            "swap": swap(index, other),
            "insert": insert(index),
        }
        turn = deque(changes.items())
        turn.rotate(index // 3)  # `column` changes with each index
        for name, change in list(turn)[:ways]:
            report = bench.tampered(change)
            first = min(index, other) if name == "swap" else index
            assert (report.ok, report.first_bad_index) == (False, first), (name, column, report)
            assert name not in WORDS or WORDS[name] in str(report.problem), (name, report)


@given(index=st.integers(0, SIZE - 1), column=st.sampled_from(BLOBS), bit=st.integers(0, 1 << 13))
def test_any_bit_of_any_event_and_hash(bench: Bench, index: int, column: str, bit: int) -> None:
    column = "deletion" if column == "payload" and index < PRUNED else column
    report = bench.tampered(flip("audit_entries", column, "idx", index, bit))
    assert (report.ok, report.first_bad_index) == (False, index)


@given(size=st.sampled_from(SIGNED), bit=st.integers(0, 1 << 11))
def test_any_bit_of_any_checkpoint(bench: Bench, size: int, bit: int) -> None:
    report = bench.tampered(flip("audit_checkpoints", "note", "size", size, bit))
    assert (report.ok, report.first_bad_index) == (False, size - 1)
    assert f"checkpoint of {size} entries" in str(report.problem)


@given(pair=st.lists(st.integers(0, SIZE - 1), min_size=2, max_size=2, unique=True))
def test_any_two_swapped(bench: Bench, pair: list[int]) -> None:
    report = bench.tampered(swap(*pair))
    assert (report.ok, report.first_bad_index) == (False, min(pair))
    assert "was swapped" in str(report.problem)
    assert str(max(pair)) in str(report.problem)


@given(index=st.integers(0, SIZE), data=st.binary(max_size=40))
def test_one_put_in_anywhere(bench: Bench, index: int, data: bytes) -> None:
    report = bench.tampered(insert(index, data))
    assert (report.ok, report.first_bad_index) == (False, index)


def test_a_payload_and_a_hash_are_told_apart(bench: Bench) -> None:
    assert "payload was altered" in str(bench.tampered(flip("audit_entries", "payload", "idx", 90, 5)).problem)
    assert "hash was altered" in str(bench.tampered(flip("audit_entries", "leaf_hash", "idx", 90, 5)).problem)
    assert "seal was altered" in str(bench.tampered(flip("audit_entries", "seal", "idx", 90, 5)).problem)


@pytest.mark.parametrize(
    "column", ["appended_at", "at", "type", "event_id", "agent", "threat", "correlation_id", "deletion"]
)
@pytest.mark.parametrize("index", [5, 100])
def test_what_an_entry_is_found_by(bench: Bench, column: str, index: int) -> None:
    value: object = 17.5 if column in ("appended_at", "at") else b"0123456789abcdef" if column == "deletion" else "x"
    report = bench.tampered(
        lambda db: db.execute(f"UPDATE audit_entries SET {column} = ? WHERE idx = ?", (value, index))
    )
    assert (report.ok, report.first_bad_index) == (False, index)


@pytest.mark.parametrize("value", ["text instead", None, b""])
def test_a_payload_of_another_kind(bench: Bench, value: object) -> None:
    report = bench.tampered(lambda db: db.execute("UPDATE audit_entries SET payload = ? WHERE idx = 120", (value,)))
    assert (report.ok, report.first_bad_index) == (False, 120)


def test_a_text_that_cannot_be_read(bench: Bench) -> None:
    report = bench.tampered(
        lambda db: db.execute("UPDATE audit_entries SET type = CAST(x'ff61' AS TEXT) WHERE idx = 120")
    )
    assert (report.ok, report.first_bad_index) == (False, 120)


def test_a_tail_cut_off_with_or_without_its_checkpoints(bench: Bench) -> None:
    report = bench.tampered(lambda db: db.execute("DELETE FROM audit_entries WHERE idx >= 150"))
    assert (report.ok, report.first_bad_index) == (False, 150)
    with bench.database.connect() as connection:
        kept = connection.scalar(sa.text("SELECT note FROM audit_checkpoints ORDER BY size DESC LIMIT 1"))

    def thorough(db: sqlite3.Connection) -> None:
        db.execute("DELETE FROM audit_entries WHERE idx >= 100")
        db.execute("DELETE FROM audit_checkpoints WHERE size > 100")

    bench.tampered(thorough)
    report = verify(bench.database, bench.log.signer, kept)  # only who kept a checkpoint elsewhere can tell
    assert (report.ok, report.first_bad_index) == (False, 100)
    assert "200" in str(report.problem)


def test_a_checkpoint_taken_away(bench: Bench) -> None:
    report = bench.tampered(lambda db: db.execute("DELETE FROM audit_checkpoints WHERE size = 200"))
    assert (report.ok, report.first_bad_index) == (False, 100)


def test_a_log_rewritten_by_who_has_no_key(bench: Bench) -> None:
    """An attacker who makes all hashes anew stands before the signature, and before the seals."""

    def rewrite(db: sqlite3.Connection) -> None:
        data = b'{"harmless": true}'
        db.execute("UPDATE audit_entries SET payload = ?, leaf_hash = ? WHERE idx = 45", (data, leaf_hash(data)))

    assert bench.tampered(rewrite).first_bad_index == 45
    report = bench.public(rewrite)  # without the key: the entries after the last good checkpoint, up to the first bad
    assert (report.ok, report.first_bad_index) == (False, 40)
    assert "40 to 99" in str(report.problem)


def test_nothing_is_signed_over_a_tampered_tree(bench: Bench) -> None:
    for change in (
        flip("audit_entries", "leaf_hash", "idx", 150, 3),
        flip("audit_checkpoints", "note", "size", SIZE, 900),
        delete(SIZE - 1),
        insert(SIZE),
        lambda db: db.execute("DELETE FROM audit_checkpoints"),
    ):
        bench.tampered(change)
        with pytest.raises(Tampered, match="brain audit verify"):
            append(bench.database, bench.log, records(SIZE, 3))
    bench.reset()
    append(bench.database, bench.log, records(SIZE, 3))
    assert verify(bench.database, bench.log.signer).ok


def test_stored_nodes(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path / 'audit.db'}")
    log = filled(database, [100, 400, 300])
    assert verify(database, log.signer).ok
    changes = (
        ("UPDATE audit_nodes SET hash = zeroblob(32) WHERE idx = 1", 256),
        ("DELETE FROM audit_nodes WHERE idx = 2", 512),
        ("INSERT INTO audit_nodes VALUES (8, 3, zeroblob(32))", 800),
    )
    for statement, first in changes:
        with closing(sqlite3.connect(tmp_path / "audit.db")) as db:
            kept = db.execute("SELECT * FROM audit_nodes").fetchall()
            with db:
                db.execute(statement)
            report = verify(database, log.signer)
            assert (report.ok, report.first_bad_index) == (False, first), report
            with db:
                db.execute("DELETE FROM audit_nodes")
                db.executemany("INSERT INTO audit_nodes VALUES (?, ?, ?)", kept)
    assert verify(database, log.signer).ok
    database.dispose()


def test_a_kept_checkpoint_that_the_log_does_not_continue(bench: Bench) -> None:
    bench.reset()
    name = bench.log.signer.verifier.name
    other = bench.log.signer.sign(Checkpoint(name, 40, bytes(32)).text())
    report = verify(bench.database, bench.log.signer, other)
    assert (report.ok, report.first_bad_index) == (False, 38)
    with bench.database.connect() as connection:
        kept = connection.scalar(sa.text("SELECT note FROM audit_checkpoints WHERE size = 40"))
    good = verify(bench.database, bench.log.signer, kept)
    assert (good.ok, good.verified_from, good.size) == (True, 40, SIZE)
    assert (good.checkpoints, good.deleted) == (2, 0)
    report = bench.tampered(flip("audit_entries", "payload", "idx", 70, 9))
    assert verify(bench.database, bench.log.signer, kept).first_bad_index == 70
