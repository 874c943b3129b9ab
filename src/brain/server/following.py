"""What a server keeps in memory of the store, read again when it changes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from brain.errors import Unavailable
from brain.logs import Log

log: Log = Log("brain.server.keys")

LOOK_SECONDS = 1.0
"""How long a change may be unseen by this server."""


class Following:
    """Calls what reads it in a thread; while the store is away what is known goes on. `what` names it in the log."""

    def __init__(self, what: str, refresh: Callable[[], None]) -> None:
        self._what = what
        self._refresh = [refresh]
        self._looked = 0.0
        self._looking: asyncio.Lock | None = None

    def add(self, refresh: Callable[[], None]) -> None:
        """Call this, too, at each look: one call in a thread is for all."""
        self._refresh.append(refresh)

    async def look(self) -> None:
        """Refresh; those that wait meanwhile share the next look."""
        asked = time.monotonic()
        self._looking = self._looking or asyncio.Lock()
        async with self._looking:
            if self._looked > asked:
                return
            self._looked = time.monotonic()
            try:
                await asyncio.to_thread(self._read)
            except Unavailable as error:
                log.warning(f"the {self._what} cannot be read; those known last go on", error=str(error))

    def _read(self) -> None:
        for refresh in self._refresh:
            refresh()

    async def run(self) -> None:
        """Look once a second, until it is cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_SECONDS)
