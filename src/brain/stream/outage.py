"""What is logged while a stream's backend does not answer: once, then now and then, whoever of the stream notices."""

from __future__ import annotations

import time
from collections.abc import Callable

from brain.locks import InterruptibleLock
from brain.logs import Log

log: Log = Log("brain.stream")

EVERY_SECONDS = 10.0
"""The shortest time between two warnings."""


class Outage:
    """Shared by all parts of a stream, which try again by themselves. Safe for threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = InterruptibleLock()
        self._logged_at = float("-inf")
        self._unlogged = 0

    def report(self, doing: str, error: Exception) -> None:
        """A part that was `doing` something met this error, whose text says what to do."""
        with self._lock:
            now = self._clock()
            if now - self._logged_at < EVERY_SECONDS:
                self._unlogged += 1
                return
            self._logged_at, unlogged, self._unlogged = now, self._unlogged, 0
        more = {"errors_since_last_line": unlogged} if unlogged else {}
        log.warning("the stream does not answer; trying again", doing=doing, error=str(error), **more)
