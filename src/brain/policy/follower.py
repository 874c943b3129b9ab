"""A thread that keeps an engine equal to the shared store, and ends in time what is for a time."""

from __future__ import annotations

import atexit
import threading
import time
import weakref
from collections.abc import Callable
from typing import Protocol

from brain.errors import BrainError
from brain.locks import InterruptibleLock
from brain.logs import Log
from brain.store import forking

log: Log = Log("brain.policy")

REMINDER = 60.0
"""Seconds after which a failure that goes on is logged once more."""


class Ticking(Protocol):
    """What a follower keeps up to date."""

    def tick(self) -> None:
        """Do what is due. Whatever it raises is logged and counted, and it is called again."""


class Follower(forking.Part):
    """Calls `engine.tick()` every `interval` seconds in a thread, from `start` to `stop`, or until the engine is gone.

    Nothing else ends it. What a tick raises is counted in `failures` and logged: when it begins, when it changes its
    kind, and every REMINDER seconds by the clock `monotonic`. A thread that dies all the same is replaced, counted in
    `restarts`. A forked child has a thread of its own.
    """

    level: forking.Level = forking.Level.SERVICE

    def __init__(self, engine: Ticking, interval: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.failures: int = 0
        self.restarts: int = 0
        self._engine = weakref.ref(engine)
        self._interval = interval
        self._monotonic = monotonic
        self._changing = InterruptibleLock()
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()
        self._failing = ""  # the kind of failure that goes on
        self._remind_at = 0.0
        forking.register(self)
        _followers.add(self)

    def start(self) -> None:
        """Tick from now on. Raises RuntimeError when there can be no more threads."""
        with self._changing:
            if self._thread is None:
                self._launch()

    def check(self) -> None:
        """Replace the thread if it has died."""
        with self._changing:
            if self._thread is not None and not self._thread.is_alive():
                self._replace()

    def stop(self) -> None:
        """End the thread, and wait for it: at most for one tick."""
        with self._changing:
            thread, self._thread = self._thread, None
            self._stopped.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def end(self) -> None:
        """End the thread without waiting for it, and let nothing start it again."""
        self._stopped.set()
        self._thread = None

    def after_fork_in_child(self) -> None:
        """Tick here too, if the parent does: threads are not carried over."""
        self._changing = InterruptibleLock()
        if self._thread is not None:
            self._launch()

    def _launch(self) -> None:
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(self._stopped,), name="policy-follower", daemon=True)
        self._thread.start()

    def _replace(self) -> None:
        self.restarts += 1
        try:
            self._launch()
        except RuntimeError as error:
            self._failed(error)

    def _run(self, stopped: threading.Event) -> None:
        try:
            self._tick_until(stopped)
        except BaseException as error:  # noqa: BLE001  (set off in this thread from outside; logged, counted)
            self._failed(error)
            with self._changing:
                if not stopped.is_set():
                    self._replace()

    def _tick_until(self, stopped: threading.Event) -> None:
        while not stopped.wait(self._interval):
            engine = self._engine()
            if engine is None:
                return
            try:
                engine.tick()
            except Exception as error:  # noqa: BLE001  (following never ends; logged, counted)
                if not stopped.is_set():
                    self._failed(error)
            else:
                self._succeeded()
            del engine

    def _failed(self, error: BaseException) -> None:
        self.failures += 1
        kind, now = type(error).__name__, self._monotonic()
        if kind == self._failing and now < self._remind_at:
            return
        self._failing, self._remind_at = kind, now + REMINDER
        write = log.error if isinstance(error, BrainError) else log.exception
        write("rules not followed, deciding by the last known", error=f"{kind}: {error}", failures=self.failures)

    def _succeeded(self) -> None:
        if self._failing:
            self._failing = ""
            log.info("rules are followed again", failures=self.failures)


_followers: weakref.WeakSet[Follower] = weakref.WeakSet()


def _end_all() -> None:
    """Before the interpreter takes itself apart, under the feet of threads that still run."""
    for follower in list(_followers):
        follower.end()


atexit.register(_end_all)
