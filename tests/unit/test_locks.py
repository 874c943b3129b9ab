"""Locks are free after whatever was raised into their takers, on every Python."""

from __future__ import annotations

import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from types import FrameType

import pytest

from brain.locks import InterruptibleLock
from brain.store.forking import ForkLock
from support.interrupting import Interrupted, interrupted_at


@pytest.mark.parametrize("kind", [InterruptibleLock, ForkLock])
def test_a_lock_is_free_whatever_call_of_its_taker_is_interrupted(kind: type[ForkLock]) -> None:
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
            interrupted = interrupted_at(when, take, __file__) or interrupted_at(when, take, "locks.py")
            assert others.submit(taken_elsewhere).result(10)
            if not interrupted:
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
