"""The operators of conditions: what each compares, which values it may have, and the expression that does it.

A new operator needs a member of Operator, a branch in `prepared` with its expression, and a row in docs/policy.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from brain import limits
from brain.policy import patterns
from brain.policy.values import fits_ordering


class Operator(StrEnum):
    """How a condition compares the field's value, on the left, with its own, on the right."""

    EQ = "=="
    NE = "!="
    GT = ">"
    LT = "<"
    CONTAINS = "contains"
    MATCHES = "matches"
    IN = "in"


_ORDERED = {"type": ["number", "string"]}
VALUE_SCHEMAS: Mapping[Operator, dict[str, Any]] = {
    Operator.GT: _ORDERED,
    Operator.LT: _ORDERED,
    Operator.IN: {"type": "array"},
    Operator.MATCHES: {
        "type": "string",
        "maxLength": limits.PATTERN,
        "description": "An RE2 pattern, anchored at the start.",
    },
}
"""As JSON Schema, which values conditions may have, as far as a schema can say; other operators take any."""


def value_faults(operator: Operator, value: Any) -> list[str]:
    """What is wrong with the value of a condition with that operator: each fault with its remedy."""
    if operator in (Operator.GT, Operator.LT) and not fits_ordering(value):
        return [f"value: {operator} compares with a number or a string, not with {limits.shown(value)}"]
    if operator is Operator.IN and not isinstance(value, list):
        return [f"value: in needs a list of values, not {limits.shown(value)}"]
    if operator is Operator.MATCHES:
        if not isinstance(value, str):
            return [f"value: matches needs a pattern as a string, not {limits.shown(value)}"]
        if len(value) > limits.PATTERN:
            return [f"value: a pattern of {len(value):,} characters is longer than {limits.PATTERN:,}; split the rule"]
        try:
            patterns.check(value)
        except patterns.PatternError as error:
            return [f"value: {error}"]
    return []


# How `v` (the field's value) is compared with `x` (the operand). `kind(v)` is exact, so `true` is no int here; all that
# is neither the usual type nor missing is left to a function. A NaN alone differs from itself.
_NUMBER = "v {0} x if (k := kind(v)) is int else (v {0} x or v != v and unknown()) if k is float else {1}(v, x)"
EXPRESSIONS = {
    "text equals": "v == x if kind(v) is str else equals(v, x)",
    "equals": "equals(v, x)",
    "text differs": "v != x if kind(v) is str else not equals(v, x)",
    "differs": "not equals(v, x)",
    "number greater": _NUMBER.format(">", "is_greater"),
    "number less": _NUMBER.format("<", "is_less"),
    "text greater": "v > x if kind(v) is str else is_greater(v, x)",
    "text less": "v < x if kind(v) is str else is_less(v, x)",
    "text contains": "x in v if kind(v) is str else contains(v, x)",
    "contains": "contains(v, x)",
    "text in": "v in x if kind(v) is str else is_among(v, x)",
    "in": "is_among(v, x)",
    "begins": "v.startswith(x) if kind(v) is str else matches(v, lambda text: text.startswith(x))",
    "matches": "x(v) if kind(v) is str else matches(v, x)",
}


def prepared(operator: Operator, value: Any) -> tuple[str, Any]:
    """The key in EXPRESSIONS of the comparison with a condition's `value`, and the operand that it takes as `x`."""
    text = isinstance(value, str)
    match operator:
        case Operator.EQ:
            return ("text equals" if text else "equals"), value
        case Operator.NE:
            return ("text differs" if text else "differs"), value
        case Operator.GT:
            return ("text greater" if text else "number greater"), value
        case Operator.LT:
            return ("text less" if text else "number less"), value
        case Operator.CONTAINS:
            return ("text contains" if text else "contains"), value
        case Operator.MATCHES:
            literal = patterns.literal_prefix(value)
            return ("begins", literal) if literal is not None else ("matches", patterns.matcher(value))
        case Operator.IN if all(type(member) is str for member in value):
            return "text in", dict.fromkeys(value)
    return "in", value
