"""Streams that misbehave, to show that a module's own work goes on."""

from __future__ import annotations

import asyncio

from brain.charter import Event


class RaisingStream:
    """Raises at every publish."""

    def publish(self, event: Event) -> object:
        raise ConnectionError("the stream is down")


class HangingStream:
    """Its publish is a coroutine that never ends."""

    async def publish(self, event: Event) -> None:
        await asyncio.Event().wait()
