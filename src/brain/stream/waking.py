"""What a thread that waits for work is woken by, from signal handlers and finalisers too."""

from __future__ import annotations

import threading


class Waking:
    """For one thread that waits. Only a bare lock serves: both of its steps are single calls that nothing interrupts.

    An Event's lock would hang a signal handler that interrupts a waking and wakes; `SimpleQueue.get` of Python 3.11 and
    3.12 waits for ever when a signal reaches its thread about when its time is over.
    """

    def __init__(self) -> None:
        self._sleeping = threading.Lock()
        self._sleeping.acquire()

    def wake(self) -> None:
        """End the wait under way, or the next one. May interrupt itself."""
        if self._sleeping.locked():  # else somebody has done so, and the thread has not begun to wait again
            try:
                self._sleeping.release()
            except RuntimeError:  # somebody did so in between
                return

    def wait(self, seconds: float) -> None:
        """Until `wake` was called, at most so long."""
        self._sleeping.acquire(timeout=seconds)
