"""A journal whose `append` is ended by an exception at any step, as a signal handler may: nothing after it is lost."""

from __future__ import annotations

import os
import shutil
import sys
import threading
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from brain import Event, EventStream
from brain.stream.backends.memory import MemoryBackend
from brain.stream.damage import DamageLog
from brain.stream.journal import Journal, lock_folder, segment_path
from brain.stream.shipper import Shipment, Shipper
from support.interrupting import interrupted_at, interrupted_before
from support.waiting import wait_until


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


def open_below(folder: Path) -> list[str]:
    """The files below the folder that this process has open."""
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            found.append(os.readlink(descriptor))
        except FileNotFoundError:  # the one of this very look
            continue
    return [name for name in found if name.startswith(str(folder))]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only there a process can look what it has open")
@pytest.mark.parametrize("spare", [False, True], ids=["segment made", "segment made ahead"])
def test_whatever_instruction_is_interrupted_no_file_stays_open(spare: bool, tmp_path: Path) -> None:
    def begin_a_segment() -> None:
        journal = Journal(tmp_path / f"{when:016x}", 1024)
        try:
            for _ in range(2):
                journal.append(b"x" * 700, False)
                if spare:
                    journal.prepare()
        finally:
            sys.settrace(None)
            journal.close()

    for when in count(1):
        if not interrupted_before(when, begin_a_segment, "/brain/stream/"):
            break
        assert open_below(tmp_path) == []
        for folder in tmp_path.iterdir():
            lock = lock_folder(folder)
            assert lock is not None
            lock.close()
            shutil.rmtree(folder)
    assert when > 500


@pytest.mark.parametrize("within", [False, True], ids=["behind the start", "within Thread.start"])
def test_an_opening_that_is_interrupted_leaves_no_thread_and_no_journal(
    within: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Ctrl-C in a notebook may: nobody has the stream, so nobody could close it."""
    start = Shipper.start

    def interrupt() -> None:
        raise KeyboardInterrupt

    def interrupt_once(wait: Callable[..., bool]) -> Callable[..., bool]:
        left = ["once"]

        def interrupted(event: threading.Event, timeout: float | None = None) -> bool:
            if threading.current_thread() is threading.main_thread() and left:
                left.clear()
                raise KeyboardInterrupt
            return wait(event, timeout)

        return interrupted

    def started_and_interrupted(shipper: Shipper) -> None:
        with monkeypatch.context() as patch:
            if within:  # the thread is there, and has not said so yet
                patch.setattr(threading.Event, "wait", interrupt_once(threading.Event.wait))
            start(shipper)
        interrupt()

    monkeypatch.setattr(Shipper, "start", started_and_interrupted)
    threads = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        EventStream.open_sync(f"sqlite:///{tmp_path}/brain.db")
    wait_until(lambda: threading.active_count() == threads)
    assert list((tmp_path / "brain.db.journal").iterdir()) == []


def test_a_closing_that_is_interrupted_closes_without_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C, while a backend that is away is waited for."""
    stop = Shipper.stop
    waited: list[float] = []

    def interrupted_once(shipper: Shipper, timeout: float, **options: Any) -> bool:
        waited.append(timeout)
        if len(waited) == 1:
            raise KeyboardInterrupt
        return stop(shipper, timeout, **options)

    monkeypatch.setattr(Shipper, "stop", interrupted_once)
    threads = threading.active_count()
    stream = EventStream.open_sync(f"sqlite:///{tmp_path}/brain.db")
    stream.publish(Event(type="a.b", source="a_service", payload={}))
    with pytest.raises(KeyboardInterrupt):
        stream.close_sync()
    assert waited == [pytest.approx(5.0, abs=1), 0.1]
    wait_until(lambda: threading.active_count() == threads)
    stream.close_sync()
    with EventStream.open_sync(f"sqlite:///{tmp_path}/brain.db") as again:
        wait_until(lambda: len(again.read_sync()) == 1)
