"""Rules with usage: what a decision costs beside one without, by turns; and a cap over processes.

python -m bench.usage            # the cost: with a journal, and bare
python -m bench.usage hold       # 1,000 agents, a cap of 1,000 calls an hour, 4 processes
"""

from __future__ import annotations

import asyncio
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable
from statistics import median
from typing import Any

from brain import Condition, EventStream, PolicyEngine, Rule
from brain.kit.database import open_database
from brain.policy.metered import MeteredEngine
from brain.policy.usage import UsageMeter

CAP = 1_000
HOUR = 3_600 * 480_000.0
CONTEXT = {"agent_id": "a", "agent_role": "guest", "action": "read", "resource": "db", "environment": {}, "params": {}}


def _ruled(engine: PolicyEngine, cap: int | None) -> PolicyEngine:
    engine.add_rule(Rule(id="all", name="All", effect="ALLOW", conditions=[Condition("action", "==", "read")]))
    if cap is not None:
        over = [Condition("usage.calls.hour", ">", cap - 1)]
        engine.add_rule(Rule(id="cap", name="Cap", effect="DENY", priority=9, conditions=over))
    return engine


def _turn(evaluate: Callable[[Any], Any], calls: int, agents: int) -> float:
    contexts = [{**CONTEXT, "agent_id": f"a{n}"} for n in range(agents)]
    started = time.process_time()
    for n in range(calls):
        evaluate(contexts[n % agents])
    return (time.process_time() - started) / calls * 1e6


async def cost() -> None:
    """Print CPU microseconds of the process, all threads, for one decision: the mean of a turn, the median of turns."""
    with tempfile.TemporaryDirectory() as folder:
        for title, calls in (("journalled", 10_000), ("without a stream", 20_000)):
            async with await EventStream.open(f"sqlite:///{folder}/{calls}.db") as stream:
                given = stream if title == "journalled" else None
                engines = {
                    "the engine": _ruled(PolicyEngine(given), None),
                    "the engine, every call denied": PolicyEngine(given),
                    "metered, no usage condition": _ruled(_metered(folder, "n", given), None),
                    "usage, cap far": _ruled(_metered(folder, "f", given), 10_000_000),
                    "usage, cap of 1,000 an agent, all of it": _ruled(_metered(folder, f"c{calls}", given), CAP),
                }
                took: dict[str, list[float]] = {name: [] for name in engines}
                for _ in range(7):
                    for name, engine in engines.items():
                        took[name].append(_turn(engine.evaluate, calls, 20))
                        await asyncio.sleep(0)
                base = median(took["the engine"])
                for name, each in took.items():
                    print(
                        f"{title:17} {name:40} {median(each):7.2f} us {median(each) / base:5.2f}x",
                        f"first turn {each[0]:.2f}",
                        flush=True,
                    )


def _metered(folder: str, name: str, stream: EventStream | None) -> PolicyEngine:
    return MeteredEngine(UsageMeter(open_database(f"sqlite:///{folder}/usage-{name}.db")), stream)


def _worker(url: str, agents: int, tries: int, passed: Any) -> None:
    engine = _ruled(MeteredEngine(UsageMeter(open_database(url), clock=lambda: HOUR)), CAP)
    counts = [0] * agents
    for _ in range(tries):
        for agent in range(agents):
            counts[agent] += engine.evaluate({**CONTEXT, "agent_id": f"a{agent}"}).allowed
    passed.put(counts)


def hold(agents: int = 1_000, tries: int = 300) -> None:
    """Print how many calls pass of 4 processes' tries, for each agent."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        passed = context.Queue()
        url = f"sqlite:///{folder}/usage.db"
        workers = [context.Process(target=_worker, args=(url, agents, tries, passed)) for _ in range(4)]
        started = time.perf_counter()
        for worker in workers:
            worker.start()
        totals = [sum(each) for each in zip(*(passed.get() for _ in workers), strict=True)]
        print(
            f"{agents} agents, 4 processes, {4 * tries} tries each: between {min(totals)} and {max(totals)} pass",
            end="",
        )
        print(f" of a cap of {CAP}; {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    hold(*map(int, sys.argv[2:])) if sys.argv[1:2] == ["hold"] else asyncio.run(cost())
