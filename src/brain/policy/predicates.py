"""Conditions as prepared functions of a context, which never raise: `test(context, operand) -> bool`.

One function is generated for each shape (operators and fields), and shared by all rules of that shape; what differs
from rule to rule is its operand. So a hundred thousand rules need a handful of functions, which stay in the cache.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from brain.policy import patterns
from brain.policy.models import Condition, Operator
from brain.policy.values import MISSING, Path, contains, is_greater, is_less, path_of, same, step

Test = Callable[[Mapping[str, Any], Any], bool]

# How `v` (the field's value) is compared with `x` (the operand); `kind(v)` is exact, so `true` is no int here.
_EXPRESSIONS = {
    "text equals": "v == x if kind(v) is str else same(v, x)",
    "equals": "same(v, x)",
    "differs": "not same(v, x)",
    "number greater": "v > x if (k := kind(v)) is int or k is float else v is not MISSING and is_greater(v, x)",
    "number less": "v < x if (k := kind(v)) is int or k is float else v is not MISSING and is_less(v, x)",
    "text greater": "v > x if kind(v) is str else is_greater(v, x)",
    "text less": "v < x if kind(v) is str else is_less(v, x)",
    "contains": "contains(v, x)",
    "text in": "v in x if kind(v) is str else any(same(v, one) for one in x)",
    "in": "any(same(v, one) for one in x)",
    "matches": "isinstance(v, str) and x(v)",
}

Shape = tuple[tuple[str, Path], ...]


def test_of(conditions: Sequence[Condition]) -> tuple[Test | None, Any]:
    """A function that tells whether all `conditions` hold, and its operand; None when there are no conditions."""
    if not conditions:
        return None, None
    prepared = [_prepared(condition) for condition in conditions]
    shape = tuple((name, path_of(one.field)) for (name, _), one in zip(prepared, conditions, strict=True))
    operands = tuple(operand for _, operand in prepared)
    return _generated(shape), operands[0] if len(operands) == 1 else operands


def holds(condition: Condition, value: Any) -> bool:
    """Whether `condition` holds for a value its field resolved to; MISSING satisfies only `!=`."""
    name, operand = _prepared(condition)
    return _generated(((name, ("value",)),))({} if value is MISSING else {"value": value}, operand)


def _prepared(condition: Condition) -> tuple[str, Any]:
    value, text = condition.value, isinstance(condition.value, str)
    match condition.operator:
        case Operator.EQ:
            return ("text equals" if text else "equals"), value
        case Operator.NE:
            return "differs", value
        case Operator.GT:
            return ("text greater" if text else "number greater"), value
        case Operator.LT:
            return ("text less" if text else "number less"), value
        case Operator.CONTAINS:
            return "contains", value
        case Operator.MATCHES:
            return "matches", patterns.matcher(value)
        case Operator.IN if all(type(member) is str for member in value):
            return "text in", dict.fromkeys(value)
    return "in", value


@lru_cache(maxsize=10_000)
def _generated(shape: Shape) -> Test:
    """The test takes for granted that the fields are there; when one is not, `gently` begins anew and asks for each."""
    lines = _lines("gently", shape, "c.get({!r}, MISSING)", "v.get({!r}, MISSING)", "")
    lines += _lines("test", shape, "c[{!r}]", "v[{!r}]", "    ")
    lines += ["    except KeyError:", "        return gently(c, x)"]
    names: dict[str, Any] = {"kind": type, "MISSING": MISSING, "same": same, "step": step, "contains": contains}
    names |= {"is_greater": is_greater, "is_less": is_less}
    exec(compile("\n".join(lines), f"<policy conditions: {', '.join(name for name, _ in shape)}>", "exec"), names)
    test: Test = names["test"]
    return test


def _lines(name: str, shape: Shape, read: str, descend: str, indent: str) -> list[str]:
    lines = [f"def {name}(c, x):"]
    if indent:
        lines.append("    try:")
    body = []
    several = len(shape) > 1
    if several:
        body.append(f"{', '.join(f'x{number}' for number in range(len(shape)))} = x")
    for number, (compared, path) in enumerate(shape):
        body.append(f"v = {read.format(path[0])}")
        body += [f"v = {descend.format(key)} if kind(v) is dict else step(v, {key!r})" for key in path[1:]]
        expression = _EXPRESSIONS[compared]
        if several:
            expression = re.sub(r"\bx\b", f"x{number}", expression)
        last = number == len(shape) - 1
        body.append(f"return {expression}" if last else f"if not ({expression}): return False")
    return lines + [f"    {indent}{line}" for line in body]
