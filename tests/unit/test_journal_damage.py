"""Damage to a journal: it costs the damaged records and no more, and every loss is on record after a restart."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from random import Random
from zlib import crc32

import pytest

from brain.stream.damage import DamageLog
from brain.stream.journal import Journal, Reader, segment_path, segments

RECORDS = 20_000
SEGMENT_SIZE = 256 << 10
PAGE = 4096


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[tuple[Path, int, int]]]:
    """A journal of 20,000 events, and where each of them lies: its segment's name, first and last byte."""
    random = Random(3)
    journal = Journal(tmp_path_factory.mktemp("whole") / "0123456789abcdef", SEGMENT_SIZE)
    places = []
    for number in range(RECORDS):
        data = b'{"number":%d,"text":"%s"}' % (number, b"x" * random.randrange(20, 300))
        journal.append(data, critical=number % 50 == 0)
        first, end, _ = journal.tail
        places.append((Path(segment_path(journal.folder, first).name), end - 16 - len(data), end))
    journal.close()
    return journal.folder, places


def recovered(folder: Path) -> list[int]:
    reader = Reader(folder)
    reader.seek(0)
    found = []
    while records := reader.read(2_000):
        found += [record.seq for record in records]
    reader.close()
    return found


Damage = tuple[Path, int, int]
"""The segment, and the bytes from the first up to the second that were changed."""


def flip_bits(folder: Path, random: Random, places: list[Damage]) -> list[Damage]:
    damages = []
    for _ in range(random.randrange(1, 6)):
        name, first, end = random.choice(places)
        offset = random.randrange(first, end)
        path = folder / name
        data = bytearray(path.read_bytes())
        data[offset] ^= 1 << random.randrange(8)
        path.write_bytes(data)
        damages.append((name, offset, offset + 1))
    return damages


def lose_a_page(folder: Path, random: Random, places: list[Damage]) -> list[Damage]:
    name, first, _ = random.choice(places)
    path = folder / name
    data = bytearray(path.read_bytes())
    start = first // PAGE * PAGE
    filled = random.choice([bytes(PAGE), random.randbytes(PAGE)])
    data[start : start + PAGE] = filled
    path.write_bytes(data)
    return [(name, start, start + PAGE)]


def truncate(folder: Path, random: Random, places: list[Damage]) -> list[Damage]:
    name, first, _ = random.choice(places)
    with open(folder / name, "r+b") as file:
        file.truncate(first + 7)
    return [(name, first + 7, SEGMENT_SIZE)]


def lose_a_segment(folder: Path, random: Random, places: list[Damage]) -> list[Damage]:
    """The first one, the last one, or one between."""
    first = random.choice(segments(folder)[random.choice([slice(1), slice(-1, None), slice(1, -1)])])
    path = segment_path(folder, first)
    path.unlink()
    return [(Path(path.name), 0, SEGMENT_SIZE)]


def leave_stray_files(folder: Path, random: Random, places: list[Damage]) -> list[Damage]:
    (folder / "notes.seg").write_text("no segment")
    (folder / "0001.seg").write_text("no segment either")
    (folder / f"{random.randrange(10**6):016d}.seg~").write_bytes(random.randbytes(100))
    return flip_bits(folder, random, places)


KINDS: list[Callable[[Path, Random, list[Damage]], list[Damage]]] = [
    flip_bits,
    lose_a_page,
    truncate,
    lose_a_segment,
    leave_stray_files,
]


def check_damages(written: tuple[Path, list[Damage]], folder: Path, seed: int) -> None:
    whole, places = written
    shutil.rmtree(folder.parent, ignore_errors=True)
    shutil.copytree(whole, folder)
    random = Random(seed)
    damages = KINDS[seed % len(KINDS)](folder, random, places)
    hit = {
        number
        for number, (name, first, end) in enumerate(places)
        if any(name == where and first < stop and start < end for where, start, stop in damages)
    }
    found = recovered(folder)
    untouched = [number for number in range(RECORDS) if number not in hit]
    assert [number for number in found if number not in hit] == untouched, (
        f"seed {seed}: more was lost than was damaged"
    )
    lost = RECORDS - len(found)
    assert len(found) == len(set(found)), f"seed {seed}: a record came twice"
    total = DamageLog(folder.parent).total
    at_the_end = bool(lost) and found[-1] < RECORDS - 1  # of what is gone at the end nobody can tell how many it were
    assert total == lost or (at_the_end and 0 < total <= lost), f"seed {seed}: {lost} lost, {total} on record"


@pytest.mark.parametrize("kind", range(len(KINDS)))
def test_all_outside_the_damage_is_recovered_and_every_loss_is_on_record(
    written: tuple[Path, list[Damage]], tmp_path: Path, kind: int
) -> None:
    for turn in range(4):
        check_damages(written, tmp_path / "copy" / written[0].name, kind + turn * len(KINDS))


@pytest.mark.long
def test_a_thousand_damages(written: tuple[Path, list[Damage]], tmp_path: Path) -> None:
    for seed in range(1_000):
        check_damages(written, tmp_path / "copy" / written[0].name, seed)


def test_the_damaged_segment_is_kept_and_the_count_ends_when_it_is_removed(tmp_path: Path) -> None:
    folder = tmp_path / "0123456789abcdef"
    journal = Journal(folder, 4096)
    for number in range(10):
        journal.append(b"record %d" % number, critical=False)
    journal.close()
    path = segment_path(folder, 0)
    data = bytearray(path.read_bytes())
    data[3] ^= 1  # in the length of the first record: all others lay behind it
    path.write_bytes(data)
    assert recovered(folder) == list(range(1, 10))
    shutil.rmtree(folder)
    kept = tmp_path / "0123456789abcdef.damaged"
    assert (kept / path.name).read_bytes() == bytes(data)
    assert DamageLog(tmp_path).total == 1
    shutil.rmtree(kept)
    assert DamageLog(tmp_path).total == 0


def test_a_journal_of_the_first_version_is_read(tmp_path: Path) -> None:
    """Its checksum covered the data and the number; such journals wait where a process was upgraded after a crash."""
    folder = tmp_path / "0123456789abcdef"
    folder.mkdir()
    data = [b"one", b"two", b"three"]
    records = [
        struct.pack("<IIQ", len(one), crc32(one, number), number | (1 << 63 if number == 1 else 0)) + one
        for number, one in enumerate(data)
    ]
    segment_path(folder, 0).write_bytes(b"".join(records).ljust(4096, b"\0"))
    reader = Reader(folder)
    reader.seek(0)
    assert [(one.seq, one.critical, one.data) for one in reader.read(10)] == [
        (0, False, b"one"),
        (1, True, b"two"),
        (2, False, b"three"),
    ]
    assert reader.damage.total == 0
