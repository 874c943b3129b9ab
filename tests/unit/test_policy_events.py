"""The module's events: what they hold, and that no stream, whatever it does, stops a decision."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from brain import EventStream
from brain.charter import Event, correlation
from brain.plugins import catalogue
from brain.policy import Condition, PolicyEngine, Rule
from brain.policy.decision_record import recorded_context
from brain.stream.publisher import failures

CONTEXT = {
    "agent_id": "a1",
    "agent_role": "guest",
    "action": "delete",
    "resource": "db",
    "environment": {"zone": "eu"},
    "params": {"rows": 3},
}
RULE = Rule(
    id="guests", name="No guests", effect="DENY", conditions=[Condition("agent_role", "==", "guest")], priority=7
)


class Recorder:
    def __init__(self) -> None:
        self.events: list[Event] = []

    def publish(self, event: Event) -> None:
        self.events.append(event)

    def take(self) -> list[Event]:
        taken, self.events = self.events, []
        for event in taken:
            catalogue()[event.type].check(event.payload)
            assert Event.decode(event.encode()) == event
            assert event.source == "policy_service"
            assert event.id.startswith("evt_policy_")
        return taken


def test_a_denial_is_recorded_and_announced() -> None:
    stream = Recorder()
    engine = PolicyEngine(stream)
    engine.add_rule(RULE)
    stream.take()
    engine.evaluate(CONTEXT)
    evaluated, denied = stream.take()
    assert evaluated.type == "policy.rule_evaluated"
    took = evaluated.payload.pop("evaluation_time_us")
    assert 0 < took < 1e6
    assert evaluated.payload == {
        **CONTEXT,
        "rule_id": "guests",
        "rule_name": "No guests",
        "effect": "DENY",
        "allowed": False,
        "reason": "denied by rule 'No guests' (guests, priority 7)",
        "warnings": [],
    }
    assert denied.type == "policy.action_denied"
    assert denied.payload["agent_id"] == "a1"
    assert denied.payload["rule_id"] == "guests"


def test_an_allowed_action_publishes_one_event() -> None:
    stream = Recorder()
    PolicyEngine(stream, default_effect="ALLOW").evaluate(CONTEXT)
    assert [event.type for event in stream.take()] == ["policy.rule_evaluated"]


@pytest.mark.parametrize(
    "context",
    [
        CONTEXT,
        {},
        {"action": "x"},
        {"action": None, "agent_id": "a"},
        {**CONTEXT, "tenant": "t1", "effect": "of mine"},
        {"action": "x", "tenant": "t1", "a": 1, "b": 2, "c": 3, "d": 4},
    ],
)
def test_the_recorded_context_is_the_one_decided_on(context: dict[str, Any]) -> None:
    stream = Recorder()
    PolicyEngine(stream).evaluate(context)
    assert recorded_context(stream.take()[0].payload) == context


LOOP: list[Any] = []
LOOP.append(LOOP)


@pytest.mark.parametrize(
    "context",
    [
        CONTEXT,
        {},
        {**CONTEXT, "tenant": "t1"},
        {**CONTEXT, "agent_id": None, "environment": {"deep": [{"er": [1, 2.5, None, True, "ß"]}]}},
        {"agent_id": "a1", "agent_role": "guest", "action": "x", "resource": "y", "params": {}, "tenant": "six fields"},
    ],
)
async def test_our_own_stream_stores_the_context_decided_on(context: dict[str, Any]) -> None:
    async with EventStream.open("memory://") as stream:
        PolicyEngine(stream).evaluate(context)
        evaluated, denied = [event async for event in stream.replay("*")]
    assert recorded_context(evaluated.payload) == context
    for event in (evaluated, denied):
        catalogue()[event.type].check(event.payload)
        assert event.source == "policy_service"
        assert event.meta == {"correlation_id": None, "version": "1.0"}
    assert {name: evaluated.payload[name] for name in denied.payload} == denied.payload


@pytest.mark.parametrize(
    "context",
    [
        {**CONTEXT, "action": "\ud800"},
        {**CONTEXT, "params": {"rows": 2**70}},
        {**CONTEXT, "params": {"rows": object(), "names": {"a"}, 1: 2}},
        {**CONTEXT, "environment": {"loop": LOOP}},
        {**CONTEXT, "resource": b"\xff"},
    ],
)
async def test_no_value_keeps_a_decision_out_of_the_stream(context: dict[str, Any]) -> None:
    before = failures.total()
    async with EventStream.open("memory://") as stream:
        PolicyEngine(stream).evaluate(context)
        events = [event async for event in stream.replay("*")]
        assert stream.stats()["refused"] == 0
    assert [event.type for event in events] == ["policy.rule_evaluated", "policy.action_denied"]
    assert events[0].payload["agent_id"] == "a1"
    assert failures.total() == before


async def test_what_a_decision_publishes_carries_the_correlation_around_it() -> None:
    async with EventStream.open("memory://") as stream:
        with correlation("story-1", causation_id="evt_x"):
            PolicyEngine(stream, default_effect="ALLOW").evaluate(CONTEXT)
        (event,) = [event async for event in stream.replay("*")]
    assert event.meta == {"correlation_id": "story-1", "version": "1.0", "causation_id": "evt_x"}


def test_rule_changes_publish_the_full_rule_and_what_changed() -> None:
    stream = Recorder()
    engine = PolicyEngine(stream)
    engine.add_rule(RULE)
    engine.update_rule("guests", priority=9)
    engine.update_rule("guests", priority=9)
    engine.disable_rule("guests")
    engine.enable_rule("guests")
    engine.enable_rule("guests")
    engine.update_rule("guests", enabled=False)
    engine.delete_rule("guests")
    events = stream.take()
    assert [event.type.removeprefix("policy.rule_") for event in events] == [
        "created",
        "updated",
        "disabled",
        "enabled",
        "updated",
        "disabled",
        "deleted",
    ]
    assert all(Rule.from_dict(event.payload["rule"]).id == "guests" for event in events)
    assert events[0].payload["rule"] == RULE.to_dict()
    assert events[1].payload["changes"] == {"priority": {"old": 7, "new": 9}}
    assert events[4].payload["changes"] == {"enabled": {"old": True, "new": False}}


class Raising:
    def publish(self, event: Event) -> None:
        raise RuntimeError("broken stream")


class Hanging:
    async def publish(self, event: Event) -> None:
        await asyncio.Event().wait()


class RaisingLater:
    async def publish(self, event: Event) -> None:
        raise RuntimeError("broken stream")


@pytest.mark.parametrize("stream", [None, Raising(), Hanging(), RaisingLater(), object()])
async def test_work_goes_on_whatever_the_stream_does(stream: Any) -> None:
    before = failures.total()
    started = time.monotonic()
    engine = PolicyEngine(stream)
    engine.add_rule(RULE)
    assert not engine.evaluate(CONTEXT).allowed
    engine.disable_rule("guests")
    engine.delete_rule("guests")
    assert time.monotonic() - started < 2
    await asyncio.sleep(0)
    if stream is not None and not isinstance(stream, Hanging):
        assert failures.total() - before == 5  # three changes, one decision, one denial


def test_an_async_stream_without_a_loop_is_counted() -> None:
    before = failures.total()
    PolicyEngine(Hanging()).evaluate(CONTEXT)
    assert failures.total() - before == 2


def test_unreadable_contexts_are_still_decided() -> None:
    engine = PolicyEngine(Recorder())
    assert not engine.evaluate({"action": object(), "params": {1: {2}}}).allowed
