"""Waiting for a condition, with a deadline that a loaded machine keeps."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

DEADLINE = 60.0
"""Seconds; a condition that holds is seen within milliseconds, so only a failing test waits for so long."""
EVERY = 0.01
"""Seconds between two looks, at least."""
REST = 4.0
"""How many times as long as a look took is waited after it, up to MOST: a look over HTTP must not be what keeps the
machine from doing what is waited for."""
MOST = 0.1


async def until(condition: Callable[[], bool | Awaitable[bool]], seconds: float = DEADLINE) -> None:
    """Look every 10 ms until the condition holds, and less often when looking takes time. Raises TimeoutError after
    `seconds`."""
    async with asyncio.timeout(seconds):
        while True:
            began = time.monotonic()
            result = condition()
            if result if isinstance(result, bool) else await result:
                return
            await asyncio.sleep(_pause(began, EVERY))


def wait_until(condition: Callable[[], bool], seconds: float = DEADLINE, every: float = EVERY) -> None:
    """The same for code without an event loop. Raises TimeoutError after `seconds`."""
    deadline = time.monotonic() + seconds
    began = time.monotonic()
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{condition} did not hold within {seconds} s")
        time.sleep(_pause(began, every))
        began = time.monotonic()


def _pause(began: float, least: float) -> float:
    return max(least, min(MOST, REST * (time.monotonic() - began)))
