"""A guarded function that other processes can import: everybody may do the work but mallory."""

from __future__ import annotations

from brain.policy import Condition, Guard, PolicyEngine, Rule
from brain.testing import RecordingStream

ENGINE = PolicyEngine(RecordingStream(), default_effect="ALLOW")
ENGINE.add_rule(Rule(id="mallory", name="mallory", effect="DENY", conditions=[Condition("agent_id", "==", "mallory")]))


@Guard(ENGINE)("work")
def work(amount: int = 1) -> int:
    """Some work."""
    return amount


@Guard(ENGINE, agent="mallory")("work")
def forbidden_work() -> int:
    """Work that is always denied."""
    return 0
