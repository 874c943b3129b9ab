"""The stream on Redis beside NATS JetStream, by turns in one run.

    python -m bench.nats [EVENTS]

The peer is Debian's `nats-server` with file storage, asked by nats-py: `publish_async` with the acknowledgements
awaited 500 at a time, and a pull consumer that fetches 1,000 and acknowledges each. Ours publishes through its journal
and waits until the last event is stored; a group with a handler that does nothing reads it. Both carry the same bytes.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nats
from nats.js.api import StorageType

from bench import stream
from bench.followers import free_port
from bench.places import redis_server

EVENTS = 100_000
TURNS = 3
IN_FLIGHT = 500
FETCHED = 1_000


@contextmanager
def nats_server(folder: Path) -> Iterator[str]:
    """The URL of a server of the benchmark's own, with JetStream in `folder`."""
    binary = shutil.which("nats-server")
    assert binary, "the benchmark needs nats-server; install it (Debian: apt-get install nats-server)"
    port = free_port()
    command = [binary, "-a", "127.0.0.1", "-p", str(port), "-js", "-sd", str(folder)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(port)
        yield f"nats://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except ConnectionRefusedError:
            assert time.monotonic() < deadline, "nats-server did not start"
            time.sleep(0.05)


async def theirs(url: str, count: int) -> tuple[float, float]:
    """Events a second published, and consumed, on a new stream."""
    data = [event.encode() for event in stream.sample_events(IN_FLIGHT)]
    client = await nats.connect(url)
    jetstream = client.jetstream(publish_async_max_pending=2 * IN_FLIGHT)
    await jetstream.add_stream(name="bench", subjects=["bench"], storage=StorageType.FILE)
    started = time.perf_counter()
    for _ in range(count // IN_FLIGHT):
        for one in data:
            await jetstream.publish_async("bench", one)
        await jetstream.publish_async_completed()
    published = count / (time.perf_counter() - started)
    subscription = await jetstream.pull_subscribe("bench", "group")
    seen = 0
    started = time.perf_counter()
    while seen < count:
        for message in await subscription.fetch(FETCHED):
            await message.ack()
            seen += 1
    await client.flush()
    consumed = count / (time.perf_counter() - started)
    await jetstream.delete_stream("bench")
    await client.close()
    return published, consumed


def run(count: int) -> list[str]:
    """The two lines of the table."""
    found: list[tuple[tuple[float, float], tuple[float, float]]] = []
    with tempfile.TemporaryDirectory() as name, nats_server(Path(name) / "peer") as peer, redis_server() as url:
        for turn in range(TURNS):
            folder = Path(name) / str(turn)
            ours = asyncio.run(_ours(url, folder, count))
            found.append((ours, asyncio.run(theirs(peer, count))))
    return [
        _line(what, [(mine[n], other[n]) for mine, other in found]) for n, what in enumerate(("publish", "consume"))
    ]


async def _ours(url: str, folder: Path, count: int) -> tuple[float, float]:
    return await stream.sustained(url, count)(folder), await stream.consume(url, count)(folder)


def _line(what: str, turns: list[tuple[float, float]]) -> str:
    ours, peer = (" ".join(f"{one[n]:,.0f}" for one in turns) for n in (0, 1))
    ratios = [mine / other for mine, other in turns]
    spread = f"{min(ratios):.1f} to {max(ratios):.1f}"
    return f"{what:<8} [{ours}] /s; JetStream [{peer}]; {statistics.median(ratios):.1f} times ({spread})"


if __name__ == "__main__":
    print("\n".join(run(int(sys.argv[1]) if len(sys.argv) > 1 else EVENTS)))
