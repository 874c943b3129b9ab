"""Clients that ask too much of a server, in a process of their own: they take nothing of the one that measures."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import Pipe
from multiprocessing.connection import Connection

from support.processes import spawn

BODY = b'{"agent_id": "a1", "action": "read"}'


def request(key: str, path: str = "/api/policy/evaluate", body: bytes = BODY) -> bytes:
    """A whole request as bytes: a decision, or with an empty body a GET."""
    method = "POST" if body else "GET"
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n"
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


class Loud:
    """Those clients, while they run."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def counts(self) -> tuple[Counter[int], Counter[int]]:
        """The statuses answered so far: of decisions, and of searches."""
        self._pipe.send(True)
        found: tuple[Counter[int], Counter[int]] = self._pipe.recv()
        return found


@contextmanager
def loud(port: int, keys: Sequence[str], per_second: float, searches: int) -> Iterator[Loud]:
    """For each key a client that asks so many decisions a second, answered or not; and so many that search."""
    ours, theirs = Pipe()
    process = spawn(_run, theirs, port, keys, per_second, searches)
    theirs.close()
    try:
        yield Loud(ours)
    finally:
        ours.close()
        process.join(10)


def _run(pipe: Connection, port: int, keys: Sequence[str], per_second: float, searches: int) -> None:
    asyncio.run(_clients(pipe, port, keys, per_second, searches))


async def _clients(pipe: Connection, port: int, keys: Sequence[str], per_second: float, searches: int) -> None:
    decided, searched = Counter[int](), Counter[int]()
    one = request(keys[0], "/api/audit/entries?text=nowhere", b"")
    tasks = [asyncio.create_task(_ask_at(port, request(key), per_second, decided)) for key in keys]
    tasks += [asyncio.create_task(_search(port, one, searched)) for _ in range(searches)]
    try:
        while await asyncio.to_thread(pipe.recv):
            pipe.send((decided, searched))
    except EOFError:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _ask_at(port: int, data: bytes, per_second: float, statuses: Counter[int]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def ask() -> None:
        while True:
            writer.write(data)
            await writer.drain()
            await asyncio.sleep(1 / per_second)

    async with asyncio.TaskGroup() as group:
        group.create_task(ask())
        while True:
            statuses[await _answered(reader)] += 1


async def _search(port: int, data: bytes, statuses: Counter[int]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 24)
    while True:
        writer.write(data)
        statuses[await _answered(reader)] += 1
        await asyncio.sleep(0.5)


async def _answered(reader: asyncio.StreamReader) -> int:
    """The status of one answer, which is read whole."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    await reader.readexactly(length)
    return int(head[9:12])
