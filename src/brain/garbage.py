"""Python's garbage collector while many objects are made at once, none of which is garbage: paused, or seldom run."""

from __future__ import annotations

import atexit
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from brain.locks import InterruptibleLock
from brain.platform import at_fork

_SELDOM = 200_000
"""Objects that are made between two collections in a short command; Python's own figure is 700 to 2,000."""
_SERVING = 10_000
"""The same while serving: a batch of events is more than 700 objects, and no garbage while it is worked on."""
_USUAL = gc.get_threshold()

_changing = InterruptibleLock()
_pauses = 0


def collect_seldom() -> None:
    """For the process of a command: what a start makes stays until the end, and the end looks for no garbage in it."""
    gc.set_threshold(_SELDOM, *_USUAL[1:])
    atexit.register(gc.freeze)


def collect_while_serving() -> None:
    """For a command that runs on, from where it serves: what its start made stays, and is not looked through again."""
    gc.freeze()
    gc.set_threshold(_SERVING, *_USUAL[1:])


def return_memory() -> None:
    """Give the system back what much work has freed: glibc keeps it, scattered over the arenas of its threads.

    https://man7.org/linux/man-pages/man3/malloc_trim.3.html; elsewhere nothing is done.
    """
    import ctypes  # here, since short commands need it for nothing else

    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform.startswith("linux") else None
    if trim is not None:
        trim(0)


@contextmanager
def gc_paused() -> Iterator[None]:
    """Keep the collector off within, in all threads; memory without cycles is freed all the same."""
    global _pauses
    paused = False
    try:
        with _changing:
            if _pauses or gc.isenabled():
                paused = True  # in one step with the next line: an interruption behind them is ended below, too
                _pauses += 1
                gc.disable()
        yield
    finally:
        if paused:
            with _changing:
                _pauses = max(0, _pauses - 1)
                if _pauses == 0:
                    gc.enable()


def _after_fork_in_child() -> None:
    """Let the collector on: the thread of the parent that would do it is not here."""
    global _changing, _pauses
    _changing = InterruptibleLock()
    if _pauses:
        _pauses = 0
        gc.enable()


at_fork(in_child=_after_fork_in_child)
