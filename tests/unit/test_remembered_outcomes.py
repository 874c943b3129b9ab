"""What a rule says, and the meta, are encoded once and put into each event: always those of this very decision."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

from brain import Condition, Event, EventStream, PolicyEngine, Rule, redaction
from brain.charter import Principal, acting, correlation
from brain.policy import recorder

CONTEXT: dict[str, Any] = {
    "agent_id": "agent-7",
    "agent_role": "clerk",
    "action": "read",
    "resource": "ledger/4",
    "environment": {},
    "params": {"amount": 12},
}


class Recorder:
    """A foreign stream: its events are made whole."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def publish(self, event: Event) -> None:
        self.events.append(event)


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    yield
    redaction.configure()


def _rule(name: str, effect: str = "ALLOW") -> Rule:
    return Rule(id="clerks", name=name, effect=effect, conditions=[Condition("agent_role", "==", "clerk")])


def _stored(stream: EventStream) -> list[Event]:
    async def read() -> list[Event]:
        return [one.event for one in await stream.read("policy.rule_evaluated", limit=1_000)]

    return asyncio.run(read())


def test_an_event_says_what_a_carefully_made_one_says() -> None:
    careful = Recorder()
    with EventStream.open_sync("memory://") as stream:
        for given in (stream, careful):
            engine = PolicyEngine(given)
            engine.add_rule(_rule("Clerks", "WARN"))
            with correlation("req-1"), acting(Principal(name="ann", kind="person")):
                for _ in range(2):
                    engine.evaluate(CONTEXT)
        quick = _stored(stream)
    made = [event for event in careful.events if event.type == "policy.rule_evaluated"]
    for event in (*quick, *made):
        event.payload.pop("evaluation_time_us")
    assert [event.payload for event in quick] == [event.payload for event in made]
    assert [event.meta for event in quick] == [event.meta for event in made]
    assert quick[0].meta["correlation_id"] == "req-1"


def test_a_changed_rule_and_another_meta_are_in_the_next_event() -> None:
    with EventStream.open_sync("memory://") as stream:
        engine = PolicyEngine(stream)
        engine.add_rule(_rule("Clerks"))
        engine.evaluate(CONTEXT)
        engine.update_rule(_rule("Clerks, new"))
        with correlation("req-2"):
            engine.evaluate(CONTEXT)
        engine.evaluate(CONTEXT)
        found = [(event.payload["rule_name"], event.meta["correlation_id"]) for event in _stored(stream)]
    assert found == [("Clerks", None), ("Clerks, new", "req-2"), ("Clerks, new", None)]


def test_each_event_of_one_asker_has_its_own_decision_and_meta() -> None:
    """What stands behind the asker is remembered of one decision and one meta; here both change, and come again."""
    careful = Recorder()
    large = Rule(id="large", name="Large", effect="DENY", priority=9, conditions=[Condition("params.amount", ">", 99)])
    with EventStream.open_sync("memory://") as stream:
        for given in (stream, careful):
            engine = PolicyEngine(given)
            engine.add_rule(_rule("Clerks"))
            engine.add_rule(large)
            for amount in (1, 2, 3, 100, 101, 4, 102, 5, 6):
                engine.evaluate({**CONTEXT, "params": {"amount": amount}})
                with correlation(f"req-{amount % 2}"):
                    for _ in "abc":
                        engine.evaluate({**CONTEXT, "params": {"amount": amount}})
        quick = _stored(stream)
    made = [event for event in careful.events if event.type == "policy.rule_evaluated"]
    for event in (*quick, *made):
        event.payload.pop("evaluation_time_us")
    assert len(quick) == 36
    assert [(event.payload, event.meta) for event in quick] == [(event.payload, event.meta) for event in made]


def test_a_secret_in_a_rule_or_a_context_is_marked_each_time() -> None:
    secret = "AKIA" + "Q" * 16
    with EventStream.open_sync("memory://") as stream:
        engine = PolicyEngine(stream)
        engine.add_rule(_rule(f"Clerks {secret}"))
        for _ in range(2):
            engine.evaluate(CONTEXT)
        engine.update_rule(_rule("Clerks"))
        for _ in range(2):
            engine.evaluate({**CONTEXT, "params": {"note": secret}})
            engine.evaluate({**CONTEXT, "params": {"password": 12}})
            engine.evaluate({**CONTEXT, "environment": {"card": 4_111_111_111_111_111}})
            engine.evaluate({**CONTEXT, "params": {"deep": [{"note": secret}]}})
            engine.evaluate({**CONTEXT, "resource": secret})
        events = _stored(stream)
    assert len(events) == 12
    for event in events:
        assert redaction.MARK.encode() in event.encode(), event
        assert secret.encode() not in event.encode()
        assert b"4111111111111111" not in event.encode()


def test_what_was_clean_is_looked_at_again_when_more_is_redacted() -> None:
    with EventStream.open_sync("memory://") as stream:
        engine = PolicyEngine(stream)
        engine.add_rule(_rule("Clerks"))
        with correlation(None, ward="north"):
            engine.evaluate(CONTEXT)
            redaction.configure(enabled=False)
            engine.evaluate({**CONTEXT, "params": {"password": "open"}})
            redaction.configure(names=["ward"])
            engine.evaluate(CONTEXT)
            engine.evaluate({**CONTEXT, "params": {"password": "open"}})
        first, free, marked, last = _stored(stream)
    assert first.meta["ward"] == "north"
    assert free.payload["params"] == {"password": "open"}
    assert marked.meta["ward"].startswith(redaction.MARK)
    assert last.payload["params"]["password"].startswith(redaction.MARK)


def test_no_more_outcomes_are_kept_than_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "_KEPT", 3)
    with EventStream.open_sync("memory://") as stream:
        engine = PolicyEngine(stream)
        for number in range(10):
            role = f"role-{number}"
            engine.add_rule(Rule(id=role, name=role, effect="ALLOW", conditions=[Condition("agent_role", "==", role)]))
            engine.evaluate({**CONTEXT, "agent_role": role})
            assert len(recorder._ends) <= 3
            assert len(recorder._askers) <= 3
        assert [event.payload["rule_id"] for event in _stored(stream)] == [f"role-{number}" for number in range(10)]


@pytest.mark.parametrize(
    ("payload", "named"),
    [
        ({"a": float("nan")}, "payload.a: nan is no number of JSON"),
        ({"a": [{"b": float("-inf")}]}, "payload.a[0].b: -inf is no number of JSON"),
        ({"a": "\ud800"}, "payload or meta: cannot be written as JSON"),
        ({"a": json.loads("[" * 45 + "]" * 45)}, "nested deeper"),
    ],
)
@pytest.mark.parametrize("enabled", [True, False])
def test_publish_refuses_what_is_no_json_whether_it_looks_for_secrets_or_not(
    payload: dict[str, Any], named: str, enabled: bool
) -> None:
    redaction.configure(enabled=enabled)
    with EventStream.open_sync("memory://") as stream:
        for _ in range(2):  # what was looked at once is remembered
            receipt = stream.publish(Event(type="shop.sold", source="shop_service", payload=payload))
            assert named in str(receipt.refused)
