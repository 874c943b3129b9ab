"""Decisions made again by other rules, without a stream."""

from __future__ import annotations

import pytest

from brain.charter import Event
from brain.policy import Effect, PolicyEngine, Rule
from brain.policy.replay import Replay
from brain.store.memory import MemoryStore
from support.clock import Clock


class Recorder:
    def __init__(self) -> None:
        self.events: list[Event] = []

    def publish(self, event: Event) -> None:
        self.events.append(event)


def test_only_measures_of_the_moment_are_left_out() -> None:
    stream = Recorder()
    with PolicyEngine(stream, default_effect="ALLOW") as engine:
        for rule_id in ("containment-zone", "kill-switch-of-ours"):
            engine.add_rule(Rule(id=rule_id, name=rule_id, effect="DENY"))
            engine.evaluate({"action": "read"})
            engine.delete_rule(rule_id)
        engine.contain("a1", ttl=60, reason="leaked token")
        engine.evaluate({"agent_id": "a1"})
        engine.kill_switch(reason="incident")
        engine.evaluate({"agent_id": "a2"})
    replaying = Replay([], default=Effect.ALLOW)
    replaying.feed(event.encode() for event in stream.events)
    report = replaying.report
    assert (report.decisions, report.skipped) == (2, 2)
    assert report.changed == {"newly_allowed": 2}


def test_denials_of_rules_out_of_date_are_left_out() -> None:
    stream, monotonic = Recorder(), Clock()
    with PolicyEngine(
        stream,
        store=MemoryStore(),
        default_effect="ALLOW",
        follow_interval=None,
        max_rules_age=10,
        monotonic=monotonic,
    ) as engine:
        assert engine.evaluate({"action": "read"}).allowed
        monotonic.advance(11)
        assert not engine.evaluate({"action": "read"}).allowed
    replaying = Replay([], default=Effect.ALLOW)
    replaying.feed(event.encode() for event in stream.events)
    assert (replaying.report.decisions, replaying.report.skipped) == (1, 1)
    assert replaying.report.changed.total() == 0


@pytest.mark.parametrize("left_out", ["agent_id", "params", "environment", "warnings", "reason"])
def test_a_record_of_another_producer_may_lack_a_key(left_out: str) -> None:
    stream = Recorder()
    with PolicyEngine(stream) as engine:
        engine.evaluate({"agent_id": "a1", "action": "read", "resource": "x", "environment": {}, "params": {}})
    recorded = stream.events[0]
    del recorded.payload[left_out]
    replaying = Replay([Rule(id="r", name="r", effect="ALLOW")])
    replaying.feed([recorded.encode()])
    assert (replaying.report.decisions, replaying.report.skipped) == (1, 0)
    assert replaying.report.changed == {"newly_allowed": 1}
