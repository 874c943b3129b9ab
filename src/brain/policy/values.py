"""What rules compare: frozen JSON values, dotted fields, and any value of a context with the JSON value of a rule.

A comparison is true, false, or raises Unknown. `true` is not `1`, and a number equals one of another type.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NoReturn

from brain.limits import is_text
from brain.policy.normalisation import Opaque, has_text_keys, unwrap

MISSING: Any = type("Missing", (), {"__repr__": lambda self: "MISSING", "__slots__": ()})()
"""What a field that is not in the context resolves to."""

Path = tuple[str, ...]


class Unknown(Exception):
    """A value that is there cannot be compared with the rule's, so nobody can tell whether the condition holds."""


def _refuse(self: object, *args: object, **more: object) -> NoReturn:
    raise TypeError("a rule is immutable: make a changed copy with dataclasses.replace")


class FrozenList(list[Any]):
    """A list that cannot be changed; equal to any list of the same members."""

    __slots__ = ()
    if not TYPE_CHECKING:  # for a type checker it is a list like any other
        append = extend = insert = remove = pop = clear = sort = reverse = _refuse
        __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse

    def __reduce__(self) -> tuple[type, tuple[list[Any]]]:
        return FrozenList, (list(self),)

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(tuple(self))


class FrozenDict(dict[str, Any]):
    """A dict that cannot be changed; equal to any dict of the same items."""

    __slots__ = ()
    if not TYPE_CHECKING:
        clear = pop = popitem = setdefault = update = _refuse
        __setitem__ = __delitem__ = __ior__ = _refuse

    def __reduce__(self) -> tuple[type, tuple[dict[str, Any]]]:
        return FrozenDict, (dict(self),)

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))


NO_MEMBERS = FrozenList()
NO_ITEMS = FrozenDict()


def freeze(value: object) -> Any:
    """A deep, immutable copy of a JSON value; tuples and sets become lists. Raises ValueError for what JSON lacks."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        if not is_text(value):
            raise ValueError(f"{value!r} is no valid text: it has a lone surrogate")
        return str(value)
    if isinstance(value, int):
        if not -(2**63) <= value < 2**64:
            raise ValueError(f"the number {value} needs more than 64 bits")
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} is not a number that JSON can hold")
        return float(value)
    if isinstance(value, (list, tuple)):
        return FrozenList(freeze(member) for member in value) if value else NO_MEMBERS
    if isinstance(value, (set, frozenset)):
        return FrozenList(sorted((freeze(member) for member in value), key=repr))
    if isinstance(value, Mapping):
        if not value:
            return NO_ITEMS
        for key in value:
            if not isinstance(key, str) or not is_text(key):
                raise ValueError(f"the key {key!r} is not a string")
        return FrozenDict((str(key), freeze(member)) for key, member in value.items())
    raise ValueError(f"a {type(value).__name__} is not a JSON value")


def thaw(value: Any) -> Any:
    """The frozen value as plain lists and dicts, deep copied."""
    if isinstance(value, list):
        return [thaw(member) for member in value]
    if isinstance(value, dict):
        return {key: thaw(member) for key, member in value.items()}
    return value


def same(left: Any, right: Any) -> bool:
    """Equality of JSON values: numbers by value, but a boolean is never a number; lists and tuples by their members."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, (list, tuple)):
        return (
            isinstance(right, (list, tuple))
            and len(left) == len(right)
            and all(same(one, other) for one, other in zip(left, right, strict=True))
        )
    if isinstance(left, Mapping):
        return (
            isinstance(right, Mapping)
            and len(left) == len(right)
            and all(same(member, right.get(key, MISSING)) for key, member in left.items())
        )
    return bool(left == right)


def path_of(field: str) -> Path:
    """The keys a dotted field walks through; `agent.role` is `agent_role`."""
    keys = tuple(field.split("."))
    if len(keys) > 1 and keys[0] == "agent":
        return (f"agent_{keys[1]}", *keys[2:])
    return keys


def step(value: Any, key: str) -> Any:
    """What `key` holds in `value`: MISSING when it has no such field, the Opaque value when nobody can tell."""
    if type(value) is dict:
        found = value.get(key, MISSING)
        if found is not MISSING or not value or has_text_keys(value):
            return found
    elif value is MISSING:
        return value
    layer = unwrap(value)
    if type(layer) is dict:
        return layer.get(key, MISSING)
    return layer if type(layer) is Opaque else MISSING


