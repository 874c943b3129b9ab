"""How long an event is on its way from `publish()` to a handler in an idle system: in one process and between two.

`python -m bench.latency` prints for SQLite and Redis the median, the 99th percentile and the longest of COUNT events,
one every GAP seconds, of each of ROUNDS rounds; `python -m bench --against REV latency` does so
by turns with another commit.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.places import place
from brain import Event, EventStream

COUNT = 600
ROUNDS = 3
GAP = 0.01
FIRST = 20
"""The first ones count for nothing: threads and connections are made by them."""


def main() -> None:
    """Print one line for each way."""
    for kind in ("sqlite", "redis"):
        for way, measured in (("in one process", _in_one), ("between two", _between_two)):
            rounds = []
            for _ in range(ROUNDS):
                with tempfile.TemporaryDirectory() as folder, place(kind, Path(folder)) as url:
                    os.chdir(folder)
                    rounds.append(asyncio.run(measured(url)))
                    os.chdir("/")
            print(line(f"{kind}, {way}", rounds), flush=True)
    print(f"load of the machine at the end: {os.getloadavg()[0]:.1f}, with {os.cpu_count()} cores")


def line(what: str, rounds: list[list[float]]) -> str:
    """The figures as text."""
    found = [sorted(value * 1000 for value in seconds[FIRST:]) for seconds in rounds]
    p50, p99 = (" ".join(f"{one[len(one) * part // 100]:.2f}" for one in found) for part in (50, 99))
    longest = " ".join(f"{one[-1]:.1f}" for one in found)
    return f"publish to handler, {what:<24} median [{p50}]  p99 [{p99}]  longest [{longest}]  ms"


async def _in_one(url: str) -> list[float]:
    async with EventStream.open(url) as stream:
        return await _measured(stream, lambda: publish_one(stream))


async def _between_two(url: str) -> list[float]:
    publisher = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.latency", url, cwd=Path(__file__).parents[1], stdin=subprocess.PIPE
    )
    assert publisher.stdin is not None
    try:
        async with EventStream.open(url) as stream:

            def ask() -> None:
                assert publisher.stdin is not None
                publisher.stdin.write(b"\n")

            return await _measured(stream, ask)
    finally:
        publisher.stdin.close()
        await publisher.wait()


async def _measured(stream: EventStream, publish: Callable[[], None]) -> list[float]:
    taken: list[float] = []
    arrived = asyncio.Event()

    async def handler(event: Event) -> None:
        taken.append(time.time() - float(event.payload["at"]))
        arrived.set()

    stream.consumer("bench", "*", handler)
    running = asyncio.create_task(stream.run_consumers())
    await asyncio.sleep(1)
    for _ in range(COUNT + FIRST):
        await asyncio.sleep(GAP)
        arrived.clear()
        publish()
        await arrived.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return taken


def publish_one(stream: EventStream) -> None:
    """Publish an event that says when."""
    stream.publish(Event(type="test.happened", source="test_service", payload={"at": time.time()}))


def publish_when_asked(url: str) -> None:
    """The other process: an event for each line of standard input."""
    with EventStream.open_sync(url) as stream:
        for _ in sys.stdin:
            publish_one(stream)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        publish_when_asked(sys.argv[1])
    else:
        main()
