"""Decisions made again by other rules, without a stream."""

from __future__ import annotations

from brain.charter import Event
from brain.policy import Effect, PolicyEngine, Rule
from brain.policy.replay import Replay


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