def resolve(path: Path, context: Mapping[str, Any]) -> Any:
    """The value at `path` in a context that `spread_agent` has seen, MISSING, or the Opaque value on the way."""
    value: Any = context.get(path[0], MISSING)
    for key in path[1:]:
        value = step(value, key)
    return value


def spread_agent(context: Mapping[str, Any]) -> Mapping[str, Any]:
    """A context given with a nested `agent: {role: ...}` as one with `agent_role`; keys that are there already stay.

    Of an agent that is Opaque nobody knows the id or the role, so these are Opaque too.
    """
    agent = unwrap(context.get("agent"))
    if type(agent) is Opaque:
        return {"agent_id": agent, "agent_role": agent, **context}
    if type(agent) is not dict:
        return context
    return {**{f"agent_{key}": value for key, value in agent.items()}, **context}


def fits_ordering(value: object) -> bool:
    """Whether `value` can stand on the right of `>` and `<`: a number or a string."""
    return isinstance(value, (int, float, str)) and not isinstance(value, bool)


def is_greater(left: Any, right: Any) -> bool:
    """`left > right` for numbers among numbers and texts among texts; False for MISSING. Raises Unknown for others."""
    if left is MISSING:
        return False
    left, right = _comparable(left, right)
    return bool(left > right)


def is_less(left: Any, right: Any) -> bool:
    """`left < right`, as `is_greater`."""
    if left is MISSING:
        return False
    left, right = _comparable(left, right)
    return bool(left < right)


def _comparable(left: Any, right: Any) -> tuple[Any, Any]:
    left = unwrap(left)
    if isinstance(left, str) and isinstance(right, str):
        return left, right
    if is_number(left) and is_number(right) and left == left:
        return left, _written(right, type(left))
    raise Unknown


def is_number(value: object) -> bool:
    """Whether an unwrapped value is a number; a boolean is none."""
    return isinstance(value, (int, float, Decimal, Fraction)) and not isinstance(value, bool)


def _written(number: Any, kind: type) -> Any:
    """The number of a rule for a comparison with one of type `kind`: a decimal is compared with what was written."""
    return kind(repr(number)) if kind is Decimal or kind is Fraction else number


def equals(left: Any, right: Any) -> bool:
    """Whether any value is the same as the JSON value of a rule; False for MISSING.

    Raises Unknown where nobody can tell: it depends on a NaN or on an Opaque value.
    """
    if left is MISSING:
        return False
    left = unwrap(left)
    if type(left) is Opaque:
        raise Unknown
    if is_number(left):
        if not is_number(right):
            return False
        if left != left:
            raise Unknown
        return bool(left == _written(right, type(left)))
    if type(left) is list:
        if not isinstance(right, list) or len(left) != len(right):
            return False
        return not _any(zip(left, right, strict=True), equal=False)
    if type(left) is dict:
        if not isinstance(right, dict) or left.keys() != right.keys():
            return False
        return not _any(((member, right[key]) for key, member in left.items()), equal=False)
    return type(left) is type(right) and bool(left == right)


def is_among(left: Any, choices: Iterable[Any]) -> bool:
    """Whether any value equals one of the JSON values; False for MISSING. Raises Unknown where nobody can tell."""
    return _any((left, choice) for choice in choices)


def _any(pairs: Iterable[tuple[Any, Any]], equal: bool = True) -> bool:
    """Whether any pair is equal, or unequal without `equal`. Raises Unknown when only an unknown pair could be."""
    unknown = False
    for left, right in pairs:
        try:
            if equals(left, right) is equal:
                return True
        except Unknown:
            unknown = True
    if unknown:
        raise Unknown
    return False


def contains(container: Any, member: Any) -> bool:
    """A substring of a text, a member of a list, or a key of an object; False for MISSING. Raises Unknown else."""
    if container is MISSING:
        return False
    container = unwrap(container)
    if isinstance(container, str) and isinstance(member, str):
        return member in container
    if type(container) is dict:
        return isinstance(member, str) and member in container
    if type(container) is list:
        return _any((one, member) for one in container)
    raise Unknown


def matches(value: Any, test: Callable[[str], bool]) -> bool:
    """Whether the text passes the pattern's test; False for MISSING. Raises Unknown for what is no text."""
    if value is MISSING:
        return False
    value = unwrap(value)
    if isinstance(value, str):
        return test(value)
    raise Unknown
