"""What a fork must not carry over: connections, and locks that another thread holds at that moment.

`os.fork()` copies the memory and only the thread that calls it. A lock that another thread holds stays locked in the
child for ever; a socket or an SQLite file that both go on to use is broken for both. Parts that hold such things
register here, and are called before each fork of Python's (os.fork, multiprocessing, pre-forking servers) and after it.

A fork takes the locks in the order in which threads take them, by level: it would wait in vain for a thread that waits
for a lock which the fork has already taken.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from itertools import count
from typing import Protocol
from weakref import WeakValueDictionary

from brain.locks import InterruptibleLock
from brain.logs import Log
from brain.platform import at_fork

log: Log = Log("brain.forking")

PATIENCE = 10.0
"""Seconds that a fork waits for another thread to be done with a part: more than any one call to a store takes."""


class Level(IntEnum):
    """What a part uses while it holds its lock: parts of lower levels alone, or of its own made earlier."""

    STORE = 0
    OUTBOX = 1
    SERVICE = 2


class Part:
    """What registers here: it is called before the parts of lower levels at a fork, and after them then.

    Of one level, the part made last is called first. What a part raises is logged, not raised.
    """

    level: Level = Level.STORE

    def before_fork(self) -> None:
        """Stand still: take the locks, give up what both processes would share."""

    def after_fork_in_parent(self) -> None:
        """Go on."""

    def after_fork_in_child(self) -> None:
        """Go on with locks and connections of this process's own; `before_fork` may not have been called."""


_numbers = count()
_parts: WeakValueDictionary[int, Part] = WeakValueDictionary()
_forking = InterruptibleLock()  # held through a fork: two threads do not fork at the same time
_listing = InterruptibleLock()  # never held through a fork, which waits for locks of threads that make parts


def register(part: Part) -> None:
    """Call `part` round each fork from now on, for as long as it lives."""
    with _listing:
        _parts[next(_numbers)] = part


def _in_order() -> list[Part]:
    """The lowest level first."""
    with _listing:
        numbered = sorted(_parts.items(), key=lambda item: (item[1].level, item[0]))
    return [part for _, part in numbered]


def _before() -> None:
    _forking.acquire()
    for part in reversed(_in_order()):
        _call(part.before_fork)


def _after_in_parent() -> None:
    for part in _in_order():
        _call(part.after_fork_in_parent)
    _forking.release()


def _after_in_child() -> None:
    global _forking, _listing
    _forking, _listing = InterruptibleLock(), InterruptibleLock()
    for part in _in_order():
        _call(part.after_fork_in_child)


def _call(step: Callable[[], None]) -> None:
    try:
        step()
    except Exception as error:
        log.exception("a part was not made ready for a fork", step=step.__qualname__, error=str(error))


at_fork(before=_before, in_parent=_after_in_parent, in_child=_after_in_child)


class Lockable(Protocol):
    """A lock of `threading`."""

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take it; whether that succeeded in time."""


def take(lock: Lockable, of: str) -> bool:
    """Take the lock for a fork; False, and a log line, when a thread holds it for longer than PATIENCE."""
    if lock.acquire(timeout=PATIENCE):
        return True
    log.error("a fork did not wait any longer for a lock that a thread holds", of=of, seconds=PATIENCE)
    return False


class ForkLock(Part, InterruptibleLock):  # type: ignore[misc]  # final in the stubs alone
    """A lock that a fork waits for, up to PATIENCE seconds, so that what it protects is never copied half changed."""

    def __init__(self, level: Level = Level.STORE) -> None:
        self.level = level
        self.held: bool = False
        """Whether the fork under way waited for it with success."""

    def before_fork(self) -> None:
        """Take the lock for the fork."""
        if self._is_owned():  # type: ignore[attr-defined]  # what interrupts its holder forks
            log.error("a fork came while its own thread held a lock", of=self.level.name)
        else:
            self.held = take(self, self.level.name)

    def after_fork_in_parent(self) -> None:
        """Give the lock back."""
        if self.held:
            self.held = False
            self.release()

    def after_fork_in_child(self) -> None:
        """Be free: it may be held by a thread that is not here."""
        self._at_fork_reinit()  # type: ignore[attr-defined]  # as the standard library does with its own
        self.held = False
