"""Costly searches: each sender has a few at the same time, and the rest of them wait their turn."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

AT_ONCE = max(1, min(4, (os.cpu_count() or 2) - 1))
"""A processor is left for all else: searches take what there is."""
REST = 0.1
"""Where a sender's searches wait for each other, the next one begins as long after the end of one as that took, at most
so many seconds later: a processor that searches without a pause is missing where decisions come in bursts."""
WAITING = 32
"""How many more may wait; beyond that they are refused."""
_PATHS = frozenset(
    {
        "/api/events",
        "/api/audit/entries",
        "/api/audit/verify",
        "/api/detections/hits",
        "/api/metrics/series",
        "/api/policy/findings",
        "/api/policy/replay",
    }
)


class Costly:
    """The searches under way, by who asked."""

    def __init__(self) -> None:
        self._turns: dict[str, _Turns] = {}

    def is_costly(self, path: str) -> bool:
        """Whether requests for the path are such searches."""
        return path in _PATHS

    def has_room(self, name: str) -> bool:
        """Whether one more of this sender may wait."""
        turns = self._turns.get(name)
        return turns is None or turns.count < AT_ONCE + WAITING

    @asynccontextmanager
    async def turn(self, name: str) -> AsyncIterator[None]:
        """Waits until it is this search's turn, and holds it inside the block."""
        turns = self._turns.setdefault(name, _Turns())
        turns.count += 1
        loop = asyncio.get_running_loop()
        try:
            await turns.at_once.acquire()
            began = loop.time()
            try:
                yield
            finally:
                rest = min(loop.time() - began, REST) if turns.count > AT_ONCE else 0.0
                loop.call_later(rest, turns.at_once.release)
        finally:
            turns.count -= 1
            if turns.count == 0:
                self._turns.pop(name, None)


class _Turns:
    def __init__(self) -> None:
        self.count = 0
        self.at_once = asyncio.Semaphore(AT_ONCE)
