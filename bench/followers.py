"""What live followers cost everybody else: requests answered a second while 2 and while 200 follow, by turns.

`python -m bench.followers` starts a server of its own on SQLite, publishes at a steady rate from another process, lets
followers read in a third, and asks for single events over four connections. The ratio of both is printed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from statistics import median

FEW, MANY = 2, 200
RATE = 200
"""Events published a second."""
SECONDS = 3.0
TURNS = 3
CONNECTIONS = 4

_PUBLISHER = """
import asyncio, sys, time
from brain import Event, EventStream

async def main():
    async with EventStream.open(sys.argv[1]) as stream:
        number, begun = 0, time.monotonic()
        while True:
            while number < (time.monotonic() - begun) * float(sys.argv[2]):
                payload = {"agent_id": f"agent-{number % 50}", "number": number, "text": "x" * 200}
                stream.publish(Event(type="test.happened", source="test_service", payload=payload))
                number += 1
            await asyncio.sleep(0.005)

asyncio.run(main())
"""

_FOLLOWERS = """
import asyncio, sys

async def follow(port, ready):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /api/events/live HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n")
    await reader.readuntil(b"\\r\\n\\r\\n")
    ready.release()
    while await reader.read(1 << 16):
        pass

async def main():
    ready = asyncio.Semaphore(0)
    tasks = [asyncio.create_task(follow(int(sys.argv[1]), ready)) for _ in range(int(sys.argv[2]))]
    for _ in tasks:
        await ready.acquire()
    print("ready", flush=True)
    await asyncio.gather(*tasks)

asyncio.run(main())
"""


def free_port() -> int:
    """A port of this machine that nobody has."""
    with contextlib.closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@contextlib.contextmanager
def process(*command: str | Path, **more: object) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is killed at the end."""
    started = subprocess.Popen(command, **more)  # type: ignore[call-overload]
    try:
        yield started
    finally:
        started.kill()
        started.wait()


async def _ask(port: int, until: float) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    done = 0
    while time.monotonic() < until:
        writer.write(b"GET /api/events?limit=1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
        await reader.readexactly(int(length.partition(b":")[2]))
        done += 1
    writer.close()
    return done


@contextlib.asynccontextmanager
async def _server(folder: Path) -> AsyncIterator[tuple[int, str]]:
    port, url = free_port(), f"sqlite:///{folder / 'brain.db'}"
    environment = {**os.environ, "BRAIN_LIVE_LIMIT": "1000", "BRAIN_CONSUMERS": ",", "BRAIN_LOG_LEVEL": "error"}
    command = (Path(sys.executable).with_name("brain"), "serve", "--stream", url, "--port", str(port))
    with process(*command, cwd=folder, env=environment, stdout=subprocess.DEVNULL):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                break
            except OSError:
                await asyncio.sleep(0.05)
        writer.close()
        with process(sys.executable, "-c", _PUBLISHER, url, str(RATE)):
            yield port, url


async def measure(port: int, followers: int) -> float:
    """Requests answered a second while so many follow."""
    with process(sys.executable, "-c", _FOLLOWERS, str(port), str(followers), stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert await asyncio.to_thread(running.stdout.readline) == b"ready\n"
        end = time.monotonic() + SECONDS
        return sum(await asyncio.gather(*(_ask(port, end) for _ in range(CONNECTIONS)))) / SECONDS


async def run(turns: int = TURNS) -> list[tuple[float, float]]:
    """Requests a second beside few and beside many followers, turn by turn."""
    with tempfile.TemporaryDirectory() as folder:
        async with _server(Path(folder)) as (port, _):
            return [(await measure(port, FEW), await measure(port, MANY)) for _ in range(turns)]


def line(found: list[tuple[float, float]]) -> str:
    """The result in one line."""
    few, many = median(one[0] for one in found), median(one[1] for one in found)
    rounds = ", ".join(f"{a:.0f}:{b:.0f}" for a, b in found)
    return (
        f"requests/s beside {FEW} live followers {few:.0f}, beside {MANY} {many:.0f}: {few / many:.2f} times [{rounds}]"
    )


if __name__ == "__main__":
    sys.stdout.write(line(asyncio.run(run())) + "\n")
