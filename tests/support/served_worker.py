"""A whole server in a process that is killed, whose hold on the keys of requests lasts only for a moment after that."""

from __future__ import annotations

import asyncio
from multiprocessing.connection import Connection

from brain.server import request_keys
from brain.server.running import running
from brain.settings import Settings

LEASE = 0.3


def serve(stream: str, ready: Connection) -> None:
    """Serve until killed; sends its URL once it answers."""
    request_keys.LEASE = LEASE
    asyncio.run(_serve(stream, ready))


async def _serve(stream: str, ready: Connection) -> None:
    async with running(Settings(stream=stream, port=0, consumers=("alerting", "incidents"))) as server:
        ready.send(server.url)
        await asyncio.Event().wait()
