"""The end of a process whose streams nobody has closed: what is journalled is shipped, within a bound.

After `sys.exit`, an unhandled exception, or the last line. Daemon threads, such as the shipper's, still run while the
functions of `atexit` do, and are frozen after them. `multiprocessing` ends its children without `atexit` in most
versions of Python, but not before the functions that `threading` calls at its end. What ends a process at once (a
signal that nobody handles, `os._exit`) calls neither: the journal stays for the next start.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
from typing import Protocol
from weakref import WeakSet

from brain.logs import Log

log: Log = Log("brain.stream")

EXIT_SECONDS = 1.0
"""How long the end of a process may take, unless the stream was opened with another `exit_timeout`."""
_RESERVE = 0.4
"""Seconds of them that are left for the end of the threads, and of the interpreter."""


class Ending(Protocol):
    """A stream that may be open when the process ends."""

    @property
    def exit_timeout(self) -> float:
        """Seconds that it may take."""

    def end(self, timeout: float) -> None:
        """Ship for at most so many seconds; does nothing for one that is closed."""


_open: WeakSet[Ending] = WeakSet()
_imported_in = os.getpid()


def ship_at_exit(stream: Ending) -> None:
    """Call `stream.end` at the end of this process, and of those that it forks."""
    _open.add(stream)


def _end_all() -> None:
    streams = list(_open)
    began = time.monotonic()
    for stream in streams:  # each ships in a thread of its own all the while
        try:
            stream.end(max(0.0, began + stream.exit_timeout - _RESERVE - time.monotonic()))
        except Exception as error:
            log.exception("a stream could not be ended with its process", error=str(error))


def _end_child() -> None:
    """Before `threading` waits for its threads."""
    processes = sys.modules.get("multiprocessing.process")
    if os.getpid() != _imported_in or (processes is not None and processes.parent_process() is not None):
        _end_all()


atexit.register(_end_all)
if (_at_threads_end := getattr(threading, "_register_atexit", None)) is not None:
    _at_threads_end(_end_child)
