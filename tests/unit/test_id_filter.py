"""What the filter says came before: always what did, as far back as is promised, and hardly ever anything else."""

from __future__ import annotations

import os
import sys
from hashlib import blake2b
from pathlib import Path

import pytest

from brain.kit.id_filter import IdFilter


def digests(first: int, end: int) -> list[bytes]:
    return [blake2b(b"%d" % number, digest_size=8).digest() for number in range(first, end)]


@pytest.mark.parametrize("step", [1, 7, 100])
def test_the_last_ones_are_known_and_older_ones_let_go(step: int) -> None:
    remembered, given = 100, digests(0, 700)
    known = IdFilter(remembered)
    for end in range(step, len(given) + 1, step):
        assert not known.met(given[end - step : end])
        least = given[max(0, end - remembered) : end]
        assert known.met(least) == least
    assert not known.met(given[:100])


def test_an_id_given_twice_at_once_is_met() -> None:
    known = IdFilter(100)
    first, second = digests(0, 2)
    assert known.met([first, second, first]) == [first]
    assert known.met([]) == []


def test_digests_that_want_the_same_place_are_told_apart() -> None:
    """They want the last place of the table, so that others go on at its start; and a mark may be all zeros."""
    alike = [b"\xff" * 4 + number.to_bytes(2, sys.byteorder) + bytes(2) for number in range(60)]
    known = IdFilter(100)
    assert not known.met(alike[2:])
    assert not known.met(alike[:1])
    assert known.met(alike[:1]) == alike[:1], "a mark of zeros is found again"
    assert known.met(alike[1:]) == alike[1:], "it stands for one more, which is looked up then"


def test_new_ids_are_hardly_ever_taken_for_known_ones() -> None:
    known = IdFilter(20_000)
    assert len(known.met(digests(0, 20_000))) + len(known.met(digests(20_000, 40_000))) < 5


def test_it_takes_memory_where_it_is_written_only() -> None:
    """Of two tables of 32 MiB."""
    before = resident()
    known = IdFilter(8_000_000)
    assert not known.met(digests(0, 10))
    assert resident() - before < 8 * 1_048_576


def test_its_tables_never_grow() -> None:
    known, sizes = IdFilter(200_000), set()
    for _ in range(5):
        known.met(digests(0, 10))
        known._count = 200_000
        sizes.add((known._newer.nbytes, known._older.nbytes))
    assert sizes == {(1_048_576, 1_048_576)}


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
