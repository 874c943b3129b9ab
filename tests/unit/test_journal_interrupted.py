"""A journal whose `append` is ended by an exception at any step, as a signal handler may: nothing after it is lost."""

from __future__ import annotations

import shutil
from itertools import count
from pathlib import Path

import pytest

from brain.stream.backends.memory import MemoryBackend
from brain.stream.damage import DamageLog
from brain.stream.journal import Journal, segment_path
from brain.stream.shipper import Shipment
from support.interrupting import interrupted_at


def ship(shipment: Shipment, journal: Journal) -> None:
    """What the shipper's thread does."""
    for _ in range(2):
        shipment.ship()
        if journal.look():
            shipment.look_again()
        shipment.trim(lambda: None)


@pytest.mark.parametrize("removed", [False, True], ids=["folder there", "folder removed"])
def test_whatever_step_of_a_change_of_segments_is_interrupted(removed: bool, tmp_path: Path) -> None:
    backend, damage, returned = MemoryBackend(), DamageLog(tmp_path), []
    journal = Journal(tmp_path / "0123456789abcdef", 1024)
    shipment = Shipment(journal.folder, backend, damage, journal)

    def append(data: bytes) -> None:
        journal.append(data, False)
        returned.append(data)

    def at_the_end() -> bool:
        return journal.tail[0] >= 0 and 16 < 1024 - journal.tail[1] < 16 + 250

    for when in count(1):
        while not at_the_end():
            append(b"%0*d" % (100, len(returned)))
        ship(shipment, journal)
        if removed:
            shutil.rmtree(journal.folder)
        if not interrupted_at(when, lambda: append(b"%0*d" % (250, len(returned)))):
            break
        ship(shipment, journal)
        assert segment_path(journal.folder, journal.tail[0]).exists()
        append(b"%d" % len(returned))  # a small one: it has room where the other had none
        ship(shipment, journal)
        assert shipment.next == journal.next_seq
    ship(shipment, journal)
    assert when > 10
    stored = [entry.data for entry in backend.read("", 10_000)]
    assert len(stored) == len(set(stored))
    assert set(returned) <= set(stored)
    assert damage.total == 0
