"""The engine that every framework's cases ask, and the calls that got through to a tool."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

from brain.policy import Condition, Guard, PolicyEngine, Rule

LARGE = "denied by rule 'large' (large, priority 0)"
FORCED = "denied by rule 'forced' (forced, priority 0)"
SMALL = "denied by rule 'small' (small, priority 0)"
ran: list[tuple[Any, ...]] = []
"""What the tools were really called with; a case empties it first."""


def new_engine() -> PolicyEngine:
    """No refund above 500, nothing closed by force, a person asked for a payout; all else is allowed."""
    engine = PolicyEngine(default_effect="ALLOW")
    for rule in (
        _rule("large", "DENY", Condition(field="params.amount", operator=">", value=500)),
        _rule("forced", "DENY", Condition(field="params.force", operator="==", value=True)),
        _rule("asked", "WARN", Condition(field="action", operator="==", value="payout"), requires_approval=True),
    ):
        engine.add_rule(rule)
    return engine


def new_guard(**options: Any) -> Guard:
    """A guard for agent a1, with no call recorded yet."""
    ran.clear()
    return Guard(new_engine(), **{"agent": "a1", "on_approval": "raise", **options})


def stricter() -> Guard:
    """Another guard, which also denies amounts above 100."""
    engine = new_engine()
    engine.add_rule(_rule("small", "DENY", Condition(field="params.amount", operator=">", value=100)))
    return Guard(engine, agent="a1", on_approval="raise")


def example(framework: str, folder: Path, model: Any) -> Any:
    """The agent that the framework's example in docs/frameworks.md makes with our guard and the given model."""
    page = (Path(__file__).parents[3] / "docs" / "frameworks.md").read_text()
    (block,) = re.findall(rf"^```python\n(# {framework}\n.*?)^```$", page, re.M | re.S)
    written = folder / f"{framework}_example.py"
    written.write_text(block)
    return runpy.run_path(str(written), {"guard": new_guard(), "model": model})["agent"]


def _rule(name: str, effect: str, condition: Condition, **metadata: Any) -> Rule:
    return Rule(id=name, name=name, effect=effect, conditions=[condition], metadata=metadata)
