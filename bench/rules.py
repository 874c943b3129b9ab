"""Many rules in a store: how long an import takes, a start, and until another process sees one rule change.

`python -m bench.rules [--rules 50000] [--store sqlite|redis] [--json]`. To measure another checkout of this package by
the same script, put its `src` first: `PYTHONPATH=/path/to/other/src python -m bench.rules`.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import multiprocessing
import statistics
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from bench.places import place
from bench.policy_peers import our_rules
from bench.policy_workload import workload

RULES = 50_000
CHANGES = 15


def run(rules: int = RULES, stores: tuple[str, ...] = ("sqlite", "redis")) -> list[dict[str, Any]]:
    """One row for each store."""
    rows = []
    for kind in stores:
        with tempfile.TemporaryDirectory() as folder, place(kind, Path(folder)) as url:
            row = asyncio.run(_measured(url, Path(folder), rules))
        rows.append({"bench": "rules", "store": kind, "rules": rules, **row})
    return rows


async def _measured(url: str, folder: Path, count: int) -> dict[str, Any]:
    from brain import EventStream
    from brain.policy import PolicyEngine
    from brain.store import open_store

    rules = our_rules(workload(count).rules)
    store = open_store(url)
    async with EventStream.open(url, journal=folder / "journal") as stream:
        with PolicyEngine(stream, store=store, follow_interval=None) as engine:
            gc.collect()
            started, busy = time.perf_counter(), time.process_time()
            await asyncio.to_thread(engine.import_rules, rules)
            imported, busy = time.perf_counter() - started, time.process_time() - busy
        while stream.stats()["backlog"]:  # noqa: ASYNC110  (the stream has no event for it)
            await asyncio.sleep(0.05)
    seen = await asyncio.to_thread(_until_seen, url)
    starts = [_in_a_process(_start, url) for _ in range(3)]
    store.close()
    return {
        "import_s": imported,
        "import_cpu_s": busy,
        "start_s": statistics.median(wall for wall, _ in starts),
        "start_cpu_s": statistics.median(cpu for _, cpu in starts),
        "seen_ms": statistics.median(seen) * 1000,
        "seen_slowest_ms": max(seen) * 1000,
    }


def _start(url: str, pipe: Connection) -> None:
    from brain.policy import PolicyEngine
    from brain.store import open_store

    store = open_store(url)
    started, busy = time.perf_counter(), time.process_time()
    engine = PolicyEngine(store=store, follow_interval=None)
    pipe.send((time.perf_counter() - started, time.process_time() - busy))
    engine.close()


def _follow(url: str, pipe: Connection) -> None:
    """For each action received: decide until it is allowed, and send the time of the first decision that was."""
    from brain.policy import PolicyEngine
    from brain.store import open_store

    with PolicyEngine(store=open_store(url)) as engine:
        pipe.send(0.0)
        while (action := pipe.recv()) is not None:
            while not engine.evaluate({"action": action}).allowed:
                time.sleep(0.0005)
            pipe.send(time.monotonic())


def _until_seen(url: str) -> list[float]:
    """Seconds from the return of a change to the first decision of another process that goes by it."""
    from brain.policy import Condition, PolicyEngine, Rule
    from brain.store import open_store

    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_follow, args=(url, theirs))
    process.start()
    ours.recv()
    taken = []
    store = open_store(url)
    with PolicyEngine(store=store, follow_interval=None) as engine:
        for number in range(CHANGES):
            action = f"bench-{number}"
            ours.send(action)
            time.sleep(0.1)
            engine.add_rule(Rule(id=action, name="n", effect="ALLOW", conditions=[Condition("action", "==", action)]))
            changed = time.monotonic()
            taken.append(max(0.0, ours.recv() - changed))
    ours.send(None)
    process.join()
    store.close()
    return taken


def _in_a_process(target: Any, url: str) -> tuple[float, float]:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=target, args=(url, theirs))
    process.start()
    found: tuple[float, float] = ours.recv()
    process.join()
    return found


def table(rows: list[dict[str, Any]]) -> str:
    """The rows for people."""
    return "\n".join(
        f"{row['rules']:>7,} rules on {row['store']:<6} import {row['import_s']:.2f} s ({row['import_cpu_s']:.2f} of "
        f"the processor), start {row['start_s']:.2f} s ({row['start_cpu_s']:.2f}), one change is seen after "
        f"{row['seen_ms']:.0f} ms (slowest {row['seen_slowest_ms']:.0f})"
        for row in rows
    )


def main() -> None:
    """Print the table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rules", type=int, default=RULES)
    arguments.add_argument("--store", choices=["sqlite", "redis"])
    arguments.add_argument("--json", action="store_true", help="print the rows as one JSON array")
    given = arguments.parse_args()
    rows = run(given.rules, (given.store,) if given.store else ("sqlite", "redis"))
    print(json.dumps(rows, indent=1) if given.json else table(rows))


if __name__ == "__main__":
    main()
