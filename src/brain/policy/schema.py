"""The JSON Schema of policy files, for editors and other programs; published as docs/policy-schema.json."""

from __future__ import annotations

from typing import Any

from brain import limits
from brain.charter import Effect
from brain.policy.models import EVERYONE, Mode
from brain.policy.operators import Operator

_BOUNDS = {"x-max-depth": limits.DEPTH, "x-max-bytes": limits.VALUE_BYTES}
"""For which JSON Schema has no keywords."""


def policy_schema() -> dict[str, Any]:
    """The schema (draft 2020-12). A file that keeps to it can still have faults that a schema cannot tell."""
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
        "$defs": {"rules": {"type": "array", "items": _rule(), "maxItems": limits.RULES}, "condition": _condition()},
    }


def _rule() -> dict[str, Any]:
    moment = {"type": ["number", "null"], "minimum": 0, "exclusiveMaximum": limits.MOMENT}
    allows = {"properties": {"effect": {"const": Effect.ALLOW.value}, EVERYONE: {"const": False}}}
    return {
        "type": "object",
        "properties": {
            "id": {"type": "string", "minLength": 1, "maxLength": limits.ID, "pattern": "^[^/]+$"},
            "name": {"type": "string", "maxLength": limits.NAME, "description": "What people call the rule."},
            "effect": {"enum": [effect.value for effect in Effect], "description": "WARN and AUDIT allow."},
            "conditions": {
                "type": "array",
                "items": {"$ref": "#/$defs/condition"},
                "maxItems": limits.CONDITIONS,
                "description": "All must hold; without any the rule always matches.",
            },
            "priority": {
                "type": "integer",
                "minimum": -limits.PRIORITY,
                "maximum": limits.PRIORITY,
                "default": 0,
                "description": "The matching rule with the highest priority decides.",
            },
            "enabled": {"type": "boolean", "default": True},
            "description": {
                "type": "string",
                "maxLength": limits.TEXT,
                "description": "Part of the reason of decisions.",
            },
            "metadata": {
                "type": "object",
                "description": "Free, but for what guards read.",
                **_BOUNDS,
                "properties": {
                    "requires_approval": {
                        "type": "boolean",
                        "description": "With AUDIT or WARN: a guard waits for a person.",
                    },
                    "approval_timeout": {"type": "number", "description": "Seconds a person has for the answer."},
                },
            },
            "mode": {
                "enum": [mode.value for mode in Mode],
                "default": "enforce",
                "description": "shadow: evaluated and recorded, never applied.",
            },
            EVERYONE: {
                "type": "boolean",
                "default": False,
                "description": "Said of an ALLOW that has no conditions on purpose.",
            },
            "tags": {
                "type": "array",
                "items": {"type": "string", "minLength": 1, "maxLength": limits.TYPE},
                "maxItems": limits.TAGS,
            },
            "not_before": {**moment, "description": "Takes part from here on; Unix seconds."},
            "expires_at": {**moment, "description": "Takes part until then; Unix seconds."},
        },
        "required": ["id", "name", "effect"],
        "additionalProperties": False,
        "if": allows,
        "then": {"properties": {"conditions": {"minItems": 1}}, "required": ["conditions"]},
        "x-max-bytes": limits.RULE_BYTES,
    }


def _condition() -> dict[str, Any]:
    def when(operators: list[str], value: dict[str, Any]) -> dict[str, Any]:
        return {
            "if": {"properties": {"operator": {"enum": operators}}, "required": ["operator"]},
            "then": {"properties": {"value": value}},
        }

    return {
        "type": "object",
        "properties": {
            "field": {
                "type": "string",
                "minLength": 1,
                "maxLength": limits.FIELD,
                "pattern": f"^[^.]+(\\.[^.]+){{0,{limits.FIELD_PARTS - 1}}}$",
                "description": "A dotted path into the context.",
            },
            "operator": {"enum": [operator.value for operator in Operator]},
            "value": {"description": "What the field is compared with.", **_BOUNDS},
        },
        "required": ["field", "operator", "value"],
        "additionalProperties": False,
        "allOf": [
            when([">", "<"], {"type": ["number", "string"]}),
            when(["in"], {"type": "array"}),
            when(
                ["matches"],
                {
                    "type": "string",
                    "maxLength": limits.PATTERN,
                    "description": "An RE2 pattern, anchored at the start.",
                },
            ),
        ],
    }
