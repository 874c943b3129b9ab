"""Threads that wait for work: woken by others and by what interrupts them, and by themselves when the time is over."""

from __future__ import annotations

import signal
import threading
import time

import pytest

from brain.stream.waking import Waking
from support.waiting import wait_until

LONG = 60.0


def seconds_of(waking: Waking, at_most: float) -> float:
    """How long a wait took."""
    began = time.monotonic()
    waking.wait(at_most)
    return time.monotonic() - began


def test_a_wake_ends_the_next_wait_and_no_other() -> None:
    waking = Waking()
    waking.wake()
    waking.wake()
    assert seconds_of(waking, LONG) < LONG
    assert seconds_of(waking, 0.01) >= 0.01


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="no signals to threads on this system")
def test_signals_in_the_thread_that_waits_do_not_make_it_wait_for_ever() -> None:
    waking, waits, over = Waking(), 0, threading.Event()

    def run() -> None:
        nonlocal waits
        while not over.is_set():
            waking.wait(0.002)
            waits += 1

    before = signal.signal(signal.SIGUSR1, lambda number, frame: None)
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        for _ in range(20):
            for _ in range(1_000):
                signal.pthread_kill(thread.ident or 0, signal.SIGUSR1)
            seen = waits
            wait_until(lambda: waits > seen + 1)  # noqa: B023
    finally:
        over.set()
        signal.signal(signal.SIGUSR1, before)
    thread.join(LONG)
    assert not thread.is_alive()
