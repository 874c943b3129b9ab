"""A thread that keeps an engine equal to the shared store, and ends in time what is for a time."""

from __future__ import annotations

import threading
import weakref
from typing import Protocol

from brain.errors import BrainError
from brain.logs import Log

log = Log("brain.policy")


class Ticking(Protocol):
    """What a follower keeps up to date."""

    def tick(self) -> None:
        """Do what is due. Raises BrainError when that cannot be done now."""


class Follower:
    """Calls `engine.tick()` every `interval` seconds until stopped, or until the engine is gone.

    A store that does not answer is logged once, counted in `failures`, and asked again; decisions go on meanwhile.
    """

    def __init__(self, engine: Ticking, interval: float) -> None:
        self.failures = 0
        self._stopped = threading.Event()
        arguments = (weakref.ref(engine), interval)
        self._thread = threading.Thread(target=self._run, args=arguments, name="policy-follower", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread, and wait for it."""
        self._stopped.set()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self, engine: weakref.ref[Ticking], interval: float) -> None:
        away = False
        while not self._stopped.wait(interval):
            alive = engine()
            if alive is None:
                return
            try:
                alive.tick()
            except BrainError as error:
                self.failures += 1
                if not away:
                    log.error("rules not refreshed, deciding by the last known", error=str(error))
                away = True
            else:
                if away:
                    log.info("rules are refreshed again", failures=self.failures)
                away = False
            del alive
