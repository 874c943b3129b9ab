"""The event loop gives way to the calls in threads that its requests wait for.

A thread that waits for the interpreter is woken whenever another one lets go of it, as the event loop does at each
answer that it sends, and mostly finds it taken again. As it was woken, the time after which it may insist on its turn
begins again. So a read beside thousands of answers a second had its turn by chance. Only a thread that waits
hands the interpreter over: between two answers the loop pauses until a call has ended, for a short time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Final, ParamSpec, TypeVar

A = ParamSpec("A")
T = TypeVar("T")

AT_ONCE = 0.001
"""Seconds that the loop stands still at once, at most. As long as it did, it then goes on at least."""
BUSY = 0.0005
"""Seconds between two answers of a busy loop, at most. One that is not busy lets go of the interpreter anyway."""
FOR_EACH = 0.004
"""Seconds that are given to each call, at most: who searches for longer shall not slow down all others."""
IN_ALL = 0.05
"""Seconds that are left for the calls under way, at most."""


class GivingWay:
    """Those calls of a process. `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float] = perf_counter) -> None:
        self._clock = clock
        self._under_way: set[object] = set()
        self._ended = threading.Event()
        self._left = 0.0
        self._not_before = 0.0
        self._answered_at = 0.0

    def call(self, function: Callable[A, T], *args: A.args, **options: A.kwargs) -> Callable[[], T]:
        """The call of `function`, for a thread: from now until it has ended the loop gives way to it."""
        it = object()
        self._left = min(self._left, IN_ALL) + FOR_EACH if self._under_way else FOR_EACH
        self._under_way.add(it)
        return partial(self._run, it, partial(function, *args, **options))

    def _run(self, it: object, function: Callable[[], T]) -> T:
        try:
            return function()
        finally:
            self._under_way.discard(it)
            self._ended.set()

    def give_way(self) -> None:
        """Stand still for a moment where calls are under way; for the thread of the event loop, after an answer."""
        if not self._under_way or self._left <= 0.0:
            return
        before, began = self._answered_at, self._clock()
        self._answered_at = began
        if began - before > BUSY or began < self._not_before:
            return
        self._ended.clear()
        if self._under_way:
            self._ended.wait(min(AT_ONCE, self._left))
        took = (now := self._clock()) - began
        self._left -= took
        self._answered_at = now
        self._not_before = now + took


requests: Final = GivingWay()
"""The calls that requests wait for."""
