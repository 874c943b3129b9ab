"""Waiting for a condition, with a deadline that a loaded machine keeps."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

DEADLINE = 60.0
"""Seconds; a condition that holds is seen within milliseconds, so only a failing test waits for so long."""
EVERY = 0.01
"""Seconds between two looks."""


async def until(condition: Callable[[], bool | Awaitable[bool]], seconds: float = DEADLINE) -> None:
    """Look every 10 ms until the condition holds. Raises TimeoutError after `seconds`."""
    async with asyncio.timeout(seconds):
        while True:
            result = condition()
            if result if isinstance(result, bool) else await result:
                return
            await asyncio.sleep(EVERY)


def wait_until(condition: Callable[[], bool], seconds: float = DEADLINE, every: float = EVERY) -> None:
    """The same for code without an event loop. Raises TimeoutError after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{condition} did not hold within {seconds} s")
        time.sleep(every)
