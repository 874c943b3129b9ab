"""Stopping a process, and letting it go on."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

from support.waiting import wait_until


def freeze(pid: int) -> None:
    """SIGSTOP, and wait until it has reached every thread: one that runs on another core goes on for a moment.

    A process that has ended is left alone.
    """
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: all(state in "TtZX" for state in _states(pid)), every=0.001)


def thaw(pid: int) -> None:
    """SIGCONT, unless it has ended."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


def _states(pid: int) -> list[str]:
    """A letter for each thread, as proc(5) has it."""
    found = []
    for stat in Path(f"/proc/{pid}/task").glob("*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that has ended meanwhile
            found.append(stat.read_text().rpartition(")")[2].split()[0])
    return found
