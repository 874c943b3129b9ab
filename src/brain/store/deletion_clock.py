"""The time by which old data is deleted: the wall clock, as far as it can be explained.

A clock that is wrong for a moment must not make everything look old. So the time of deletions goes on with the steady
clock of the machine, and follows the wall clock only in small steps; how far it is, is kept in the store. A larger step
forward is refused: old data stays until the clock is right again, or a person says that it is. A step back needs no
refusal: by an earlier time less is old.
"""

from __future__ import annotations

import socket
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from brain.errors import Conflict
from brain.json_text import JSON_FAULTS
from brain.logs import Log
from brain.store import Store, forking
from brain.typed import ready

log: Log = Log("brain.clock")

COLLECTION = "clock"
KEY = "deletions"
STEP_SECONDS = 300.0
"""How far the wall clock may be from the steady one at once: more is a step."""
DOWN_SECONDS = 7 * 86_400.0
"""How long the processes may have been down: a gap up to this is explained at a start."""
_STORED_EVERY = 60.0
REMEDY = "put the clock right; if it is right, run `brain doctor --trust-clock`"


class DeletionMark(msgspec.Struct, frozen=True, kw_only=True):
    """What the store keeps: the latest time of a deletion, the steps that hosts see, and how often a person trusted."""

    at: float
    steps: dict[str, float] = {}
    trusted: int = 0


def steady_seconds() -> float:
    """Seconds that only go forward, those in which the machine sleeps included where the system counts them."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


@dataclass(frozen=True)
class Clocks:
    """The clocks of this machine, in seconds: one that people set, and one that only goes forward."""

    wall: Callable[[], float] = field(default=time.time)
    steady: Callable[[], float] = field(default=steady_seconds)


class DeletionClock:
    """The time of deletions for all that one process deletes by age. Safe for threads.

    `newest` gives the Unix time of the newest stored event, None when there is none: what the clock is compared with
    where no deletion has left its mark yet.
    """

    def __init__(
        self, store: Store, newest: Callable[[], float | None] | None = None, clocks: Clocks | None = None
    ) -> None:
        self.newest = newest
        self.step: float = 0.0
        """Seconds by which the wall clock is off what can be explained; 0.0 while it is not."""
        self._store = store
        self._clocks = clocks or Clocks()
        self._lock = forking.ForkLock(forking.Level.OUTBOX)
        self._host = socket.gethostname()
        self._trusted: int | None = None
        self._course: tuple[float, float] | None = None  # a time of deletions, and the steady clock then
        forking.register(self._lock)

    def __call__(self) -> float:
        """The Unix time to count ages from, at most the wall clock's. Blocks. Raises Unavailable."""
        with self._lock:
            document = self._store.get(COLLECTION, KEY)
            mark = read_mark(document.data) if document is not None else None
            wall, steady = self._clocks.wall(), self._clocks.steady()
            course = self._continued(mark, wall, steady)
            if course is None:
                return wall
            step = wall - course
            if abs(step) <= STEP_SECONDS:
                course, step = max(course, wall), 0.0
            self._course = course, steady
            self._say(step)
            self._keep(mark, document.version if document is not None else 0, course)
            return min(course, wall)

    def _continued(self, mark: DeletionMark | None, wall: float, steady: float) -> float | None:
        """Where the time of deletions is by the steady clock; None while there is nothing to compare with."""
        trusted = mark.trusted if mark is not None else 0
        if self._course is not None and trusted == self._trusted:
            at, then = self._course
            return at + steady - then
        begun = mark.at if mark is not None else self._first(wall)
        if begun is None:
            return None
        self._trusted = trusted
        return wall if begun < wall <= begun + DOWN_SECONDS else begun

    def _first(self, wall: float) -> float | None:
        if self.newest is None:
            return None
        newest = self.newest()
        return wall if newest is None else newest

    def _say(self, step: float) -> None:
        if (step > 0) - (step < 0) == (self.step > 0) - (self.step < 0):
            self.step = step
            return
        self.step = step
        if step:
            log.error(
                "the clock has stepped by more than can be explained; what only looks old by it is not deleted",
                seconds=round(step, 1),
                remedy=REMEDY,
            )
        else:
            log.info("the clock is explained again; old data is deleted as before")

    def _keep(self, mark: DeletionMark | None, version: int, course: float) -> None:
        """Store how far the time of deletions is, and the step that this host sees."""
        steps = {**(mark.steps if mark is not None else {}), self._host: round(self.step)}
        steps = {host: step for host, step in steps.items() if step}
        at = max(course, mark.at if mark is not None else course)
        if mark is not None and at < mark.at + _STORED_EVERY and steps.keys() == mark.steps.keys():
            return
        made = DeletionMark(at=at, steps=steps, trusted=mark.trusted if mark is not None else 0)
        try:
            self._store.put(COLLECTION, KEY, msgspec.json.encode(made), expected=version)
        except Conflict:
            return  # another process has just done so


def read_mark(data: bytes) -> DeletionMark | None:
    """The stored mark; None for bytes that are none."""
    try:
        return msgspec.json.decode(data, type=ready(DeletionMark))
    except JSON_FAULTS as error:
        log.warning("the stored time of deletions cannot be read; it begins again", error=str(error))
        return None


def trust_clock(store: Store, now: float) -> None:
    """Take `now` for the right time, by a person's word: every process goes on from there. Raises Unavailable."""
    document = store.get(COLLECTION, KEY)
    mark = read_mark(document.data) if document is not None else None
    made = DeletionMark(at=now, trusted=1 + (mark.trusted if mark is not None else 0))
    store.put(COLLECTION, KEY, msgspec.json.encode(made))


_clocks: weakref.WeakKeyDictionary[Store, DeletionClock] = weakref.WeakKeyDictionary()
_making = forking.ForkLock(forking.Level.OUTBOX)
forking.register(_making)


def deletion_clock(store: Store, newest: Callable[[], float | None] | None = None) -> DeletionClock:
    """The one of this process for this store."""
    with _making:
        found = _clocks.get(store)
        if found is None:
            found = _clocks[store] = DeletionClock(store)
        found.newest = found.newest or newest
        return found


def clock_fault(store: Store, now: float) -> str | None:
    """What is wrong with the clock, as the processes on this store see it, or as this one would; else None. Blocks."""
    document = store.get(COLLECTION, KEY)
    mark = read_mark(document.data) if document is not None else None
    if mark is None:
        return None
    seen = [f"on {host} by {step:.0f} s" for host, step in sorted(mark.steps.items())]
    if seen:
        return f"the clock has stepped {', '.join(seen)}: what only looks old by it is not deleted"
    if abs(now - mark.at) > DOWN_SECONDS or now < mark.at - STEP_SECONDS:
        return f"the clock is {now - mark.at:.0f} s off the last deletion: what only looks old by it is not deleted"
    return None
