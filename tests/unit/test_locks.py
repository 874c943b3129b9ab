"""Locks are free after whatever was raised into their takers, on every Python."""

from __future__ import annotations

import ast
import signal
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from types import FrameType

import pytest

from brain.locks import InterruptibleLock
from brain.store import open_store
from brain.store.connection import LockedConnection
from brain.store.forking import ForkLock
from brain.stream.backends.sqlite import SQLiteBackend
from support.interrupting import Interrupted, interrupted_at
from support.trees import trees


def locked_connection() -> LockedConnection:
    return LockedConnection(lambda: sqlite3.connect(":memory:", check_same_thread=False))


@pytest.mark.parametrize("kind", [InterruptibleLock, ForkLock, locked_connection])
def test_a_lock_is_free_whatever_call_of_its_taker_is_interrupted(kind: Callable[[], ForkLock]) -> None:
    lock = kind()
    inside: list[int] = []

    def take() -> None:
        with lock:
            inside.append(1)
            with lock:  # a taker may interrupt itself
                inside.append(2)

    def taken_elsewhere() -> bool:
        return lock.acquire(timeout=5) and lock.release() is None

    with ThreadPoolExecutor(1) as others:
        for when in count(1):
            interrupted = [interrupted_at(when, take, within) for within in (__file__, "locks.py", "connection.py")]
            assert others.submit(taken_elsewhere).result(10)
            if not any(interrupted):
                break
    assert when > 2
    assert inside


@pytest.mark.parametrize("kind", [InterruptibleLock, ForkLock])
def test_what_a_signal_handler_raises_ends_a_wait_and_gives_nothing_back(kind: type[ForkLock]) -> None:
    lock, begins, over = kind(), threading.Event(), threading.Event()
    main = threading.get_ident()

    def hold() -> None:
        with lock:
            begins.set()
            while not over.wait(0.02):
                signal.pthread_kill(main, signal.SIGUSR1)

    def handle(number: int, frame: FrameType | None) -> None:
        if waiting:
            waiting.clear()
            raise Interrupted

    def wait() -> None:
        waiting.append(True)
        with lock:
            pytest.fail("two threads have the lock")

    waiting: list[bool] = []
    before = signal.signal(signal.SIGUSR1, handle)
    thread = threading.Thread(target=hold)
    thread.start()
    begins.wait()
    try:
        with pytest.raises(Interrupted):
            wait()
        assert "owner=0" not in repr(lock)
        assert "count=1" in repr(lock)
    finally:
        over.set()
        thread.join()
        signal.signal(signal.SIGUSR1, before)


def test_no_transaction_stays_open_whatever_call_of_its_writer_is_interrupted(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/store.db")
    backend = SQLiteBackend(f"sqlite:///{tmp_path}/stream.db")

    def append() -> None:
        backend.append("p", backend.mark("p"), str(when), [b"record"])

    for when in count(1):
        work = [lambda: store.put("c", "k", b"v"), lambda: store.scan("c"), append]
        interrupted = [interrupted_at(when, one, "sqlite.py") for one in work]
        for name in ("store.db", "stream.db"):
            other = sqlite3.connect(tmp_path / name, timeout=0.0, isolation_level=None)
            other.execute("BEGIN IMMEDIATE")  # raises where another transaction still writes
            other.execute("ROLLBACK")
            other.close()
        store.put("c", "after", b"v")
        backend.append("p", backend.mark("p"), f"{when} again", [b"record"])
        if not any(interrupted):
            break
    assert when > 10
    store.close()
    backend.close()


@pytest.mark.xdist_group("trees")
def test_every_lock_is_one_that_an_interruption_leaves_free() -> None:
    """Those of `threading` are not, nor is a Condition that makes its lock itself."""
    held = [
        path
        for path, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and ast.unparse(node) in ("threading.Lock()", "threading.RLock()", "threading.Condition()")
    ]
    assert held == ["brain/stream/waking.py"]  # which no `with` takes
