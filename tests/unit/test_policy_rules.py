"""What rules mean: operators, precedence, missing fields, mixed types, paths; and which rules are refused."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from brain.errors import Conflict, InvalidInput, NotFound
from brain.policy import Condition, Effect, PolicyEngine, Rule


def decides(field: str, operator: str, value: Any, context: dict[str, Any]) -> bool:
    engine = PolicyEngine()
    engine.add_rule(Rule(id="r", name="r", effect="ALLOW", conditions=[Condition(field, operator, value)]))
    return engine.evaluate(context).allowed


@pytest.mark.parametrize(
    ("operator", "value", "actual", "expected"),
    [
        ("==", "a", "a", True),
        ("==", "a", "b", False),
        ("==", 1, 1.0, True),
        ("==", 1, True, False),
        ("==", True, 1, False),
        ("==", True, True, True),
        ("==", "1", 1, False),
        ("==", None, None, True),
        ("==", [1, "a"], (1, "a"), True),
        ("==", [1], [True], False),
        ("==", {"a": 1}, {"a": 1}, True),
        ("==", {"a": 1}, {"a": 1, "b": 2}, False),
        ("!=", "a", "b", True),
        ("!=", "a", "a", False),
        ("!=", 1, True, True),
        (">", 10, 11, True),
        (">", 10, 10, False),
        (">", 10, "11", False),
        (">", 0, True, False),
        (">", "a", "b", True),
        (">", 1, None, False),
        (">", 1, [2], False),
        ("<", 10, 9.5, True),
        ("<", 10, float("nan"), False),
        ("<", "b", "a", True),
        ("<", 2, {"a": 1}, False),
        ("contains", "ell", "hello", True),
        ("contains", "x", "hello", False),
        ("contains", 1, "1", False),
        ("contains", "a", ["a", "b"], True),
        ("contains", 1, [True], False),
        ("contains", "a", {"a", "b"}, True),
        ("contains", "k", {"k": 1}, True),
        ("contains", "v", {"k": "v"}, False),
        ("contains", "1", 1, False),
        ("in", ["a", "b"], "a", True),
        ("in", ["a", "b"], "c", False),
        ("in", [1, 2], True, False),
        ("in", [1, "x", None], None, True),
        ("in", [[1]], [1], True),
        ("in", [], "a", False),
        ("matches", "db/.*", "db/users", True),
        ("matches", "users", "db/users", False),
        ("matches", "db", "db/users", True),
        ("matches", "db$", "db/users", False),
        ("matches", r"\d+$", "123", True),
        ("matches", r"db\.x", "dbax", False),
        ("matches", "1", 1, False),
        ("matches", ".", "\ud800", False),
    ],
)
def test_operator(operator: str, value: Any, actual: Any, expected: bool) -> None:
    assert decides("params.x", operator, value, {"params": {"x": actual}}) is expected
    assert decides("action", operator, value, {"action": actual}) is expected


@pytest.mark.parametrize("operator", ["==", ">", "<", "contains", "matches", "in"])
def test_a_missing_field_satisfies_only_not_equal(operator: str) -> None:
    value: Any = ["x"] if operator == "in" else "x"
    for context in ({}, {"params": None}, {"params": {}}, {"params": "text"}, {"params": {"a": 3}}):
        assert decides("params.a.b", operator, value, context) is False
        assert decides("params.a.b", "!=", value, context) is True


def test_paths_of_any_depth_and_agent_fields() -> None:
    deep: dict[str, Any] = {"v": 7}
    for _ in range(50):
        deep = {"k": deep}
    assert decides("environment." + "k." * 50 + "v", "==", 7, {"environment": deep})
    assert decides("agent.role", "==", "admin", {"agent_role": "admin"})
    assert decides("agent_role", "==", "admin", {"agent": {"role": "admin"}})
    assert decides("agent.role", "==", "admin", {"agent": {"role": "admin"}})
    assert not decides("agent.role", "==", "admin", {"agent": {"role": "admin"}, "agent_role": "guest"})


def test_values_that_cannot_be_hashed_or_compared_never_raise() -> None:
    class Awkward:
        def __eq__(self, other: object) -> bool:
            raise RuntimeError("no")

        def __hash__(self) -> int:
            raise RuntimeError("no")

        def __gt__(self, other: object) -> bool:
            raise RuntimeError("no")

    for value in (Awkward(), [], {}, {"a"}, object(), float("nan"), b"bytes"):
        for operator, wanted in (("==", "a"), (">", 1), ("<", "a"), ("contains", "z"), ("in", ["a"]), ("matches", "a")):
            assert decides("action", operator, wanted, {"action": value}) is False
        assert decides("action", "!=", "a", {"action": value}) is (type(value) not in (Awkward, object))


def rule(rule_id: str, effect: str, priority: int = 0, **more: Any) -> Rule:
    return Rule(id=rule_id, name=rule_id, effect=effect, priority=priority, **more)


@pytest.mark.parametrize(
    ("rules", "winner"),
    [
        ([rule("low", "DENY", 1), rule("high", "ALLOW", 2)], "high"),
        ([rule("a", "ALLOW"), rule("b", "WARN"), rule("c", "AUDIT"), rule("d", "DENY")], "d"),
        ([rule("a", "ALLOW"), rule("b", "WARN"), rule("c", "AUDIT")], "c"),
        ([rule("a", "ALLOW"), rule("b", "WARN")], "b"),
        ([rule("b", "DENY"), rule("a", "DENY")], "a"),
        ([rule("off", "DENY", 9, enabled=False), rule("on", "ALLOW")], "on"),
        ([rule("shadow", "DENY", 9, mode="shadow"), rule("real", "ALLOW")], "real"),
        ([rule("negative", "ALLOW", -5)], "negative"),
    ],
)
def test_precedence(rules: list[Rule], winner: str) -> None:
    for order in (rules, rules[::-1]):
        engine = PolicyEngine()
        for one in order:
            engine.add_rule(one)
        assert engine.evaluate({"action": "x"}).rule_id == winner


def test_precedence_between_rules_filed_by_different_fields() -> None:
    engine = PolicyEngine()
    for rule_id, field, value, priority in (
        ("other-action", "action", "x", 9),
        ("action", "action", "y", 5),
        ("other-role", "agent_role", "q", 8),
        ("role", "agent_role", "r", 3),
        ("other-resource", "resource", "s", 7),
        ("resource", "resource", "t", 6),
    ):
        engine.add_rule(rule(rule_id, "ALLOW", priority, conditions=[Condition(field, "==", value)]))
    assert engine.evaluate({"action": "y", "agent_role": "r"}).rule_id == "action"
    assert engine.evaluate({"action": "y", "agent_role": "r", "resource": "t"}).rule_id == "resource"
    assert engine.evaluate({"action": "z", "agent_role": "r", "resource": "t"}).rule_id == "resource"
    assert engine.evaluate({"agent_role": "r"}).rule_id == "role"
    assert engine.evaluate({"action": "x", "agent_role": "q", "resource": "s"}).rule_id == "other-action"


def test_effects_and_the_default() -> None:
    engine = PolicyEngine()
    nothing = engine.evaluate({})
    assert (nothing.allowed, nothing.effect, nothing.rule_id) == (False, Effect.DENY, None)
    assert "no rule matches" in nothing.reason
    for effect, allowed, audit, warns in (
        ("ALLOW", True, False, 0),
        ("DENY", False, False, 0),
        ("WARN", True, False, 1),
        ("AUDIT", True, True, 0),
    ):
        engine = PolicyEngine(default_effect=effect)
        engine.add_rule(rule("x", effect, conditions=[Condition("action", "==", "act")], description="because"))
        for context in ({"action": "act"}, {"action": "other"}):
            decision = engine.evaluate(context)
            assert decision.effect == effect
            assert (decision.allowed, decision.requires_audit, len(decision.warnings)) == (allowed, audit, warns)
        assert "because" in engine.evaluate({"action": "act"}).reason
    with pytest.raises(InvalidInput, match="default_effect"):
        PolicyEngine(default_effect="maybe")


def test_a_rule_filed_under_many_values() -> None:
    engine = PolicyEngine()
    many = [f"a{number}" for number in range(300)]
    roles = [f"r{number}" for number in range(20)]
    held = [Condition("action", "in", many), Condition("agent_role", "in", roles), Condition("params.n", ">", 5)]
    engine.add_rule(rule("many", "ALLOW", conditions=held))
    for number in (0, 150, 299):
        for role in ("r0", "r19"):
            context = {"action": f"a{number}", "agent_role": role, "params": {"n": 6}}
            assert engine.evaluate(context).allowed
            assert not engine.evaluate({**context, "params": {"n": 5}}).allowed
            assert not engine.evaluate({**context, "agent_role": "r20"}).allowed
    engine.delete_rule("many")
    assert not engine.evaluate({"action": "a0", "agent_role": "r0", "params": {"n": 6}}).allowed


def test_a_bad_rule_is_refused_with_every_fault() -> None:
    with pytest.raises(InvalidInput) as caught:
        Rule.from_dict(
            {
                "id": "",
                "effect": "MAYBE",
                "priority": "high",
                "colour": "red",
                "conditions": [
                    {"field": "a..b", "operator": "~", "value": 1},
                    {"field": "a", "operator": "matches", "value": "a(b"},
                    {"field": "a", "operator": ">", "value": True},
                    {"field": "a", "operator": "in", "value": "abc"},
                    "nonsense",
                ],
            }
        )
    places = [fault.partition(":")[0] for fault in caught.value.faults]
    of_conditions = ["[0].field", "[0].operator", "[1].value", "[2].value", "[3].value", "[4]"]
    expected = ["id", "name", "effect", "priority", "colour", *("conditions" + place for place in of_conditions)]
    assert sorted(places) == sorted(expected)


@pytest.mark.parametrize(
    ("place", "given"),
    [
        ("id", {"id": "\ud800"}),
        ("name", {"name": "\ud800"}),
        ("description", {"description": "\ud800"}),
        ("tags", {"tags": ["\ud800"]}),
        ("metadata", {"metadata": {"\ud800": 1}}),
        ("metadata", {"metadata": {"a": ["\ud800"]}}),
        ("conditions[0].field", {"conditions": [{"field": "a\ud800", "operator": "==", "value": 1}]}),
        ("conditions[0].value", {"conditions": [{"field": "a", "operator": "==", "value": "\ud800"}]}),
    ],
)
def test_what_cannot_be_written_is_refused(place: str, given: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as caught:
        Rule.from_dict({"id": "r", "name": "r", "effect": "DENY", **given})
    assert [fault.partition(":")[0] for fault in caught.value.faults] == [place]


def test_a_bad_pattern_is_named_with_its_place() -> None:
    with pytest.raises(InvalidInput, match=r"pattern 'ab\[z-a\]' is refused by RE2: .*range at character 3 \('z-a'\)"):
        Condition("action", "matches", "ab[z-a]")
    for pattern in ("(?=x)", r"(a)\1", "(a{1000}){1000}", "*"):
        with pytest.raises(InvalidInput, match="is refused by RE2"):
            Condition("action", "matches", pattern)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("pattern", ["(a+)+$", "((a*)*)*$", "(a|aa)+$", "(.*)*x", "([a-z]+)*$"])
def test_evil_patterns_cost_linear_time(pattern: str) -> None:
    assert decides("params.x", "matches", pattern, {"params": {"x": "a" * 1_000_000 + "!"}}) is False


def test_rules_are_immutable_and_copy_what_they_are_given() -> None:
    metadata = {"owners": ["ann"]}
    made = rule("r", "DENY", metadata=metadata, conditions=[Condition("a", "in", ["x"])])
    metadata["owners"].append("bob")
    assert made.metadata == {"owners": ["ann"]}
    with pytest.raises(AttributeError):
        made.priority = 3  # type: ignore[misc]
    with pytest.raises(TypeError, match="immutable"):
        made.metadata["owners"].append("eve")
    with pytest.raises(TypeError, match="immutable"):
        made.conditions[0].value.append("y")
    for same in (copy.deepcopy(made), pickle.loads(pickle.dumps(made)), Rule.from_dict(made.to_dict())):
        assert same == made


def test_changing_rules() -> None:
    engine = PolicyEngine()
    engine.add_rule(rule("a", "ALLOW", 1))
    with pytest.raises(Conflict, match="exists"):
        engine.add_rule(rule("a", "DENY"))
    for missing in (engine.get_rule, engine.delete_rule, engine.enable_rule, engine.disable_rule):
        with pytest.raises(NotFound, match="'zz'"):
            missing("zz")
    assert engine.update_rule("a", {"priority": 5}).priority == 5
    assert engine.update_rule("a", priority=6).priority == 6
    assert engine.update_rule(rule("a", "WARN")).effect == "WARN"
    with pytest.raises(InvalidInput, match="keeps its id"):
        engine.update_rule("a", {"id": "b"})
    with pytest.raises(InvalidInput, match="colour"):
        engine.update_rule("a", {"colour": "red"})
    engine.disable_rule("a")
    assert engine.evaluate({}).rule_id is None
    engine.enable_rule("a")
    assert engine.evaluate({}).rule_id == "a"
    engine.delete_rule("a")
    assert engine.rules() == []
    with pytest.raises(InvalidInput, match="context"):
        engine.evaluate(None)  # type: ignore[arg-type]


def test_validity_follows_the_clock() -> None:
    now = 100.0
    engine = PolicyEngine(clock=lambda: now)
    engine.add_rule(rule("always", "ALLOW"))
    engine.add_rule(rule("window", "DENY", 5, not_before=200, expires_at=300))
    seen = []
    for moment in (100.0, 199.9, 200.0, 299.9, 300.0, 400.0):
        now = moment
        seen.append(engine.evaluate({}).rule_id)
    assert seen == ["always", "always", "window", "window", "always", "always"]
    engine.delete_rule("window")
    assert engine.evaluate({}).rule_id == "always"
