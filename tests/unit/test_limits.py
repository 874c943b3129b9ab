"""The bounds: what is refused, with its place; how the docs and schemas state them; that none blows up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brain import limits
from brain.charter import Event
from brain.errors import EnvelopeError, InvalidInput
from brain.immune.models import HealthEvent
from brain.json_text import fault_in, is_deeper, json_fault
from brain.policy import Condition, PolicyEngine, Rule
from brain.policy.schema import policy_schema
from brain.stream import EventStream
from brain.threats.service import ThreatService

DOCS = Path(__file__).parents[2] / "docs"
DEPTHS = [limits.DEPTH - 1, limits.DEPTH, limits.DEPTH + 1, 1_000, 100_000]


def nested(depth: int, key: str | None = "k") -> Any:
    """A value of this depth, of lists when there is no key."""
    value: Any = 1
    for _ in range(depth):
        value = [value] if key is None else {key: value}
    return value


def test_the_docs_have_the_bounds_as_they_are() -> None:
    assert limits.table() in (DOCS / "limits.md").read_text(), "put limits.table() into docs/limits.md"
    assert limits.DEPTH == 32
    rule = policy_schema()["$defs"]["Rule"]["properties"]
    assert (rule["metadata"]["x-max-depth"], rule["metadata"]["x-max-bytes"]) == (limits.DEPTH, limits.VALUE_BYTES)


@pytest.mark.parametrize("key", ["k", None])
@pytest.mark.parametrize("depth", DEPTHS)
async def test_depth_is_refused_by_every_model(depth: int, key: str | None) -> None:
    value, beyond = nested(depth, key), depth > limits.DEPTH
    held = {"k": nested(depth - 1, key)}
    made = [
        ("value", lambda: Condition("params.a", "==", value)),  # type: ignore[arg-type]
        ("metadata", lambda: Rule(id="r", name="r", effect="DENY", metadata=held)),  # type: ignore[arg-type]
        ("details", lambda: HealthEvent("INFO", "ERROR_SPIKE", "m", "m", held)),  # type: ignore[arg-type]
    ]
    for name, make in made:
        if beyond:
            with pytest.raises(InvalidInput) as caught:
                make()
            assert [fault.partition(":")[0] for fault in caught.value.faults] == [name]
            assert "nested deeper than 32 levels" in str(caught.value)
        else:
            make()
    threats = ThreatService()
    if beyond:
        with pytest.raises(InvalidInput, match="metadata: is nested deeper than 32 levels"):
            await threats.create_threat("t", "s", metadata=held)
        assert await threats.list_threats() == []
    else:
        await threats.create_threat("t", "s", metadata=held)


@pytest.mark.parametrize("depth", [limits.EVENT_DEPTH - 1, limits.EVENT_DEPTH, 900, 100_000])
async def test_an_event_that_is_nested_too_deeply_is_refused_when_published_and_when_read(depth: int) -> None:
    event = Event(type="a.b", source="a_service", payload=nested(depth))  # the envelope is one level more
    async with EventStream.open("memory://") as stream:
        receipt = stream.publish(event)
        if depth < limits.EVENT_DEPTH:
            assert await receipt
            assert stream.stats()["refused"] == 0
        else:
            with pytest.raises(EnvelopeError, match="nested deeper"):
                await receipt
            assert stream.stats()["refused"] == 1
    written = b'{"id":"evt_a_1_000000000000","type":"a.b","source":"a_service","target":null,"timestamp":1,'
    written += b'"meta":{"correlation_id":null,"version":"1.0"},"payload":' + b'{"k":' * depth + b"1" + b"}" * depth
    if depth > 900:
        with pytest.raises(EnvelopeError, match="payload: is nested deeper"):
            Event.decode(written + b"}")


async def test_the_events_of_a_rule_of_full_depth_are_published() -> None:
    async with EventStream.open("memory://") as stream:
        engine = PolicyEngine(stream)
        held = [Condition("params.a", "==", nested(limits.DEPTH))]  # type: ignore[arg-type]
        engine.add_rule(Rule(id="r", name="r", effect="DENY", conditions=held, metadata={"k": nested(31)}))  # type: ignore[arg-type]
        engine.update_rule("r", conditions=[], metadata={})
        engine.update_rule("r", conditions=[one.to_dict() for one in held])
        assert stream.stats()["refused"] == 0
        assert len(await stream.read("policy.rule_*")) == 3


@pytest.mark.parametrize("depth", DEPTHS)
def test_a_context_of_any_depth_is_decided_in_process_without_an_error(depth: int) -> None:
    engine = PolicyEngine()
    engine.add_rule(Rule(id="deep", name="d", effect="ALLOW", conditions=[Condition("params.k.k", "==", 1)]))
    engine.add_rule(Rule(id="in", name="i", effect="ALLOW", conditions=[Condition("params", "in", [{"k": 1}])]))
    assert engine.evaluate({"action": "x", "params": nested(depth)}).allowed is False
    assert engine.explain({"action": "x", "params": nested(depth)}).decision.allowed is False


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("id", {"id": "x" * (limits.ID + 1)}),
        ("name", {"name": "x" * (limits.NAME + 1)}),
        ("description", {"description": "x" * (limits.TEXT + 1)}),
        ("priority", {"priority": limits.PRIORITY + 1}),
        ("tags", {"tags": ["x" * (limits.TYPE + 1)]}),
        ("tags", {"tags": [str(number) for number in range(limits.TAGS + 1)]}),
        ("metadata", {"metadata": {"k": "x" * limits.VALUE_BYTES}}),
        ("metadata", {"metadata": {"k": 2**64}}),
        ("expires_at", {"expires_at": limits.MOMENT}),
        ("conditions", {"conditions": [Condition("a", "==", 1)] * (limits.CONDITIONS + 1)}),
        ("conditions", {"conditions": [Condition("a", "!=", "x" * 65_000)] * 5}),
    ],
)
def test_each_field_of_a_rule_has_its_bound(name: str, given: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as caught:
        Rule.from_dict({"id": "r", "name": "r", "effect": "DENY", **given})
    assert [fault.partition(":")[0] for fault in caught.value.faults] == [name]
    assert len(str(caught.value)) < 1_000


@pytest.mark.parametrize(
    ("field", "accepted"),
    [
        (".".join(["k"] * limits.FIELD_PARTS), True),
        (".".join(["k"] * (limits.FIELD_PARTS + 1)), False),
        (".".join(["k"] * 250), False),
        ("k" * limits.FIELD, True),
        ("k" * (limits.FIELD + 1), False),
    ],
)
def test_a_field_that_is_accepted_can_be_compiled(field: str, accepted: bool) -> None:
    if not accepted:
        with pytest.raises(InvalidInput, match=r"field: .*more than 64 parts or 1,000 characters"):
            Condition(field, "==", 1)  # type: ignore[arg-type]
        return
    engine = PolicyEngine()
    for operator, value in (("==", 1), ("==", True), ("in", ["a"]), (">", 1), ("matches", "a"), ("contains", "a")):
        held = [Condition(field, operator, value)]  # type: ignore[arg-type]
        engine.add_rule(Rule(id=f"{operator}{value}", name="r", effect="DENY", conditions=held))  # type: ignore[arg-type]
    assert engine.evaluate({"action": "x"}).rule_id is None


def test_a_value_that_holds_itself_or_grows_without_end_is_refused_at_once() -> None:
    circle: dict[str, Any] = {}
    circle["k"] = circle
    tree: Any = [1] * 100
    for _ in range(30):
        tree = [tree] * 100
    assert "nested deeper" in str(limits.fault_of(circle))
    assert "more than 65536 members" in str(limits.fault_of(tree)).replace(",", "")


@given(value=st.recursive(st.one_of(st.none(), st.booleans(), st.integers(), st.text()), st.lists, max_leaves=20))
def test_what_has_no_fault_can_be_written_and_read(value: Any) -> None:
    fault = limits.fault_of(value)
    numbers = str(value)
    if fault is None:
        Rule(id="r", name="r", effect="DENY", metadata={"k": value})  # type: ignore[arg-type]
    else:
        assert "64 bits" in fault, numbers


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (b'{"a": 1e400}', "a: '1e400' is not a number that JSON can hold"),
        (b'{"a": {"b": [1, NaN]}}', "a.b[1]: 'NaN' is not a number that JSON can hold"),
        (b'{"a": [{"b": "\\ud800"}]}', "a[0].b: is no valid text: it has a lone surrogate"),
        (b'{"a": "\\ud83d\\ude00", "b": "\xff"}', "b: is not UTF-8"),
        (b'{"a": {"b": 1, "b": 2}}', "a.b: is given twice"),
        (b'{"a": 1, "\\u0061": 2}', "a: is given twice"),
        (b'{"a": ' + b"9" * 5_000 + b"}", "a: '9999999999999999999999999999999999999999' is not a number"),
        (b'{"k":' * 41 + b"1" + b"}" * 41, ".".join(["k"] * 40) + ": is nested too deeply; 40 levels are allowed"),
        (b"[" * 100_000, "[0]" * 40),
        (b'{"a" 1}', "JSON is malformed"),
        (b'{"a": "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["}', None),
    ],
)
def test_where_a_json_text_is_at_fault(text: bytes, fault: str | None) -> None:
    found = json_fault(text, 40)
    assert found is None if fault is None else str(found).startswith(fault)


@given(depth=st.integers(0, 60), text=st.text())
def test_nesting_is_counted_outside_of_texts(depth: int, text: str) -> None:
    written = json.dumps(text).encode()
    assert is_deeper(b"[" * depth + written + b"]" * depth, depth - 1) is (depth > 0)
    assert not is_deeper(b"[" * depth + written + b"]" * depth, depth)
    assert (fault_in(b"[" * depth + written + b"]" * depth, 40) is not None) == (depth > 40)
