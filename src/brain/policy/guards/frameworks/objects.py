"""Copies of a framework's objects that stay what they were, with some methods replaced."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, TypeVar

from brain.errors import InvalidInput

T = TypeVar("T")


def with_methods(tool: T, **methods: Callable[..., Any]) -> T:
    """A copy of `tool` whose class is a subclass with `methods`: what copies it later, copies them too.

    Raises InvalidInput when the object itself holds one of these names: it would come before the class's.
    """
    if own := sorted(methods.keys() & vars(tool).keys()):
        raise InvalidInput(f"tool: {name_of_type(tool)} sets {', '.join(own)} on the object; define it in its class")
    cls = type(tool)
    named = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__}
    metaclass: Any = type(cls)
    subclass = metaclass(cls.__name__, (cls,), {**named, **methods})
    copied = copy.copy(tool)
    object.__setattr__(copied, "__class__", subclass)
    return copied


def without_methods(tool: T, cls: type[T]) -> T:
    """`tool` as an object of `cls`, the class it had before `with_methods`; both share one state."""
    plain = object.__new__(cls)
    for slot in {slot for each in cls.__mro__ for slot in _slots(each)} - {"__weakref__"}:
        if hasattr(tool, slot):
            object.__setattr__(plain, slot, getattr(tool, slot))
    object.__setattr__(plain, "__dict__", tool.__dict__)
    return plain


def _slots(cls: type) -> tuple[str, ...]:
    slots = cls.__dict__.get("__slots__", ())
    return (slots,) if isinstance(slots, str) else tuple(slots)


def name_of_type(value: object) -> str:
    """The full name of a value's class, or of the class itself, for messages."""
    cls = value if isinstance(value, type) else type(value)
    return f"{cls.__module__}.{cls.__qualname__}"


def run_by_mcp(tool: str) -> InvalidInput:
    """The refusal of a tool whose arguments an MCP server converts after any decision made here."""
    return InvalidInput(
        f"tool: {tool} is run by an MCP server, which converts its arguments; "
        "guard that server, or its client, with brain.policy.guards_mcp"
    )


def is_from(value: object, package: str) -> bool:
    """Whether the value's class, or one of its bases, is defined in the package or module."""
    return any(f"{cls.__module__}.".startswith(f"{package}.") for cls in type(value).__mro__)
