from __future__ import annotations

import asyncio
import re
import threading
from pathlib import Path
from typing import Any

import pytest

from brain import Condition, Rule
from brain.errors import InvalidInput
from brain.kit.database import open_database
from brain.policy.decision_record import recorded_context
from brain.policy.guards import ActionDenied, Guard
from brain.policy.metered import MeteredEngine
from brain.policy.usage import IDLE, UsageMeter, usage_field
from brain.testing import RecordingStream
from support.forks import in_child
from support.usage_worker import HOUR, capped, passed
from support.waiting import wait_until


def _engine(url: str, cap: int, field: str = "usage.calls.hour", now: list[float] | None = None) -> MeteredEngine:
    at = now or [HOUR]
    engine = MeteredEngine(UsageMeter(open_database(url), clock=lambda: at[0]))
    engine.add_rule(Rule(id="all", name="All", effect="ALLOW", conditions=[]))
    over = [Condition(field, ">", cap - 1)]
    engine.add_rule(Rule(id="cap", name="Cap", effect="DENY", priority=9, conditions=over))
    return engine


def test_numbers_that_nobody_uses_go_back_to_the_others(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'u.db'}"
    now = [HOUR]
    idle, busy = _engine(url, 100, now=now), _engine(url, 100, now=now)
    assert passed(idle, 3, 1) == [3]
    assert passed(busy, 100, 1)[0] < 97
    for _ in range(3):  # it looks: in use; idle; then the busy one looks whether there are numbers again
        idle.meter.turn()
        now[0] += IDLE
        busy.meter.turn()
    wait_until(lambda: passed(busy, 100, 1) != [0])
    used = 100 - passed(capped(url, 100), 100, 1)[0]
    assert used == 100


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
    engine = _engine(f"sqlite:///{tmp_path / 'u.db'}", 300)

    def passed() -> int:
        return sum(engine.evaluate({"agent_id": "a1", "action": "x"}).allowed for _ in range(200))

    assert engine.evaluate({"agent_id": "a1", "action": "x"}).allowed
    of_child = in_child(passed)
    assert of_child + passed() + 1 <= 300
    assert of_child == 200


async def test_a_guard_leases_in_a_thread_and_not_on_the_event_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = _engine(f"sqlite:///{tmp_path / 'u.db'}", 40)
    guard = Guard(engine, agent="a")
    leasing, go_on = threading.Event(), threading.Event()
    lease = engine.meter.store.lease

    def slow(*args: Any) -> Any:
        leasing.set()
        assert go_on.wait(60)
        return lease(*args)

    monkeypatch.setattr(engine.meter.store, "lease", slow)
    first = asyncio.create_task(guard.check_async("x"))
    assert await asyncio.to_thread(leasing.wait, 60)  # the loop runs while the database takes its time
    go_on.set()
    assert (await first).allowed
    for _ in range(39):
        await guard.check_async("x")
    with pytest.raises(ActionDenied, match="Cap"):
        await guard.check_async("x")


def test_records_have_the_usage_and_each_operator_its_answer(tmp_path: Path) -> None:
    stream = RecordingStream()
    engine = MeteredEngine(UsageMeter(open_database(f"sqlite:///{tmp_path / 'u.db'}"), clock=lambda: HOUR), stream)
    engine.add_rule(Rule(id="all", name="All", effect="ALLOW"))
    third = [Condition("usage.tool.calls.day", "in", [2]), Condition("resource", "==", "db")]
    engine.add_rule(Rule(id="third", name="Third", effect="WARN", priority=1, conditions=third))
    context = {"agent_id": "a", "agent_role": "", "action": "x", "resource": "db", "environment": {}, "params": {}}
    assert [engine.evaluate(context).rule_id for _ in range(5)] == ["all", "all", "third", "all", "all"]
    assert engine.evaluate({**context, "action": "y"}).rule_id == "all"
    recorded = [one.payload for one in stream.get_events_by_type("policy.rule_evaluated")]
    assert [one["extra"] for one in recorded] == [
        {"usage": {"tool": {"calls": {"day": number}}}} for number in (0, 1, 2, 3, 4, 0)
    ]
    assert recorded_context(recorded[0])["usage"] == {"tool": {"calls": {"day": 0}}}


def test_the_programs_of_the_page_run(capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[2] / "docs" / "usage.md").read_text()
    programs = re.findall(r"^```python\n(.*?)^```", page, re.M | re.S)
    for program in programs:
        exec(compile(program, "docs/usage.md", "exec"), {"__name__": "__main__"})
    shown = capsys.readouterr().out.splitlines()
    assert shown[:5] == ["[True, True, False]", "A B", "again in 6 s", "failed", "failed"]
    assert shown[-1] == "breaker-billing"
