"""Who follows samples live: each has a bounded queue, and is given the number of samples that it was too slow for."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from brain.telemetry.samples import Sample

QUEUED = 10_000
"""Most samples that wait for one follower."""
FOLLOWERS = 50
"""Most followers of one server."""
_SEND_SECONDS = 10.0
_AT_ONCE = 500


class Followers:
    """Hands on the samples that this server stored."""

    def __init__(self) -> None:
        self.dropped: int = 0
        """Samples that followers were too slow for."""
        self._all: set[_Follower] = set()

    def __len__(self) -> int:
        return len(self._all)

    def hand_on(self, source: str, samples: Sequence[Sample]) -> None:
        """These samples of a source were stored."""
        for follower in self._all:
            if fnmatchcase(source, follower.pattern):
                self.dropped += follower.add(source, samples)

    async def serve(self, websocket: WebSocket, pattern: str) -> None:
        """The whole life of a follower's connection."""
        await websocket.accept()
        if len(self._all) >= FOLLOWERS:
            await websocket.close(1013, f"there are {FOLLOWERS} followers already")
            return
        follower = _Follower(pattern)
        self._all.add(follower)
        sending = asyncio.create_task(self._send(websocket, follower), name="telemetry follower")
        gone = asyncio.create_task(_until_gone(websocket), name="telemetry follower")
        try:
            await asyncio.wait({sending, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._all.discard(follower)
            for task in (sending, gone):
                task.cancel()
            await asyncio.gather(sending, gone, return_exceptions=True)

    async def _send(self, websocket: WebSocket, follower: _Follower) -> None:
        with suppress(WebSocketDisconnect, RuntimeError, TimeoutError):
            async for lines in follower.batches():
                async with asyncio.timeout(_SEND_SECONDS):
                    await websocket.send_text(lines)


class _Follower:
    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self._waiting: deque[tuple[str, Sample]] = deque()
        self._dropped = 0
        self._news = asyncio.Event()

    def add(self, source: str, samples: Sequence[Sample]) -> int:
        """Keep them for the next batch; how many found no room."""
        room = max(0, QUEUED - len(self._waiting))
        self._waiting += ((source, sample) for sample in samples[:room])
        dropped = max(0, len(samples) - room)
        self._dropped += dropped
        self._news.set()
        return dropped

    async def batches(self) -> AsyncIterator[str]:
        while True:
            await self._news.wait()
            self._news.clear()
            while self._waiting or self._dropped:
                dropped, self._dropped = self._dropped, 0
                count = min(_AT_ONCE, len(self._waiting))
                lines = [_line(*self._waiting.popleft()) for _ in range(count)]
                yield "\n".join([f'{{"dropped":{dropped}}}', *lines] if dropped else lines)


def _line(source: str, sample: Sample) -> str:
    return msgspec.json.encode({"source": source, "seq": sample.seq, "t": sample.t, "values": sample.values}).decode()


async def _until_gone(websocket: WebSocket) -> None:
    while (await websocket.receive())["type"] != "websocket.disconnect":
        pass
