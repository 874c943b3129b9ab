"""The journal: what was appended is read back, in order, over segments, after crashes and with damage."""

from __future__ import annotations

import resource
import shutil
import threading
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain.stream import journal as journals
from brain.stream.backends.memory import MemoryBackend
from brain.stream.journal import Journal, JournalFull, Reader, lock_folder, segment_path, segments
from brain.stream.outage import Outage
from brain.stream.shipper import Shipper


def read_all(folder: Path, writer: Journal | None = None, seq: int = 0) -> list[tuple[int, bool, bytes]]:
    reader = Reader(folder, writer)
    reader.seek(seq)
    found = []
    while records := reader.read(7):
        found += [(record.seq, record.critical, record.data) for record in records]
    reader.close()
    return found


@given(st.lists(st.tuples(st.binary(min_size=1, max_size=300), st.booleans()), max_size=60), st.integers(0, 60))
def test_reads_back_what_was_appended(
    tmp_path_factory: pytest.TempPathFactory, events: list[tuple[bytes, bool]], one_by_one: int
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    journal = Journal(folder, segment_size=1024)
    for number, (data, critical) in enumerate(events[:one_by_one]):
        assert journal.append(data, critical) == number
    journal.append_many(events[one_by_one:])
    assert journal.last_critical == max((n for n, (_, critical) in enumerate(events) if critical), default=-1)
    expected = [(number, critical, data) for number, (data, critical) in enumerate(events)]
    assert read_all(folder, journal) == expected
    journal.close()
    assert read_all(folder) == expected
    assert read_all(folder, seq=20) == expected[20:]


def test_reader_follows_a_writer_over_segments(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", segment_size=4096)
    reader = Reader(journal.folder, journal)
    reader.seek(0)
    seen: list[int] = []
    done = threading.Event()

    def follow() -> None:
        while True:
            finished = done.is_set()
            records = reader.read(50)
            seen.extend(record.seq for record in records)
            if finished and not records:
                return

    thread = threading.Thread(target=follow)
    thread.start()
    for number in range(20_000):
        journal.append(b"%d" % number * 20, critical=False)
        if number % 50 == 0:
            journal.prepare()
    done.set()
    thread.join(60)
    assert seen == list(range(20_000))
    journal.close()


def test_critical_records_can_be_read_ahead(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", segment_size=512)
    for number in range(100):
        journal.append(b"x" * 50, critical=number % 10 == 3)
    reader = Reader(journal.folder, journal)
    reader.seek(20)
    assert [record.seq for record in reader.read_critical(5)] == [23, 33, 43, 53, 63]
    assert [record.seq for record in reader.read_critical(5)] == [73, 83, 93]
    journal.close()


def test_a_torn_tail_is_dropped_and_damage_is_counted(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", segment_size=4096)
    for number in range(5):
        journal.append(b"record %d" % number, critical=False)
    end = journal.tail[1]
    journal.close()
    overwrite(segment_path(journal.folder, 0), end - 1, b"\0")
    reader = Reader(journal.folder)
    reader.seek(0)
    assert [record.seq for record in reader.read(10)] == [0, 1, 2, 3]
    assert reader.damage.total == 0
    overwrite(segment_path(journal.folder, 0), 16 + 2, b"!")
    reader.seek(0)
    assert [record.seq for record in reader.read(10)] == [1, 2, 3]
    assert reader.damage.total == 1


def overwrite(path: Path, offset: int, data: bytes) -> None:
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(data)


def test_a_full_disk_is_reported_and_leaves_the_journal_usable(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", segment_size=64 << 10)
    journal.append(b"before", critical=False)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (32 << 10, hard))
    try:
        while journal.tail[1] + 116 <= 64 << 10:
            journal.append(b"x" * 100, critical=False)
        with pytest.raises(JournalFull, match="free disk space"):
            journal.append(b"x" * 100, critical=False)
        with pytest.raises(JournalFull, match="free disk space"):
            journal.append_many([(b"x" * 100, False)] * 2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    kept = journal.next_seq
    assert journal.append(b"after" * 50, critical=False) == kept
    assert [seq for seq, _, _ in read_all(journal.folder, journal)] == list(range(kept + 1))
    assert len(segments(journal.folder)) == 2
    journal.close()


def test_only_one_process_owns_a_journal(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    assert lock_folder(journal.folder) is None
    journal.close()
    lock = lock_folder(journal.folder)
    assert lock is not None
    lock.close()


@pytest.mark.parametrize("moment", ["lock_file", "OwnedFile"])
def test_a_journal_that_is_removed_while_it_is_locked_is_not_taken_up(
    moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process has shipped it: that one removes the folder, and gives up its lock then."""
    Journal(tmp_path / "journal").close()
    real = getattr(journals, moment)

    def removed_before(*arguments: Any) -> Any:
        shutil.rmtree(tmp_path / "journal")
        return real(*arguments)

    monkeypatch.setattr(journals, moment, removed_before)
    assert lock_folder(tmp_path / "journal") is None


def test_a_short_process_takes_little_room_and_a_long_one_whole_segments(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    for _ in range(25):
        journal.append(b"x" * 400, False)
    assert sum(path.stat().st_size for path in journal.folder.iterdir()) < 70_000
    for number in range(25, 1_500):
        journal.append(b"x" * 8_000, False)
        if number % 50 == 0:
            journal.prepare()  # as the shipper does, so that some segments were made ahead
    sizes = [segment_path(journal.folder, first).stat().st_size for first in segments(journal.folder)]
    assert sizes == [64 << 10, 256 << 10, 1 << 20, 4 << 20, 8 << 20]
    assert len(read_all(journal.folder, journal)) == 1_500
    journal.close()
    assert len(read_all(journal.folder)) == 1_500


@pytest.mark.parametrize("made_ahead", [False, True])
def test_a_record_larger_than_the_segment_gets_one_of_its_size(tmp_path: Path, made_ahead: bool) -> None:
    journal = Journal(tmp_path / "j", first=1024)
    records = [b"a" * 600, b"b" * 100_000, b"c" * 300]
    for data in records:
        journal.append(data, False)
        if made_ahead:
            journal.prepare()
    assert [data for _, _, data in read_all(journal.folder, journal)] == records
    journal.close()
    assert [data for _, _, data in read_all(journal.folder)] == records
    assert {path.name for path in journal.folder.iterdir()} >= {"lock", f"{0:016d}.seg", f"{1:016d}.seg"}


def test_a_segment_made_ahead_is_there_at_once_and_the_next_to_be_written(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j", first=1024)
    begun: list[int] = []
    journal.when_begun = lambda: begun.append(journal.tail[0])
    journal.append(b"a" * 600, False)
    journal.prepare()
    assert begun == [], "the first one"
    spares = sorted(journal.folder.glob("spare*"))
    assert [path.read_bytes() for path in spares] == [bytes(4096)]
    for _ in range(2):
        journal.append(b"b" * 600, False)
    assert begun == [1]
    assert not [*journal.folder.glob("spare*")], "it is the segment"
    journal.prepare(now=True)
    assert [path.stat().st_size for path in journal.folder.glob("spare*")] == [16_384], "though little is written"
    journal.close()


def test_the_end_of_a_journal_waits_for_a_segment_that_is_being_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path / "j", first=1024)
    journal.append(b"a" * 600, False)
    begun, go_on = threading.Event(), threading.Event()
    allocate = journals._allocate

    def slowly(path: Path, size: int, *, cached: bool = False) -> Any:
        begun.set()
        assert go_on.wait(30)
        return allocate(path, size, cached=cached)

    monkeypatch.setattr(journals, "_allocate", slowly)
    monkeypatch.setattr(journals, "_PATIENCE", 30.0)
    making = threading.Thread(target=journal.prepare, kwargs={"now": True})
    making.start()
    assert begun.wait(30)
    journal.prepare(now=True)
    assert not [*journal.folder.glob("spare*")], "two at a time"
    closing = threading.Thread(target=journal.close)
    closing.start()
    closing.join(0.05)
    assert closing.is_alive()
    go_on.set()
    closing.join(30)
    assert len([*journal.folder.glob("spare*")]) == 1
    making.join(30)
    assert lock_folder(journal.folder) is not None


def test_without_another_thread_who_publishes_makes_the_segment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> int:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("brain.stream.shipper.start_new_thread", refused)
    journal = Journal(tmp_path / "j", first=1024)
    Shipper(MemoryBackend(), tmp_path, journal, lambda: None, Outage(), lambda: False)
    for number in range(20):
        assert journal.append(b"a" * 600, False) == number
    assert len(read_all(journal.folder, journal)) == 20
    journal.close()


@given(data=st.binary(max_size=600), start=st.integers(0, 2**64 - 1))
def test_a_checksum_begins_with_the_low_32_bits_of_what_it_is_given(data: bytes, start: int) -> None:
    assert zlib.crc32(data, start) == zlib.crc32(data, start & 0xFFFFFFFF)
