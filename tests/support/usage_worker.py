"""A process that asks for more than a cap on usage lets through."""

from __future__ import annotations

from multiprocessing.connection import Connection

from brain import Condition, Rule
from brain.kit.database import open_database
from brain.policy.metered import MeteredEngine
from brain.policy.usage import UsageMeter

HOUR = 3_600 * 480_000.0


def pass_all(url: str, cap: int, tries: int, agents: int, answer: Connection) -> None:
    """Ask `tries` times for each agent; send how often each was let through."""
    engine = MeteredEngine(UsageMeter(open_database(url), clock=lambda: HOUR))
    engine.add_rule(Rule(id="all", name="All", effect="ALLOW", conditions=[]))
    over = [Condition("usage.calls.hour", ">", cap - 1)]
    engine.add_rule(Rule(id="cap", name="Cap", effect="DENY", priority=9, conditions=over))
    counts = [0] * agents
    for _ in range(tries):
        for agent in range(agents):
            counts[agent] += engine.evaluate({"agent_id": f"a{agent}", "action": "x"}).allowed
    answer.send(counts)
