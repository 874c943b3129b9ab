"""A condition that cannot be compared is unknown: what is decided, what the reason says, what is recorded of it."""

from __future__ import annotations

import enum
import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import msgspec
import pytest
from pydantic import BaseModel, SecretStr

from brain import EventStream
from brain.errors import InvalidInput
from brain.policy import Condition, Effect, PolicyEngine, Rule
from brain.policy.analysis import analyse
from brain.policy.replay import Replay
from brain.store.memory import MemoryStore
from support.waiting import until


def rule(rule_id: str, effect: str, *conditions: tuple[str, str, Any], priority: int = 0, **more: Any) -> Rule:
    held = [Condition(*one) for one in conditions]
    return Rule(id=rule_id, name=rule_id, effect=effect, conditions=held, priority=priority, **more)


def engine_of(*rules: Rule, **options: Any) -> PolicyEngine:
    engine = PolicyEngine(**options)
    engine.import_rules(rules)
    return engine


LARGE = rule("large", "DENY", ("params.amount", ">", 1000), priority=1)
ALL = rule("all", "ALLOW")
NUMBERS = [5000, 5000.0, Decimal("5000"), Fraction(10001, 2), type("Big", (int,), {})(5000), math.inf, 10**400]
NUMBERS += [type("Rough", (float,), {})(5e3), Decimal("Infinity"), Decimal("1E+9999"), enum.IntEnum("N", {"A": 5000}).A]


@pytest.mark.parametrize("amount", NUMBERS, ids=lambda amount: type(amount).__name__)
def test_numbers_of_every_type_compare_as_numbers(amount: Any) -> None:
    engine = engine_of(LARGE, ALL)
    decision = engine.evaluate({"params": {"amount": amount}})
    assert decision.rule_id == "large"
    assert "compared" not in decision.reason
    least = rule("least", "ALLOW", ("params.amount", "<", 1000))
    assert not engine_of(least).evaluate({"params": {"amount": amount}}).allowed


class Order(BaseModel):
    amount: Any


@pytest.mark.parametrize(
    "amount", ["900", math.nan, None, True, [5000], {"a": 1}, object(), SecretStr("5"), Decimal("NaN")]
)
def test_what_cannot_be_compared_is_denied_with_the_condition_in_the_reason(amount: Any) -> None:
    engine = engine_of(LARGE, ALL)
    for params in ({"amount": amount}, Order(amount=amount)):
        decision = engine.evaluate({"params": params})
        assert decision.effect == "DENY"
        assert "(matched because params.amount could not be compared: " in decision.reason
        assert decision.reason.endswith(" > 1000)")
    assert engine_of(LARGE, ALL, mismatch="false").evaluate({"params": {"amount": amount}}).rule_id == "all"


def test_a_missing_field_is_not_a_mismatch() -> None:
    engine = engine_of(LARGE, ALL)
    for context in ({}, {"params": {}}, {"params": None}, {"params": "text"}, {"params": Order.model_construct()}):
        assert engine.evaluate(context).rule_id == "all"


def test_a_field_of_what_no_rule_can_look_into_is_unknown() -> None:
    engine = engine_of(LARGE, ALL)
    assert engine.evaluate({"params": {"amount": 5}}).allowed
    assert not engine.evaluate({"params": object()}).allowed
    guests = engine_of(rule("guests", "DENY", ("agent.role", "==", "guest"), priority=1), ALL)
    assert not guests.evaluate({"agent": object()}).allowed
    assert not guests.evaluate({"agent": {"role": object()}}).allowed
    assert guests.evaluate({"agent": {"role": "staff"}}).allowed


@pytest.mark.parametrize(("effect", "matched"), [("DENY", True), ("AUDIT", True), ("ALLOW", False), ("WARN", False)])
def test_an_unknown_rule_counts_as_matched_when_its_effect_is_strict(effect: str, matched: bool) -> None:
    other = Effect.DENY if effect != "DENY" else Effect.ALLOW
    engine = engine_of(rule("odd", effect, ("params.amount", ">", 500), ("action", "==", "pay")), default_effect=other)
    unknown = engine.evaluate({"action": "pay", "params": {"amount": "abc"}})
    assert (unknown.rule_id == "odd") is matched
    why = "params.amount could not be compared: 'abc' > 500)"
    expected = f"(matched because {why}" if matched else f"(rule 'odd' (odd) does not match because {why}"
    assert unknown.reason.endswith(expected)
    false = engine.evaluate({"action": "read", "params": {"amount": "abc"}})  # one condition is false: so is the rule
    assert false.rule_id is None
    assert "compared" not in false.reason


def test_roles_and_actions_of_odd_types_find_their_rules() -> None:
    class Role(enum.Enum):
        GUEST = "guest"

    rules = [rule("guests", "DENY", ("agent_role", "==", "guest"), ("action", "in", ["read", "write"]), priority=1)]
    rules += [rule("more", "DENY", ("agent_role", "==", "robot"), ("resource", "==", "x"), priority=1), ALL]
    for engine in (engine_of(*rules), engine_of(*rules[::2])):
        for action in ("read", b"read", type("Text", (str,), {})("read"), enum.Enum("A", {"R": "read"}).R):
            assert engine.evaluate({"agent_role": Role.GUEST, "action": action}).rule_id == "guests"
        assert engine.evaluate({"agent_role": Role.GUEST, "action": "list"}).rule_id == "all"
        assert engine.evaluate({"agent_role": "guest", "action": object()}).effect == "DENY"


