"""Waiting for a condition, with a deadline that a loaded machine keeps."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

DEADLINE = 30.0
"""Seconds; a condition that holds is seen within milliseconds, so only a failing test waits for so long."""


async def until(condition: Callable[[], bool | Awaitable[bool]], seconds: float = DEADLINE) -> None:
    """Look every 10 ms until the condition holds. Raises TimeoutError after `seconds`."""
    async with asyncio.timeout(seconds):
        while True:
            result = condition()
            if result if isinstance(result, bool) else await result:
                return
            await asyncio.sleep(0.01)
