"""Events for many live clients: read, decoded and encoded once for all that follow with the same filter."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from functools import cached_property

from brain.charter import Pattern
from brain.stream import EventStream, Stored
from brain.stream.backends import position_key
from brain.stream.query import Batch

SECONDS_EACH = 0.001
"""The time between two batches grows by this with each client, so that many clients leave time for other requests."""
LONGEST_PAUSE = 0.25
HELD = 16
"""Most batches that wait for one client; one that is slower reads on from the stream by itself, and loses nothing."""


def wire(stored: Stored) -> bytes:
    """A stored event as one server-sent event."""
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (
        stored.position.encode(),
        stored.event.type.encode(),
        stored.event.encode(),
    )


@dataclass(frozen=True)
class Chunk:
    """Some events in the order of the stream, and the position up to which it was read for them."""

    events: Sequence[Stored]
    position: str

    @cached_property
    def data(self) -> bytes:
        """All of them as server-sent events."""
        return b"".join(map(wire, self.events))

    def after(self, position: str) -> bytes:
        """Those that come after the position."""
        key = position_key(position)
        if not self.events or position_key(self.events[0].position) > key:
            return self.data
        return b"".join(wire(stored) for stored in self.events if position_key(stored.position) > key)


class _Client:
    """One client's place in a feed."""

    def __init__(self) -> None:
        self.waiting: deque[Chunk] = deque()
        self.news = asyncio.Event()
        self.behind = False

    def put(self, chunk: Chunk) -> None:
        if len(self.waiting) >= HELD:
            self.behind = True
            self.waiting.clear()
        if not self.behind:
            self.waiting.append(chunk)
        self.news.set()


class _Feed:
    """What matches one filter, for its clients; reads from the first client's coming to the last one's going."""

    def __init__(self, stream: EventStream, pattern: Pattern, position: str) -> None:
        self.clients: set[_Client] = set()
        self.position = position
        """All after it will be handed to the clients."""
        self._stream = stream
        self._pattern = pattern
        self.task = asyncio.create_task(self._read())
        self.task.add_done_callback(self._wake_all)

    def _wake_all(self, _: object) -> None:
        for client in self.clients:
            client.news.set()

    async def _read(self) -> None:
        async with aclosing(self._stream.live_batches(self._pattern, self.position)) as batches:
            async for batch in batches:
                self.position = batch.position
                if not batch.events:
                    continue
                chunk = Chunk(batch.events, batch.position)
                for client in self.clients:
                    client.put(chunk)
                await asyncio.sleep(min(LONGEST_PAUSE, SECONDS_EACH * len(self.clients)))


class Broadcast:
    """The feeds of one server, one for each filter that somebody follows."""

    def __init__(self, stream: EventStream) -> None:
        self._stream = stream
        self._feeds: dict[str, _Feed] = {}

    async def follow(self, pattern: Pattern, position: str, tail: str) -> AsyncGenerator[bytes, None]:
        """What is stored after the position and matches the pattern, as server-sent events; endless.

        `tail` is the newest position: from there on a new feed reads.
        """
        with self._joined(pattern, tail) as (feed, client):
            while True:
                client.behind = False
                if position_key(position) < position_key(feed.position):
                    async with aclosing(self._stream.live_batches(pattern, position)) as batches:
                        async for batch in batches:
                            position = batch.position
                            if batch.events:
                                yield _encoded(batch)
                            if position_key(position) >= position_key(feed.position):
                                break
                while not client.behind:
                    await _news(feed, client)
                    while client.waiting:
                        chunk = client.waiting.popleft()
                        if data := chunk.after(position):
                            yield data
                        position = max(position, chunk.position, key=position_key)

    @contextmanager
    def _joined(self, pattern: Pattern, tail: str) -> Iterator[tuple[_Feed, _Client]]:
        name = ",".join(sorted(pattern.texts))
        feed = self._feeds.get(name)
        if feed is None or feed.task.done():
            feed = self._feeds[name] = _Feed(self._stream, pattern, tail)
        client = _Client()
        feed.clients.add(client)
        try:
            yield feed, client
        finally:
            feed.clients.discard(client)
            if not feed.clients:
                feed.task.cancel()
                if self._feeds.get(name) is feed:
                    del self._feeds[name]


async def _news(feed: _Feed, client: _Client) -> None:
    """Wait until the client is handed something. Raises what ended the feed."""
    client.news.clear()
    if client.waiting or client.behind:
        return
    if not feed.task.done():
        await client.news.wait()
    if feed.task.done() and not client.waiting:
        feed.task.result()


def _encoded(batch: Batch) -> bytes:
    return Chunk(batch.events, batch.position).data
