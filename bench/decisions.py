"""What rules and decisions of ours cost: memory of 100,000 rules, a decision beside one at ten, one with its event.

`python -m bench.decisions` prints each of TURNS rounds, every figure from a process of its own; no peers are needed.
It uses only names that every version of this package has, so that `python -m bench --against REV decisions` runs it.
"""

from __future__ import annotations

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
from pathlib import Path
from typing import Any

from bench.policy_peers import our_rules
from bench.policy_workload import workload

MANY, FEW, JOURNALLED = 100_000, 10, 10_000
TURNS = 3
_BURST, _BURSTS, _PASSES = 2_000, 5, 100


def main() -> None:
    """Print a line for each figure."""
    found: dict[str, list[float]] = {}
    for _ in range(TURNS):
        for name in _MEASURES:
            command = [sys.executable, "-W", "ignore", "-m", "bench.decisions", name]
            answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            for what, value in json.loads(answer).items():
                found.setdefault(what, []).append(value)
    for what, values in found.items():
        rounds = " ".join(f"{value:.2f}" for value in values)
        print(f"{what:<44} {statistics.median(values):8.2f} [{rounds}]", flush=True)


def _engine(count: int, stream: Any = None) -> Any:
    from brain import PolicyEngine

    engine = PolicyEngine(event_stream=stream)
    engine.import_rules(our_rules(workload(count).rules))
    return engine


def memory() -> dict[str, float]:
    """RSS that the rules take, the Rule objects too."""
    _engine(1)  # so that what is imported is not counted as memory of the rules
    rules = workload(MANY).rules
    gc.collect()
    before = _resident()
    kept = _engine_of(rules)
    gc.collect()
    taken = (_resident() - before) / 1e6
    del kept
    return {f"memory of {MANY:,} rules, MB": taken}


def _engine_of(rules: Sequence[Any]) -> Any:
    from brain import PolicyEngine

    engine = PolicyEngine()
    engine.import_rules(our_rules(rules))
    return engine


def flat() -> dict[str, float]:
    """A decision at MANY rules against one at FEW, by turns in one process, by medians."""
    asked = {count: workload(count).contexts for count in (FEW, MANY)}
    decide = {count: _engine(count).evaluate for count in asked}
    taken: dict[int, list[float]] = {count: [] for count in asked}
    for _ in range(_PASSES):
        for count, contexts in asked.items():
            began = time.perf_counter()
            for context in contexts:
                decide[count](context)
            taken[count].append((time.perf_counter() - began) * 1e6 / len(contexts))
    few, many = (statistics.median(taken[count]) for count in (FEW, MANY))
    return {f"a decision at {FEW} rules, us": few, f"at {MANY:,} rules against that, times": many / few}


def journalled() -> dict[str, float]:
    """The median call with its event in the journal of a stream on SQLite, which stores them meanwhile."""
    return asyncio.run(_journalled())


async def _journalled() -> dict[str, float]:
    from brain import EventStream

    given = workload(JOURNALLED)
    allowed = [one for one, answer in zip(given.contexts, given.expected, strict=True) if answer]
    taken: list[int] = []
    with tempfile.TemporaryDirectory() as folder:
        opened = EventStream.open(f"sqlite:///{folder}/bench.db")
        async with await opened if asyncio.iscoroutine(opened) else opened as stream:
            engine = _engine(JOURNALLED, stream)
            await _stored(stream)
            for _ in range(_BURSTS):
                for step in range(_BURST):
                    began = time.perf_counter_ns()
                    engine.evaluate(allowed[step % len(allowed)])
                    taken.append(time.perf_counter_ns() - began)
                await _stored(stream)
    return {f"a journalled decision at {JOURNALLED:,} rules, us": statistics.median(taken) / 1000}


async def _stored(stream: Any) -> None:
    while stream.stats()["backlog"]:  # noqa: ASYNC110  (the stream has no event for it)
        await asyncio.sleep(0.01)


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


_MEASURES = {"memory": memory, "flat": flat, "journalled": journalled}

if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(_MEASURES[sys.argv[1]]()))
    else:
        main()
