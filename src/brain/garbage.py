"""Garbage and freed memory: the collector while many objects are made at once, and what malloc keeps."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from brain.locks import InterruptibleLock
from brain.platform import at_fork

_SELDOM = 200_000
"""Objects that are made between two collections in a short command; Python's own figure is 700 to 2,000."""
_SERVING = 10_000
"""The same while serving: a batch of events is more than 700 objects, and no garbage while it is worked on."""
_USUAL = gc.get_threshold()
_MMAP_THRESHOLD, _TRIM_THRESHOLD, _ARENA_MAX = -3, -1, -8  # their names in malloc.h begin with M_
_KEPT = {_MMAP_THRESHOLD: 256 * 1024, _TRIM_THRESHOLD: 1024 * 1024, _ARENA_MAX: 2}
"""Bytes from which on a block is the system's own, freed bytes kept at the end of an arena, and arenas."""

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


def bound_kept_memory() -> None:
    """For a command that runs on, before it starts a thread: bound what malloc keeps of what was freed.

    glibc has an arena for each of up to eight threads a core; and each time a block that it took straight from the
    system is freed, it takes blocks as large as that from the arenas from then on, where small ones that stay keep what
    is freed beside them. https://man7.org/linux/man-pages/man3/mallopt.3.html; elsewhere, and where the environment
    says how malloc is to work, nothing is done.
    """
    given = any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ)
    if not given and (mallopt := _of_malloc("mallopt")) is not None:
        for parameter, value in _KEPT.items():
            mallopt(parameter, value)


def return_memory() -> None:
    """Give the system back what much work has freed: glibc keeps it, scattered over the arenas of its threads.

    https://man7.org/linux/man-pages/man3/malloc_trim.3.html; elsewhere nothing is done.
    """
    trim = _of_malloc("malloc_trim")
    if trim is not None:
        trim(0)


def _of_malloc(name: str) -> Callable[..., int] | None:
    """The function of glibc; None on another system, or with another C library."""
    import ctypes  # here, since short commands need it for nothing else

    found: Callable[..., int] | None = getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
    return found


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
