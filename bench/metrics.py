"""Counting events, without metrics of one's own and with twenty, as `brain worker metrics` does it.

`python -m bench.metrics [EVENTS [ROUNDS]]` prints events a second and CPU seconds (user and system) for 1,000 events.
The events lie on a stream on SQLite; a projection counts them from the first to the last. They come in order, a
thousand a second, or spread over six minutes in no order at all, which is what late events cost at worst. Both ways of
counting take turns in processes of their own. Events and definitions are those of the tests: 300 agents, definitions
of every kind, with and without labels.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

EVENTS = 50_000
ROUNDS = 3
ORDERS = ("in order", "spread")
WAYS = ("none", "twenty")
_TESTS = Path(__file__).parents[1] / "tests"


def run(events: int = EVENTS, rounds: int = ROUNDS) -> list[dict[str, Any]]:
    """One row for each order of the events and each way of counting."""
    found: dict[tuple[str, str], list[dict[str, float]]] = {(order, way): [] for order in ORDERS for way in WAYS}
    for _ in range(rounds):
        for order, way in found:
            done = subprocess.run(
                [sys.executable, "-m", "bench.metrics", "--one", order, way, str(events)],
                capture_output=True,
                text=True,
                check=True,
                env={**os.environ, "PYTHONPATH": str(_TESTS)},
            )
            found[order, way].append(json.loads(done.stdout.splitlines()[-1]))
    rows = []
    for (order, way), answers in found.items():
        plain = found[order, WAYS[0]]
        ratios = [mine["cpu"] / theirs["cpu"] for mine, theirs in zip(answers, plain, strict=True)]
        rates, cpu = ([answer[name] for answer in answers] for name in ("rate", "cpu"))
        rows.append({"order": order, "way": way, "rates": rates, "cpu": cpu, "ratio": statistics.median(ratios)})
    return rows


def line(row: dict[str, Any]) -> str:
    """A row as text."""
    rates = " ".join(f"{rate:,.0f}" for rate in row["rates"])
    return (
        f"{row['order']:<9} {row['way']:<7} [{rates}] events/s; {statistics.median(row['cpu']):.3f} CPU s for 1,000; "
        f"{row['ratio']:.2f} times the CPU of none"
    )


def main() -> None:
    """Print the table, or measure one way."""
    if sys.argv[1:2] == ["--one"]:
        order, way, events = sys.argv[2:5]
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(asyncio.run(_count(Path(folder), order, way, int(events)))))
        return
    for row in run(*map(int, sys.argv[1:3])):
        print(line(row), flush=True)


def _traffic(order: str, count: int) -> Sequence[Any]:
    from brain import Event
    from support.metrics_traffic import START, Traffic

    events = Traffic(1, agents=300, hours=0.1).events(count)
    if order == "spread":
        return events
    return [Event(**{**one.to_dict(), "timestamp": START + place / 1000}) for place, one in enumerate(events)]


async def _count(folder: Path, order: str, way: str, count: int) -> dict[str, float]:
    from brain import EventStream
    from brain.kit.context import plugin_context
    from brain.kit.projection import Projection
    from brain.metrics.projector import EventCounter
    from brain.metrics.schema import make_tables
    from brain.settings import Settings
    from brain.store import open_store
    from support.metrics_defined import TWENTY, defined

    url = f"sqlite:///{folder}/brain.db"
    async with EventStream.open(url) as stream:
        with closing(open_store("memory://")) as store, plugin_context(stream, store, Settings(stream=url)) as context:
            make_tables(context.database)
            if way == "twenty":
                defined(context.database, TWENTY)
            for event in _traffic(order, count):
                receipt = stream.publish(event)
            await receipt
            done, loop = asyncio.Event(), asyncio.get_running_loop()

            def committed() -> None:
                if counter.applied >= count:
                    loop.call_soon_threadsafe(done.set)

            counter = Projection(context, "bench", EventCounter().apply, committed=committed)
            counter.batches_behind = 8
            started, cpu = time.perf_counter(), time.process_time()
            running = asyncio.create_task(counter.run())
            await done.wait()
            taken, cpu = time.perf_counter() - started, time.process_time() - cpu
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
    return {"rate": count / taken, "cpu": cpu / count * 1000}


if __name__ == "__main__":
    main()
