"""What a fork must not carry over: connections, and locks that another thread holds at that moment.

`os.fork()` copies the memory and only the thread that calls it. A lock that another thread holds stays locked in the
child for ever; a socket or an SQLite file that both go on to use is broken for both. Parts that hold such things
register here, and are called before each fork of Python's (os.fork, multiprocessing, pre-forking servers) and after it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import count
from weakref import WeakValueDictionary

from brain.logs import Log
from brain.platform import at_fork

log: Log = Log("brain.forking")

PATIENCE = 10.0
"""Seconds that a fork waits for another thread to be done with a part: more than any one call to a store takes."""


class Part:
    """What registers here, after the parts that it uses: it is called before them at a fork, and after them then.

    What a part raises is logged, not raised.
    """

    def before_fork(self) -> None:
        """Stand still: take the locks, give up what both processes would share."""

    def after_fork_in_parent(self) -> None:
        """Go on."""

    def after_fork_in_child(self) -> None:
        """Go on with locks and connections of this process's own; `before_fork` may not have been called."""


_numbers = count()
_parts: WeakValueDictionary[int, Part] = WeakValueDictionary()
_registering = threading.Lock()  # held through a fork: two threads do not fork at the same time


def register(part: Part) -> None:
    """Call `part` round each fork from now on, for as long as it lives."""
    with _registering:
        _parts[next(_numbers)] = part


def _before() -> None:
    _registering.acquire()
    for part in reversed(list(_parts.values())):
        _call(part.before_fork)


def _after_in_parent() -> None:
    for part in list(_parts.values()):
        _call(part.after_fork_in_parent)
    _registering.release()


def _after_in_child() -> None:
    global _registering
    _registering = threading.Lock()
    for part in list(_parts.values()):
        _call(part.after_fork_in_child)


def _call(step: Callable[[], None]) -> None:
    try:
        step()
    except Exception as error:
        log.exception("a part was not made ready for a fork", step=step.__qualname__, error=str(error))


at_fork(before=_before, in_parent=_after_in_parent, in_child=_after_in_child)


class ForkLock(Part):
    """A lock that a fork waits for, up to PATIENCE seconds, so that what it protects is never copied half changed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.held: bool = False
        """Whether the fork under way waited for it with success."""

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def before_fork(self) -> None:
        """Take the lock for the fork."""
        self.held = self._lock.acquire(timeout=PATIENCE)
        if not self.held:
            log.error("a fork did not wait any longer for a lock that a thread holds", seconds=PATIENCE)

    def after_fork_in_parent(self) -> None:
        """Give the lock back."""
        if self.held:
            self.held = False
            self._lock.release()

    def after_fork_in_child(self) -> None:
        """Have a new lock: the old one may be held by a thread that is not here."""
        self._lock = threading.Lock()
        self.held = False
