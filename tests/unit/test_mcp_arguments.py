"""A tool's arguments, completed and checked by its input schema."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from brain.policy.guards_mcp.arguments import MAX_DEPTH, prepared
from brain.policy.guards_mcp.schemas import ArgumentsRefused

REFUND = {
    "type": "object",
    "properties": {"amount": {"type": "number"}, "currency": {"type": "string", "default": "GBP"}},
    "required": ["amount"],
}


def faults(schema: dict[str, Any], arguments: dict[str, Any], **options: Any) -> str:
    """Why they are refused."""
    with pytest.raises(ArgumentsRefused) as caught:
        prepared(schema, arguments, **options)
    return str(caught.value)


def test_defaults_are_filled_in_and_the_arguments_left_alone() -> None:
    given: dict[str, Any] = {"amount": 5}
    assert prepared(REFUND, given) == {"amount": 5, "currency": "GBP"}
    assert given == {"amount": 5}
    assert prepared(REFUND, {"amount": 5, "currency": "EUR"}) == {"amount": 5, "currency": "EUR"}


@pytest.mark.parametrize("amount", ["900", True, None, '["x"]', "NaN", [5], {"value": 5}])
def test_nothing_is_converted(amount: Any) -> None:
    assert faults(REFUND, {"amount": amount}).startswith("amount: ")


@pytest.mark.parametrize("amount", [float("nan"), float("inf"), -float("inf")])
def test_numbers_are_finite(amount: float) -> None:
    schema = {"type": "object", "properties": {"list": {"type": "array"}}}
    assert "list.0" in faults(schema, {"list": [amount]})


def test_every_fault_is_named_with_its_place() -> None:
    schema = {
        "type": "object",
        "properties": {"to": {"type": "array", "items": {"type": "string"}}, "n": {"type": "integer", "maximum": 3}},
        "required": ["n"],
    }
    text = faults(schema, {"to": ["a", 1], "n": 4, "x": 1})
    assert "to.1: 1 is not of type 'string'" in text
    assert "n: 4 is greater than the maximum of 3" in text
    assert "x: the tool has no such argument" in text
    assert faults(schema, {}) == "arguments: 'n' is a required property"


def test_unknown_arguments() -> None:
    assert "no such argument" in faults(REFUND, {"amount": 1, "note": "x"})
    assert prepared(REFUND, {"amount": 1, "note": "x"}, unknown="pass")["note"] == "x"
    open_ = {**REFUND, "additionalProperties": True}
    assert prepared(open_, {"amount": 1, "note": "x"})["note"] == "x"
    assert "'note' is not a property" in faults({**REFUND, "additionalProperties": False}, {"amount": 1, "note": "x"})
    assert prepared({"type": "object"}, {"anything": 1}) == {"anything": 1}


def test_defaults_inside() -> None:
    schema = {
        "$defs": {"Filter": {"type": "object", "properties": {"currency": {"type": "string", "default": "GBP"}}}},
        "type": "object",
        "properties": {
            "one": {"$ref": "#/$defs/Filter"},
            "given": {"$ref": "#/$defs/Filter", "default": {}},
            "many": {"type": "array", "items": {"$ref": "#/$defs/Filter"}},
            "maybe": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/Filter"}], "default": None},
            "named": {"type": "object", "additionalProperties": {"$ref": "#/$defs/Filter"}},
            "both": {"allOf": [{"$ref": "#/$defs/Filter"}, {"properties": {"limit": {"default": 10}}}]},
            "pair": {"type": "array", "prefixItems": [{"type": "integer"}, {"$ref": "#/$defs/Filter"}]},
        },
    }
    pounds = {"currency": "GBP"}
    given = {"one": {}, "many": [{}], "maybe": {}, "named": {"a": {}}, "both": {}, "pair": [1, {}]}
    assert prepared(schema, given) == {
        "one": pounds,
        "given": pounds,
        "many": [pounds],
        "maybe": pounds,
        "named": {"a": pounds},
        "both": {"currency": "GBP", "limit": 10},
        "pair": [1, pounds],
    }
    assert prepared(schema, {}) == {"given": pounds, "maybe": None}


def test_defaults_that_do_not_fit() -> None:
    """`x: str = None` is common, and means that nothing was given; any other default must fit."""
    assert prepared({"type": "object", "properties": {"x": {"type": "string", "default": None}}}, {}) == {}
    assert faults({"type": "object", "properties": {"x": {"type": "string", "default": 900}}}, {}).startswith("x: 900")


def test_texts_that_hold_json() -> None:
    schema = {
        "type": "object",
        "properties": {
            "query": {"anyOf": [{"type": "string"}, {"type": "object"}]},
            "note": {"type": "string"},
            "maybe": {"type": ["string", "null"]},
        },
    }
    assert "query: the text holds JSON" in faults(schema, {"query": '{"amount": 900}'}, remote=True)
    assert "maybe: the text holds JSON" in faults(schema, {"maybe": "null"}, remote=True)
    sure = {"query": "plain", "note": '{"amount": 900}', "maybe": "5"}
    assert prepared(schema, sure, remote=True) == sure
    assert prepared(schema, {"query": '{"amount": 900}'}) == {"query": '{"amount": 900}'}


def test_nothing_is_fetched() -> None:
    for reference in ("http://127.0.0.1:9/schema.json", "file:///etc/hostname", "#/$defs/missing", "other.json"):
        schema = {"type": "object", "properties": {"x": {"$ref": reference}}}
        assert faults(schema, {"x": 1}).startswith("input schema: ")


def test_patterns_take_linear_time() -> None:
    slow = "(a+)+$"
    text = "a" * 10_000 + "!"
    schemas: list[dict[str, Any]] = [
        {"type": "object", "properties": {"x": {"type": "string", "pattern": slow}}},
        {"type": "object", "properties": {"x": {"$ref": "#/$defs/p"}}, "$defs": {"p": {"pattern": slow}}},
        {"$schema": "http://json-schema.org/draft-07/schema#", "properties": {"x": {"pattern": slow}}},
    ]
    started = time.thread_time()
    for schema in schemas:
        assert "does not match" in faults(schema, {"x": text})
    for more in ({"additionalProperties": False}, {"additionalProperties": {"type": "null"}}, {}):
        named = {"type": "object", "patternProperties": {slow: {"type": "integer"}}, **more}
        if more:
            assert faults(named, {text: 1}, unknown="pass")
        else:
            assert prepared(named, {text: 1}) == {text: 1}
    assert time.thread_time() - started < 5
    assert "pattern" in faults({"properties": {"x": {"pattern": "(?=a)b"}}}, {"x": "b"})


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"x": {"$schema": "http://json-schema.org/draft-07/schema#"}}},
        {"type": "object", "properties": {"x": {"$id": "http://example.org/x"}}},
        {"patternProperties": {"a": {}}, "unevaluatedProperties": False},
        {"type": "nonsense"},
        {"properties": {"x": {"properties": []}}},
        {"$ref": "#"},
        {"anyOf": [{"$ref": "#"}]},
        {"type": "object", "properties": {"x": {"$ref": "#", "default": {}}}},
    ],
)
def test_schemas_that_cannot_be_used(schema: dict[str, Any]) -> None:
    assert faults(schema, {}).startswith("input schema: ")


def test_sizes_are_bounded() -> None:
    deep: dict[str, Any] = {"type": "object"}
    for _ in range(40):
        deep = {"type": "object", "properties": {"x": deep}}
    assert "nested more than 64" in faults(deep, {})
    assert "bytes" in faults({"type": "object", "description": "x" * 300_000}, {})
    value: Any = 1
    for _ in range(MAX_DEPTH):
        value = [value]
    assert prepared({"type": "object"}, {"x": value}) == {"x": value}
    assert "nested more than" in faults({"type": "object"}, {"x": [value]})


def test_a_schema_cannot_ask_for_any_number_of_references() -> None:
    doubled: dict[str, Any] = {"d0": {"type": "integer"}}
    for place in range(1, 40):
        doubled[f"d{place}"] = {"allOf": [{"$ref": f"#/$defs/d{place - 1}"}] * 2}
    schema = {"$defs": doubled, "properties": {"x": {"$ref": "#/$defs/d39"}}}
    started = time.thread_time()
    assert "references" in faults(schema, {"x": 1})
    assert time.thread_time() - started < 10


def test_a_recursive_schema_is_fine_where_the_value_ends() -> None:
    schema = {"$defs": {"N": {"properties": {"next": {"$ref": "#/$defs/N"}, "v": {"default": 1}}}}, "$ref": "#/$defs/N"}
    assert prepared(schema, {"next": {"next": {}}}) == {"v": 1, "next": {"v": 1, "next": {"v": 1}}}


def test_a_schema_is_not_changed_by_its_use() -> None:
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **REFUND}
    before = json.dumps(schema)
    first = prepared(schema, {"amount": 1})
    first["currency"] = "changed"
    assert prepared(schema, {"amount": 1})["currency"] == "GBP"
    assert json.dumps(schema) == before


def test_the_former_place_of_the_failures_is_kept_for_a_release() -> None:
    from brain.policy import guards_mcp
    from brain.policy.guards_mcp import asking

    with pytest.warns(DeprecationWarning, match="import failures from brain.policy.guards_mcp"):
        former = asking.failures
    assert former is guards_mcp.failures
