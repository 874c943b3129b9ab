"""Conditions as prepared functions of a context: `test(context, operand) -> bool`.

One function is generated for each shape (operators and fields), and shared by all rules of that shape; what differs
from rule to rule is its operand. So a hundred thousand rules need a handful of functions, which stay in the cache.
They raise Unknown at a value that cannot be compared: then `weigh` asks for each condition whether it is known.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from brain.policy.models import Condition
from brain.policy.normalisation import Opaque, normalise
from brain.policy.operators import EXPRESSIONS, prepared
from brain.policy.values import (
    MISSING,
    Path,
    Unknown,
    contains,
    equals,
    is_among,
    is_greater,
    is_less,
    matches,
    path_of,
    resolve,
    step,
)

Test = Callable[[Mapping[str, Any], Any], bool]

Shape = tuple[tuple[str, Path], ...]

_MAX_SHOWN = 100  # characters of a value in a reason


@dataclass(frozen=True, slots=True)
class Doubt:
    """A condition of which nobody can tell whether it holds, and the value that it met."""

    condition: Condition
    value: Any

    def __str__(self) -> str:
        one = self.condition
        shown = f"{_shown(normalise(self.value))} {one.operator} {_shown(one.value)}"
        return f"{one.field} could not be compared: {shown}"


def _shown(value: Any) -> str:
    text = Opaque(value).text
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."


def weigh(conditions: Iterable[Condition], context: Mapping[str, Any]) -> bool | Doubt:
    """Whether all `conditions` hold; when none is false but of one nobody can tell, that one. Never raises."""
    doubt: Doubt | None = None
    for condition in conditions:
        value = resolve(path_of(condition.field), context)
        known = holds(condition, value)
        if known is False:
            return False
        if known is None and doubt is None:
            doubt = Doubt(condition, value)
    return doubt or True


def test_of(conditions: Sequence[Condition]) -> tuple[Test | None, Any]:
    """A function that tells whether all `conditions` hold, and its operand; None when there are no conditions."""
    if not conditions:
        return None, None
    tests = [prepared(one.operator, one.value) for one in conditions]
    shape = tuple((name, path_of(one.field)) for (name, _), one in zip(tests, conditions, strict=True))
    operands = tuple(operand for _, operand in tests)
    return _generated(shape), operands[0] if len(operands) == 1 else operands


def holds(condition: Condition, value: Any) -> bool | None:
    """Whether `condition` holds for the value of its field, or MISSING; None when nobody can tell. Never raises."""
    name, operand = prepared(condition.operator, condition.value)
    try:
        return _generated(((name, ("value",)),))({} if value is MISSING else {"value": value}, operand)
    except Exception:  # noqa: BLE001  (Unknown, or whatever a value of the caller's own type raises)
        return None


@lru_cache(maxsize=10_000)
def _generated(shape: Shape) -> Test:
    """The test expects that all fields are there; when one is missing, `gently` starts again and asks for each."""
    lines = _lines("gently", shape, "c.get({!r}, MISSING)", "step(v, {!r})", "")
    lines += _lines("test", shape, "c[{!r}]", "v[{!r}] if kind(v) is dict else step(v, {!r})", "    ")
    lines += ["    except KeyError:", "        return gently(c, x)"]
    names: dict[str, Any] = {"kind": type, "MISSING": MISSING, "unknown": _unknown, "step": step, "equals": equals}
    names |= {"is_greater": is_greater, "is_less": is_less, "is_among": is_among}
    names |= {"contains": contains, "matches": matches}
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
        body += [f"v = {descend.format(key, key)}" for key in path[1:]]
        expression = EXPRESSIONS[compared]
        if several:
            expression = re.sub(r"\bx\b", f"x{number}", expression)
        last = number == len(shape) - 1
        body.append(f"return {expression}" if last else f"if not ({expression}): return False")
    return lines + [f"    {indent}{line}" for line in body]


def _unknown() -> bool:
    raise Unknown