def test_no_secret_is_in_a_reason_or_an_explanation() -> None:
    engine = engine_of(rule("key", "DENY", ("params.key", "matches", "a.*"), priority=1), ALL)
    context = {"params": {"key": SecretStr("hidden")}}
    assert "hidden" not in engine.evaluate(context).reason
    explanation = engine.explain(context)
    assert "hidden" not in explanation.text()
    assert b"hidden" not in msgspec.json.encode(explanation.to_dict())


def test_an_explanation_says_what_is_unknown() -> None:
    context = {"params": {"amount": "abc"}}
    large = engine_of(LARGE, ALL).explain(context).rules[0]
    assert (large.outcome, large.matched) == ("won", True)
    assert (large.conditions[0].holds, large.conditions[0].unknown) == (False, True)
    assert "cannot be compared, it is 'abc'" in str(large.conditions[0])
    old = engine_of(LARGE, ALL, mismatch="false").explain(context).rules[0]
    assert (old.outcome, old.conditions[0].unknown) == ("no match", False)


def test_the_mode_outlives_changes_of_the_rules_and_is_checked() -> None:
    engine = engine_of(LARGE, store=MemoryStore(), mismatch="false", follow_interval=None)
    engine.import_rules([rule(f"r{number}", "ALLOW") for number in range(300)])
    engine.refresh()
    assert engine.mismatch == "false"
    assert engine.evaluate({"params": {"amount": "abc"}}).allowed
    assert engine.allowed_actions("a1", ["read"]) == [("read", None)]
    with pytest.raises(InvalidInput, match="mismatch"):
        PolicyEngine(mismatch="maybe")  # type: ignore[arg-type]


def test_never_wins_is_claimed_only_where_it_is_so() -> None:
    def said(*rules: Rule) -> str:
        return next((one.message for one in analyse(rules, 0.0) if one.kind == "never-wins"), "")

    read = ("action", "==", "read")
    cover = rule("wide", "ALLOW", read, priority=5)
    assert said(cover, rule("narrow", "ALLOW", read)).startswith("can never win")
    assert said(cover, rule("narrow", "DENY", read)).startswith("wins only where a value cannot be compared")
    assert said(rule("wide", "DENY", read, priority=5), rule("narrow", "DENY", read)).startswith("can never win")
    assert said(rule("wide", "ALLOW", priority=5), rule("narrow", "DENY", read)).startswith("can never win")
    text, number = ("params.x", ">", "m"), ("params.x", "!=", 5)
    found = said(rule("wide", "DENY", number, priority=5), rule("narrow", "AUDIT", text))
    assert found.startswith("wins only where")
    engine = engine_of(rule("wide", "DENY", number, priority=5), rule("narrow", "AUDIT", text))
    assert engine.evaluate({"params": {"x": 5}}).rule_id == "narrow"


RECORDED = [*NUMBERS, math.nan, -math.inf, Fraction(1, 3), object(), "\udcff/x", b"\xff", "abc", [1, {"a": math.inf}]]
RECORDED += [SecretStr("hidden"), {"inf": "inf"}, Decimal("0.1"), Decimal("0.10000000000000000001"), -(10**6000)]


@pytest.mark.parametrize(
    ("operator", "wanted"),
    [(">", 0.1), ("<", 0.1), ("==", 0.1), ("!=", 0.1), ("contains", 1), ("in", [0.1, "inf"]), ("matches", "[a-z]+")],
)
async def test_a_replay_of_the_record_decides_as_it_was_decided(operator: str, wanted: Any) -> None:
    rules = [rule("odd", "DENY", ("params.value", operator, wanted), priority=1), ALL]
    async with EventStream.open("memory://") as stream:
        engine = PolicyEngine(stream)
        engine.import_rules(rules)
        usual = {"agent_id": "a", "agent_role": "b", "action": "c", "resource": None, "environment": {}}
        contexts = [{**usual, "params": {"value": value}} for value in RECORDED]
        contexts += [{"params": {"value": value}, "more": {"value": value}} for value in RECORDED]
        decided = [engine.evaluate(context).effect for context in contexts]
        await until(lambda: stream.stats()["backlog"] == 0)
        stored = [entry.data for entry in await stream.call(stream.backend.read, "", 10_000)]
    assert b"hidden" not in b"".join(stored)
    events = [msgspec.json.decode(data) for data in stored]
    payloads = [event["payload"] for event in events if event["type"] == "policy.rule_evaluated"]
    assert [payload["effect"] for payload in payloads] == decided
    replaying = Replay(rules)
    replaying.feed(stored)
    assert replaying.report.decisions == len(contexts)
    assert not replaying.report.changed, replaying.report.examples
    turned = Replay([rule("none", "AUDIT")], examples=1_000)
    turned.feed(stored)
    assert len(turned.report.to_dict()["examples"]) == len(contexts)
