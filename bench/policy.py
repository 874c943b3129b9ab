"""Policy decisions a second: ours against the peers, on the same rules and contexts; and what a decision costs here.

`python -m bench.policy` prints the table; `run()` gives its rows. Each figure comes from a process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import psutil

from bench.policy_peers import PEERS, Peer, our_rules
from bench.policy_workload import Workload, workload

SIZES = (10, 100, 1_000, 10_000)
OURS_ALONE = 100_000
ROUNDS = 7
_ROUND_SECONDS = 0.25
_LEAST_CHECKED = 20
_TURNS = 300


def run(sizes: Sequence[int] = SIZES, peers: Sequence[str] = tuple(PEERS)) -> list[dict[str, Any]]:
    """One row for each engine and number of rules, then the costs of one decision of ours.

    Raises AssertionError when any engine answers a context otherwise than the rules say.
    """
    rows = []
    for count in sizes:
        found = [_measured("peer", peer, count) for peer in peers]
        ours = next(row["per_second"] for row in found if row["engine"] == "brain")
        others = [row["per_second"] for row in found if row["engine"] != "brain"]
        for row in found:
            row["times"] = ours / row["per_second"]
            if row["engine"] == "brain" and others:
                row["times_the_fastest_peer"] = ours / max(others)
        rows += found
    rows.append(_measured("peer", "brain", OURS_ALONE))
    rows += [_measured("cost", "brain", count) for count in (*sizes, OURS_ALONE)]
    rows.append(_measured("flat", "brain", OURS_ALONE))
    rows.append(_measured("journalled", "brain", 10_000))
    return rows


def main() -> None:
    """Print the table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--json", action="store_true", help="print the rows as one JSON array")
    arguments.add_argument("--one", nargs=3, metavar=("KIND", "ENGINE", "RULES"), help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.one:
        kind, engine, count = given.one
        print(json.dumps(_MEASURES[kind](engine, int(count))))
        return
    rows = run()
    print(json.dumps(rows, indent=1) if given.json else table(rows))


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows for people."""
    lines = [
        f"{'rules':>7}  {'engine':<28}{'decisions/s':>13}  {'slowest - fastest round':<25}{'ours is':>10}{'memory':>10}"
    ]
    for row in rows:
        if row["kind"] == "peer":
            spread = f"{row['slowest']:,.0f} - {row['fastest']:,.0f}"
            times = f"{row['times']:,.1f} x" if row.get("times", 1.0) != 1.0 else ""
            lines.append(
                f"{row['rules']:>7,}  {row['engine']:<28}{row['per_second']:>13,.0f}  {spread:<25}{times:>10}"
                f"{row['memory_mb']:>7.1f} MB"
            )
            if "times_the_fastest_peer" in row:
                lines[-1] += f"  {row['times_the_fastest_peer']:.1f} x the fastest peer"
    lines.append("")
    lines += [
        f"one decision at {row['rules']:>7,} rules: median {row['median_us']:.2f} us, p99 {row['p99_us']:.2f} us"
        for row in rows
        if row["kind"] == "cost"
    ]
    for row in rows:
        if row["kind"] == "flat":
            lines.append(
                f"one decision at {row['rules']:,} rules takes {row['times']:.2f} times one at {SIZES[0]}: "
                f"{row['many_us']:.3f} and {row['few_us']:.3f} us, the fastest of {_TURNS} turns each in one process "
                f"({row['median_times']:.2f} times by their medians)"
            )
    for row in rows:
        if row["kind"] == "journalled":
            for kind, events in (("allowed", "one event"), ("denied", "two events")):
                burst, scattered = (row[f"{kind}_{name}_median_us"] for name in ("burst", "scattered"))
                lines.append(
                    f"with its journalled event at {row['rules']:,} rules, {kind}, {events}: median {burst:.2f} us, "
                    f"a few at a time {scattered:.2f} us"
                )
    return "\n".join(lines)


def _measured(kind: str, engine: str, count: int) -> dict[str, Any]:
    command = [sys.executable, "-W", "ignore", "-m", "bench.policy", "--one", kind, engine, str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, f"{engine} with {count} rules: {done.stderr[-2000:]}"
    row: dict[str, Any] = json.loads(done.stdout)
    return {"bench": "policy", "kind": kind, "engine": engine, "rules": count, **row}


def _peer(engine: str, count: int) -> dict[str, Any]:
    given = workload(count)
    PEERS[engine](workload(1).rules)  # so that what is imported is not counted as memory of the rules
    before = _memory()
    peer = PEERS[engine](given.rules)
    memory = _memory() - before
    requests = [peer.request(context) for context in given.contexts]
    size = _round_size(peer, requests)
    answers = peer.decide(requests[:size])
    assert answers == given.expected[:size], f"{engine} answers otherwise than the rules say"
    rates = []
    for _ in range(ROUNDS):
        passes = 0
        started = time.perf_counter()
        while (seconds := time.perf_counter() - started) < _ROUND_SECONDS:
            peer.decide(requests[:size])
            passes += 1
        rates.append(passes * size / seconds)
    return {
        "per_second": statistics.median(rates),
        "slowest": min(rates),
        "fastest": max(rates),
        "memory_mb": memory / 1e6,
        "checked": size,
    }


def _round_size(peer: Peer, requests: list[Any]) -> int:
    """All contexts, or as many of the first as a slow engine decides in about one round."""
    started = time.perf_counter()
    peer.decide(requests[:_LEAST_CHECKED])
    each = (time.perf_counter() - started) / _LEAST_CHECKED
    return max(_LEAST_CHECKED, min(len(requests), int(_ROUND_SECONDS / each)))


def _cost(engine: str, count: int) -> dict[str, Any]:
    """What the caller of `evaluate` waits, call by call, without a stream."""
    from brain.policy import PolicyEngine

    given = workload(count)
    engine_of_ours = PolicyEngine()
    engine_of_ours.import_rules(our_rules(given.rules))
    taken = []
    for _ in range(5):
        taken += _timed(engine_of_ours.evaluate, given.contexts)
    taken.sort()
    return {"median_us": taken[len(taken) // 2] / 1000, "p99_us": taken[len(taken) * 99 // 100] / 1000}


def _flat(engine: str, count: int) -> dict[str, Any]:
    """A decision at `count` rules against one at ten, by turns in one process, on as many contexts.

    What the rules take more of is room in the processor's caches, so whatever else runs here adds to the difference:
    the fastest turns say what is due to us.
    """
    sizes = (SIZES[0], count)
    given = {size: workload(size) for size in sizes}
    decide = {size: PEERS[engine](given[size].rules).decide for size in sizes}
    taken: dict[int, list[float]] = {size: [] for size in sizes}
    for _ in range(_TURNS):
        for size in sizes:
            started = time.perf_counter()
            decide[size](given[size].contexts)
            taken[size].append((time.perf_counter() - started) * 1e6 / len(given[size].contexts))
    few, many = (taken[size] for size in sizes)
    return {
        "few_us": min(few),
        "many_us": min(many),
        "times": min(many) / min(few),
        "median_times": statistics.median(many) / statistics.median(few),
    }


def _journalled(engine: str, count: int) -> dict[str, Any]:
    return asyncio.run(_journalled_cost(workload(count)))


async def _journalled_cost(given: Workload) -> dict[str, Any]:
    """The same with an event for each decision, journalled in a stream on SQLite, which ships them meanwhile.

    In bursts of 2,000, and a few at a time, when each few wake the shipper, which then wants the interpreter too.
    """
    from brain import EventStream
    from brain.policy import PolicyEngine

    by_answer = {
        kind: [one for one, allowed in zip(given.contexts, given.expected, strict=True) if allowed is wanted]
        for kind, wanted in (("allowed", True), ("denied", False))
    }
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        async with EventStream.open(f"sqlite:///{folder}/bench.db") as stream:
            quiet = PolicyEngine()
            quiet.import_rules(our_rules(given.rules))
            ours = PolicyEngine(stream)
            ours._snapshots.current = quiet._snapshots.current  # the rules without the events of their import
            for kind, asked in by_answer.items():
                for name, burst, turns in (("burst", 2_000, 5), ("scattered", 20, 200)):
                    taken: list[int] = []
                    for turn in range(turns):
                        taken += _timed(ours.evaluate, [asked[(turn + step) % len(asked)] for step in range(burst)])
                        await _shipped(stream) if burst > 20 else await asyncio.sleep(0.005)
                    taken.sort()
                    found[f"{kind}_{name}_median_us"] = taken[len(taken) // 2] / 1000
                    found[f"{kind}_{name}_p99_us"] = taken[len(taken) * 99 // 100] / 1000
            assert stream.stats()["refused"] == 0
    return found


async def _shipped(stream: Any) -> None:
    while stream.stats()["backlog"]:  # noqa: ASYNC110  (the stream has no event for it)
        await asyncio.sleep(0.01)


def _timed(evaluate: Any, contexts: Sequence[Any]) -> list[int]:
    """Nanoseconds of each call, less what reading the clock takes."""
    clock = time.perf_counter_ns
    idle = min(-(clock() - clock()) for _ in range(1000))
    taken = []
    for context in contexts:
        started = clock()
        evaluate(context)
        taken.append(clock() - started - idle)
    return taken


def _memory() -> int:
    gc.collect()
    return int(psutil.Process(os.getpid()).memory_info().rss)


_MEASURES = {"peer": _peer, "cost": _cost, "flat": _flat, "journalled": _journalled}

if __name__ == "__main__":
    main()
