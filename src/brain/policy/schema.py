"""The JSON Schema of policy files, for editors and other programs; published as docs/policy-schema.json.

It is made from the classes Rule and Condition; what only files have, and what depends on a value, is added here.
"""

from __future__ import annotations

from typing import Any

import msgspec

from brain import limits
from brain.charter import Effect
from brain.policy.approvers import MAX_TIMEOUT, MOST
from brain.policy.models import EVERYONE, Rule
from brain.policy.operators import VALUE_SCHEMAS

_NAMES = {"type": "array", "items": {"type": "string", "minLength": 1}}
_METADATA = {
    "requires_approval": {"type": "boolean", "description": "With AUDIT or WARN: a guard waits for a person."},
    "approval_timeout": {
        "type": "number",
        "exclusiveMinimum": 0,
        "maximum": MAX_TIMEOUT,
        "description": "Seconds a person has for the answer.",
    },
    "approvers": {
        "type": "integer",
        "minimum": 1,
        "maximum": MOST,
        "description": "How many different ones must agree; else one.",
    },
    "approved_by": {**_NAMES, "description": "The names of those who alone may agree."},
    "delegates": {
        "type": "object",
        "additionalProperties": _NAMES,
        "description": "By name: a list of those who may agree in that one's place.",
    },
}
"""What guards read of a rule's metadata."""
_EVERYONE = {
    "type": "boolean",
    "default": False,
    "description": "Said of an ALLOW that has no conditions on purpose.",
}


def policy_schema() -> dict[str, Any]:
    """The schema (draft 2020-12). A file that keeps to it can still have faults that a schema cannot find."""
    _, shapes = msgspec.json.schema_components((Rule,), ref_template="#/$defs/{name}")
    for shape in shapes.values():
        del shape["title"], shape["description"]
    _complete_rule(shapes["Rule"])
    shapes["Condition"] |= {
        "additionalProperties": False,
        "allOf": [_value_of(operator, value) for operator, value in VALUE_SCHEMAS.items()],
    }
    rules = {"type": "array", "items": {"$ref": "#/$defs/Rule"}, "maxItems": limits.RULES}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "BRAiN policy file",
        "description": "Rules of a policy, as `brain policy import` reads them from YAML or JSON.",
        "oneOf": [
            {
                "type": "object",
                "properties": {
                    "version": {"const": 1, "description": "The version of this format."},
                    "description": {"type": "string", "description": "What the policy is for."},
                    "rules": {"$ref": "#/$defs/rules"},
                },
                "required": ["rules"],
                "additionalProperties": False,
            },
            {"$ref": "#/$defs/rules"},
        ],
        "$defs": {"rules": rules, **shapes},
    }


def _complete_rule(rule: dict[str, Any]) -> None:
    """Add what a file must say besides: that an ALLOW without conditions is meant."""
    rule["properties"][EVERYONE] = _EVERYONE
    rule["properties"]["metadata"]["properties"] = _METADATA
    rule |= {
        "additionalProperties": False,
        "if": {"properties": {"effect": {"const": Effect.ALLOW.value}, EVERYONE: {"const": False}}},
        "then": {"properties": {"conditions": {"minItems": 1}}, "required": ["conditions"]},
        "x-max-bytes": limits.RULE_BYTES,
    }


def _value_of(operator: str, value: dict[str, Any]) -> dict[str, Any]:
    return {
        "if": {"properties": {"operator": {"const": operator}}, "required": ["operator"]},
        "then": {"properties": {"value": value}},
    }
