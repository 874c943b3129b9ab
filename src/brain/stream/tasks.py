"""Tasks that must not end: one that ends all the same is started again, counted, logged, and shows for a while."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

from brain.logs import Log
from brain.stream.retry import Backoff

log: Log = Log("brain.tasks")

SHOWN_SECONDS = 60.0
"""How long an end shows in `trouble`; a task that has run for so long is well again."""

_FIRST_DELAY, _LAST_DELAY = 0.05, 5.0  # seconds before it is started again


class RestartingTask:
    """Work that runs until `run` is cancelled, in a task of its own named `name`."""

    def __init__(
        self, name: str, work: Callable[[], Coroutine[Any, Any, None]], is_over: Callable[[], bool] = lambda: False
    ) -> None:
        self.ends: int = 0
        self._name = name
        self._work = work
        self._is_over = is_over
        self._ended_by = ""
        self._ended_at = 0.0

    async def run(self) -> None:
        """Start it again whenever it ends. Once `is_over` says so an end is final: returns, or raises its error."""
        backoff = Backoff(_FIRST_DELAY, _LAST_DELAY)
        while True:
            began = time.monotonic()
            task = asyncio.create_task(self._carry_out(), name=self._name)
            try:
                await asyncio.wait({task})
            finally:
                if not task.done():
                    task.cancel()
                    await asyncio.wait({task})
            if self._is_over():
                return task.result()
            if time.monotonic() - began > SHOWN_SECONDS:
                backoff.reset()
            self._note_end(asyncio.CancelledError() if task.cancelled() else task.exception())
            await asyncio.sleep(backoff.next_delay())

    async def _carry_out(self) -> None:
        """The work; work that cannot be awaited ends its task, as any other fault of it does."""
        await self._work()

    def _note_end(self, error: BaseException | None) -> None:
        self.ends += 1
        self._ended_by = type(error).__name__ if error is not None else "returning"
        self._ended_at = time.monotonic()
        log.error("a task ended; starting it again", task=self._name, count=self.ends, error=repr(error), raised=error)

    def trouble(self) -> str:
        """A sentence about an end in the last minute; "" when there was none."""
        if not self._ended_by or time.monotonic() - self._ended_at > SHOWN_SECONDS:
            return ""
        return f"{self._name}: its task ended by {self._ended_by} and was started again; see the log"
