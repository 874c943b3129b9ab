"""What is logged while a stream's backend does not answer: once, then now and then, whoever of the stream notices."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from brain.logs import Log

log = Log("brain.stream")

EVERY_SECONDS = 10.0
"""The shortest time between two warnings."""


class Outage:
    """Shared by all parts of a stream, which try again by themselves. Safe for threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._said_at = float("-inf")
        self._unsaid = 0

    def met(self, doing: str, error: Exception) -> None:
        """A part that was `doing` something met this error, whose text says what to do."""
        with self._lock:
            now = self._clock()
            if now - self._said_at < EVERY_SECONDS:
                self._unsaid += 1
                return
            self._said_at, unsaid, self._unsaid = now, self._unsaid, 0
        more = {"errors_since_last_line": unsaid} if unsaid else {}
        log.warning("the stream does not answer; trying again", doing=doing, error=str(error), **more)
