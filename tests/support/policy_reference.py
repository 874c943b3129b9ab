"""A naive policy evaluator, written straight from DESIGN.md, against which the compiled engine is checked."""

from __future__ import annotations

import re2


def lookup(field, context):
    keys = field.split(".")
    if keys[0] == "agent" and len(keys) > 1:
        keys[:2] = ["agent_" + keys[1]]
    for key in keys:
        if not isinstance(context, dict) or key not in context:
            return False, None
        context = context[key]
    return True, context


def equal(a, b):
    if isinstance(a, bool) or isinstance(b, bool):
        return isinstance(a, bool) and isinstance(b, bool) and a == b
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(equal(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    return a == b


def number(value):
    return isinstance(value, int | float) and not isinstance(value, bool)


def holds(condition, context):
    there, value = lookup(condition.field, context)
    wanted, operator = condition.value, condition.operator
    if not there:
        return operator == "!="
    if operator in (">", "<"):
        if not ((number(value) and number(wanted)) or (isinstance(value, str) and isinstance(wanted, str))):
            return False
        return value > wanted if operator == ">" else value < wanted
    if operator == "contains":
        if isinstance(value, str):
            return isinstance(wanted, str) and wanted in value
        return isinstance(value, list | dict) and any(equal(member, wanted) for member in value)
    if operator == "matches":
        return isinstance(value, str) and re2.match(wanted, value) is not None
    if operator == "in":
        return any(equal(value, member) for member in wanted)
    return equal(value, wanted) is (operator == "==")


def decide(rules, context, default="DENY"):
    """The (effect, rule id) for `context`; the id is None when the default decided."""
    matching = [rule for rule in rules if rule.enabled and all(holds(one, context) for one in rule.conditions)]
    ranks = ["DENY", "AUDIT", "WARN", "ALLOW"]
    matching.sort(key=lambda rule: (-rule.priority, ranks.index(rule.effect), rule.id))
    return (matching[0].effect, matching[0].id) if matching else (default, None)
