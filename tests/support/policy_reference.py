"""A naive policy evaluator, written straight from the tables in docs/policy.md, against which the engine is checked.

A condition is True, False or None: nobody can tell. Everything is read at once, and nothing is quick.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import fractions
import pathlib
import uuid
from collections import UserDict, deque

import attrs
import msgspec
import pydantic
import re2

OPAQUE = object()


def see(value):
    """What a rule sees of a value."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, type):
        return OPAQUE
    if isinstance(value, enum.Enum):
        return see(value.value)
    if isinstance(value, str):
        return "".join(value)
    if isinstance(value, bytes | bytearray):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            return OPAQUE
    if isinstance(value, int):
        return 0 + value
    if isinstance(value, float):
        return 0.0 + value
    if isinstance(value, decimal.Decimal):
        if value.is_nan():
            return float("nan")
        return fractions.Fraction(value) if value.is_finite() else float(value)
    if isinstance(value, fractions.Fraction):
        return value
    if isinstance(value, dict | UserDict):
        return {key_text(key): see(member) for key, member in value.items()}
    if isinstance(value, pydantic.BaseModel):
        return {name: see(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return {name: see(getattr(value, name)) for name in value._fields}
    if dataclasses.is_dataclass(value):
        return {field.name: see(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if attrs.has(type(value)):
        return {field.name: see(getattr(value, field.name)) for field in attrs.fields(type(value))}
    if isinstance(value, msgspec.Struct):
        return {name: see(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, set | frozenset):
        seen = [see(member) for member in value]
        return sorted(seen, key=lambda one: (type(one).__name__, repr(one)))
    if isinstance(value, list | tuple | deque):
        return [see(member) for member in value]
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, uuid.UUID | pathlib.PurePath):
        return str(value)
    return OPAQUE


def key_text(key):
    seen = see(key)
    if isinstance(seen, str):
        return seen
    return {"None": "null", "True": "true", "False": "false"}.get(repr(seen), repr(seen))


def lookup(field, context):
    """Whether the field is there, and what is seen of it."""
    keys = field.split(".")
    if keys[0] == "agent" and len(keys) > 1:
        keys[:2] = ["agent_" + keys[1]]
    seen = {key: see(value) for key, value in context.items()}
    agent = seen.get("agent")
    if isinstance(agent, dict):
        seen = {**{f"agent_{key}": value for key, value in agent.items()}, **seen}
    elif agent is OPAQUE:
        seen = {"agent_id": OPAQUE, "agent_role": OPAQUE, **seen}
    for key in keys:
        if seen is OPAQUE:
            return True, OPAQUE
        if not isinstance(seen, dict) or key not in seen:
            return False, None
        seen = seen[key]
    return True, seen


def number(value):
    return isinstance(value, int | float | fractions.Fraction) and not isinstance(value, bool)


def nan(value):
    return isinstance(value, float) and value != value


def exact(value, other):
    """A float beside a fraction is the number that is written; all other numbers are what they are."""
    if isinstance(value, float) and isinstance(other, fractions.Fraction) and abs(value) != float("inf"):
        return fractions.Fraction(repr(value))
    return value


def every(answers):
    answers = list(answers)
    return False if False in answers else None if None in answers else True


def some(answers):
    answers = list(answers)
    return True if True in answers else None if None in answers else False


def equal(seen, wanted):
    if seen is OPAQUE:
        return None
    if number(seen) and number(wanted):
        return None if nan(seen) else exact(seen, wanted) == exact(wanted, seen)
    if isinstance(seen, list) and isinstance(wanted, list):
        return len(seen) == len(wanted) and every(equal(one, other) for one, other in zip(seen, wanted, strict=True))
    if isinstance(seen, dict) and isinstance(wanted, dict):
        return seen.keys() == wanted.keys() and every(equal(seen[key], wanted[key]) for key in seen)
    for kind in (bool, str, type(None)):
        if isinstance(seen, kind) or isinstance(wanted, kind):
            return isinstance(seen, kind) and isinstance(wanted, kind) and seen == wanted
    return False


def holds(condition, context):
    there, seen = lookup(condition.field, context)
    wanted, operator = condition.value, condition.operator
    if not there:
        return operator == "!="
    if operator == "==":
        return equal(seen, wanted)
    if operator == "!=":
        answer = equal(seen, wanted)
        return None if answer is None else not answer
    if operator == "in":
        return some(equal(seen, member) for member in wanted)
    if operator in (">", "<"):
        numbers = number(seen) and number(wanted) and not nan(seen)
        if not numbers and not (isinstance(seen, str) and isinstance(wanted, str)):
            return None
        left, right = (exact(seen, wanted), exact(wanted, seen)) if numbers else (seen, wanted)
        return left > right if operator == ">" else left < right
    if operator == "contains":
        if isinstance(seen, str) and isinstance(wanted, str):
            return wanted in seen
        if isinstance(seen, dict):
            return isinstance(wanted, str) and wanted in seen
        return some(equal(member, wanted) for member in seen) if isinstance(seen, list) else None
    return re2.match(wanted, seen) is not None if isinstance(seen, str) else None


def matches(rule, context, mismatch):
    answer = every(
        holds(one, context) is True if mismatch == "false" else holds(one, context) for one in rule.conditions
    )
    return rule.effect in ("DENY", "AUDIT") if answer is None else answer


def decide(rules, context, default="DENY", mismatch="unknown"):
    """The (effect, rule id) for `context`; the id is None when the default decided."""
    matching = [rule for rule in rules if rule.enabled and matches(rule, context, mismatch)]
    ranks = ["DENY", "AUDIT", "WARN", "ALLOW"]
    matching.sort(key=lambda rule: (-rule.priority, ranks.index(rule.effect), rule.id))
    return (matching[0].effect, matching[0].id) if matching else (default, None)
