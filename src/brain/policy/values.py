"""What rules compare: frozen JSON values, dotted fields, and equality under which `true` is not `1`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

MISSING: Any = type("Missing", (), {"__repr__": lambda self: "MISSING", "__slots__": ()})()
"""What a field that is not in the context resolves to."""

Path = tuple[str, ...]


def _refuse(self: object, *args: object, **more: object) -> NoReturn:
    raise TypeError("a rule is immutable: make a changed copy with dataclasses.replace")


class FrozenList(list[Any]):
    """A list that cannot be changed; equal to any list of the same members."""

    __slots__ = ()
    append = extend = insert = remove = pop = clear = sort = reverse = _refuse
    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse

    def __reduce__(self) -> tuple[type, tuple[list[Any]]]:
        return FrozenList, (list(self),)

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(tuple(self))


class FrozenDict(dict[str, Any]):
    """A dict that cannot be changed; equal to any dict of the same items."""

    __slots__ = ()
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


def is_text(value: str) -> bool:
    """Whether it can be written as UTF-8: it has no lone surrogate."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


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
    try:
        return bool(left == right)
    except Exception:  # noqa: BLE001  (a value of the caller's own type may raise anything; then it is not equal)
        return False


def path_of(field: str) -> Path:
    """The keys a dotted field walks through; `agent.role` is `agent_role`."""
    keys = tuple(field.split("."))
    if len(keys) > 1 and keys[0] == "agent":
        return (f"agent_{keys[1]}", *keys[2:])
    return keys


def step(value: object, key: str) -> Any:
    """What `key` holds in `value`, or MISSING when `value` is no mapping or has no such key."""
    return value.get(key, MISSING) if isinstance(value, Mapping) else MISSING


def resolve(path: Path, context: Mapping[str, Any]) -> Any:
    """The value at `path` in a context that `spread_agent` has seen, or MISSING."""
    value: Any = context
    for key in path:
        value = step(value, key)
    return value


def spread_agent(context: Mapping[str, Any]) -> Mapping[str, Any]:
    """A context given with a nested `agent: {role: ...}` as one with `agent_role`; keys that are there already stay."""
    agent = context.get("agent")
    if not isinstance(agent, Mapping):
        return context
    return {**{f"agent_{key}": value for key, value in agent.items()}, **context}


def fits_ordering(value: object) -> bool:
    """Whether `value` can stand on the right of `>` and `<`: a number or a string."""
    return isinstance(value, (int, float, str)) and not isinstance(value, bool)


def is_greater(left: Any, right: Any) -> bool:
    """`left > right` for numbers among numbers and strings among strings; False, never an error, for anything else."""
    return _ordered(left, right, lambda: left > right)


def is_less(left: Any, right: Any) -> bool:
    """`left < right`, as `is_greater`."""
    return _ordered(left, right, lambda: left < right)


def _ordered(left: Any, right: Any, compare: Callable[[], Any]) -> bool:
    if isinstance(left, bool) or isinstance(left, str) is not isinstance(right, str):
        return False
    try:
        return bool(compare())
    except Exception:  # noqa: BLE001  (types that do not compare make the condition false)
        return False


def contains(container: Any, member: Any) -> bool:
    """A substring of a string, a member of a list, tuple or set, or a key of a mapping; False for anything else."""
    if isinstance(container, str):
        return isinstance(member, str) and member in container
    if isinstance(container, (list, tuple, set, frozenset, Mapping)):
        return any(same(one, member) for one in container)
    return False
