"""Processes that ask for more than a cap on usage lets through."""

from __future__ import annotations

from collections.abc import Callable
from multiprocessing.connection import Connection

from brain import Condition, Rule
from brain.kit.database import open_database
from brain.policy.metered import MeteredEngine
from brain.policy.usage import UsageMeter

HOUR = 3_600 * 480_000.0


def capped(url: str, cap: int, clock: Callable[[], float] = lambda: HOUR) -> MeteredEngine:
    """An engine with one cap for each agent and hour."""
    engine = MeteredEngine(UsageMeter(open_database(url), clock=clock))
    engine.add_rule(Rule(id="all", name="All", effect="ALLOW", conditions=[]))
    over = [Condition("usage.calls.hour", ">", cap - 1)]
    engine.add_rule(Rule(id="cap", name="Cap", effect="DENY", priority=9, conditions=over))
    return engine


def passed(engine: MeteredEngine, tries: int, agents: int) -> list[int]:
    """Ask `tries` times for each agent; how often each was let through."""
    counts = [0] * agents
    for _ in range(tries):
        for agent in range(agents):
            counts[agent] += engine.evaluate({"agent_id": f"a{agent}", "action": "x"}).allowed
    return counts


def pass_all(url: str, cap: int, tries: int, agents: int, answer: Connection) -> None:
    """Ask, say how often each was let through, and what was leased and not used is given back."""
    engine = capped(url, cap)
    counts = passed(engine, tries, agents)
    engine.close()
    answer.send(counts)


def pass_some_and_stay(url: str, cap: int, tries: int, agents: int, answer: Connection) -> None:
    """Ask, say how often each was let through, and hold what was leased until this process is killed."""
    engine = capped(url, cap)
    answer.send(passed(engine, tries, agents))
    answer.recv()
