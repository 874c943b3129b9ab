"""A server under many that ask too much: another client's decisions stay quick."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from brain.access.repository import Keys
from brain.audit.open import open_projector
from brain.audit.settings import AuditSettings
from brain.kit.database import open_database
from brain.store import open_store
from support.audit import append, records
from support.server import ServeProcess
from support.waiting import wait_until

IDLE, LOUD, SEARCHES, ENTRIES = 1_000, 50, 20, 20_000
RATE = 1.0
"""Decisions a second that each may ask for; the loud ones ask for ten times as many."""
BODY = b'{"agent_id": "a1", "action": "read"}'


def request(key: str, path: str = "/api/policy/evaluate", body: bytes = BODY) -> bytes:
    method = "POST" if body else "GET"
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n"
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


async def answered(reader: asyncio.StreamReader) -> int:
    """The status of one answer, which is read whole."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    await reader.readexactly(length)
    return int(head[9:12])


async def ask_at(port: int, data: bytes, per_second: float, statuses: list[int]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while True:
        writer.write(data)
        statuses.append(await answered(reader))
        await asyncio.sleep(1 / per_second)


async def search(port: int, data: bytes, statuses: list[int]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 24)
    while True:
        writer.write(data)
        statuses.append(await answered(reader))
        await asyncio.sleep(0.5)


def p99(port: int, keys: list[str]) -> float:
    """Of one client that asks one decision after the other. Each key is good for ten at once, so it has many."""
    took = []
    with socket.create_connection(("127.0.0.1", port)) as connection, connection.makefile("rb") as answers:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for data in [request(key) for key in keys for _ in range(8)]:
            began = time.perf_counter()
            connection.sendall(data)
            status, length = answers.readline(), 0
            while (line := answers.readline()) != b"\r\n":
                length = int(line[15:]) if line.lower().startswith(b"content-length:") else length
            answer = answers.read(length)
            took.append(time.perf_counter() - began)
            assert status.startswith(b"HTTP/1.1 200"), answer
            time.sleep(0.005)
    return sorted(took)[len(took) * 99 // 100]


@contextmanager
def loud(port: int, keys: list[str], statuses: list[int], searched: list[int]) -> Iterator[None]:
    """Many clients, in a thread of their own, until the block ends."""
    loop, stop = asyncio.new_event_loop(), threading.Event()

    async def run() -> None:
        tasks = [asyncio.create_task(ask_at(port, request(key), 10 * RATE, statuses)) for key in keys]
        one = request(keys[0], "/api/audit/entries?text=nowhere", b"")
        tasks += [asyncio.create_task(search(port, one, searched)) for _ in range(SEARCHES)]
        await asyncio.to_thread(stop.wait)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        loop.close()


@pytest.mark.long
@pytest.mark.alone
def test_decisions_of_one_client_stay_quick_beside_many_that_ask_too_much(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'brain.db'}")
    keys = Keys(store, None)
    loud_keys = [keys.new(f"loud-{number}", "operator").secret for number in range(LOUD)]
    quiet = [keys.new(f"quiet-{number}", "operator").secret for number in range(110)]
    database = open_database(f"sqlite:///{tmp_path / 'brain-consumers.db'}")
    append(database, open_projector(database, AuditSettings()), records(0, ENTRIES))
    database.dispose()
    (tmp_path / "brain.toml").write_text(f"[access]\ndecisions_rate = {RATE}\nheader_seconds = 60\n")
    with ServeProcess(tmp_path, environment={"BRAIN_CONSUMERS": ","}) as server, ExitStack() as open_:
        p99(server.port, quiet[:10])
        alone = p99(server.port, quiet[10:60])
        for _ in range(IDLE):
            open_.enter_context(socket.create_connection(("127.0.0.1", server.port)))
        statuses: list[int] = []
        searched: list[int] = []
        with loud(server.port, loud_keys, statuses, searched):
            wait_until(lambda: statuses.count(429) > LOUD and len(searched) > SEARCHES)
            beside = p99(server.port, quiet[60:])
        late = statuses.count(429) / len(statuses)
        print(f"p99 alone {alone * 1e3:.2f} ms, beside the others {beside * 1e3:.2f} ms; {late:.0%} of theirs were 429")
        assert late > 0.5
        assert set(searched) <= {200, 429}
        assert beside < 2 * alone
