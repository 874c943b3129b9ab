from __future__ import annotations

import threading
from pathlib import Path

import pytest

from brain import Condition, Rule
from brain.errors import InvalidInput
from brain.kit.database import open_database
from brain.policy.metered import MeteredEngine
from brain.policy.usage import UsageMeter, usage_field
from support.forks import in_child

HOUR = 3_600 * 480_000.0


def _engine(url: str, cap: int, field: str = "usage.calls.hour", now: list[float] | None = None) -> MeteredEngine:
    at = now or [HOUR]
    engine = MeteredEngine(UsageMeter(open_database(url), clock=lambda: at[0]))
    engine.add_rule(Rule(id="all", name="All", effect="ALLOW", conditions=[]))
    over = [Condition(field, ">", cap - 1)]
    engine.add_rule(Rule(id="cap", name="Cap", effect="DENY", priority=9, conditions=over))
    return engine


def test_threads_share_a_cap_and_a_new_window_begins_anew(tmp_path: Path) -> None:
    now = [HOUR]
    engine = _engine(f"sqlite:///{tmp_path / 'u.db'}", 100, now=now)
    allowed: list[bool] = []

    def work() -> None:
        allowed.extend(engine.evaluate({"agent_id": "a", "action": "x"}).allowed for _ in range(60))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sum(allowed) == 100
    assert engine.evaluate({"agent_id": "b", "action": "x"}).allowed
    now[0] += 3_600
    assert engine.evaluate({"agent_id": "a", "action": "x", "usage": {"calls": {"hour": 5_000}}}).allowed


def test_a_question_counts_nothing_and_amounts_are_added(tmp_path: Path) -> None:
    engine = _engine(f"sqlite:///{tmp_path / 'u.db'}", 1)
    for _ in range(3):
        assert engine.preview({"agent_id": "a", "action": "x"}).allowed
    assert engine.evaluate({"agent_id": "a", "action": "x"}).allowed
    assert not engine.preview({"agent_id": "a", "action": "x"}).allowed
    tokens = _engine(f"sqlite:///{tmp_path / 't.db'}", 1_000, "usage.tool.tokens.day")
    tokens.meter.add("a", "x", tokens=1_500)
    assert not tokens.evaluate({"agent_id": "a", "action": "x"}).allowed
    assert tokens.evaluate({"agent_id": "a", "action": "y"}).allowed


def test_an_unreadable_usage_is_a_denial(tmp_path: Path) -> None:
    engine = _engine(f"sqlite:///{tmp_path}/no/u.db", 10)
    decision = engine.evaluate({"agent_id": "a", "action": "x"})
    assert not decision.allowed
    assert decision.rule_id == "cap"


@pytest.mark.parametrize("path", ["usage.calls", "usage.calls.week", "usage.tool.hour", "use.calls.hour"])
def test_a_field_that_is_no_usage_is_refused(path: str) -> None:
    with pytest.raises(InvalidInput, match=r"usage\.calls\.hour"):
        usage_field(path)


def test_a_forked_child_counts_with_numbers_of_its_own(tmp_path: Path) -> None:
    engine = _engine(f"sqlite:///{tmp_path / 'u.db'}", 1_000)

    def passed() -> int:
        return sum(engine.evaluate({"agent_id": "a1", "action": "x"}).allowed for _ in range(700))

    assert engine.evaluate({"agent_id": "a1", "action": "x"}).allowed
    of_child = in_child(passed)
    assert of_child + passed() + 1 <= 1_000
    assert of_child == 700
