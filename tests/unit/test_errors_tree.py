"""The tree at the head of errors.py is the tree of the code."""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Iterator
from importlib import import_module

import brain
from brain import errors
from brain.errors import BrainError

_LINE = re.compile(r"^(?P<indent> *)(?P<name>[A-Z]\w+) +(?P<status>\d{3}) ", re.MULTILINE)


def drawn() -> Iterator[tuple[str, str, int]]:
    """Name, parent and status of each error in the drawing."""
    above: list[tuple[int, str]] = []
    for found in _LINE.finditer(errors.__doc__ or ""):
        indent = len(found["indent"])
        while above and above[-1][0] >= indent:
            above.pop()
        yield found["name"], above[-1][1] if above else "", int(found["status"])
        above.append((indent, found["name"]))


def declared(kind: type[BrainError]) -> Iterator[type[BrainError]]:
    """The error and all that derive from it, inside the package."""
    yield kind
    for below in kind.__subclasses__():
        if below.__module__.partition(".")[0] == "brain":
            yield from declared(below)


def _parent(kind: type[BrainError]) -> str:
    """The closest of its own errors: of two, the one that is deeper in the tree."""
    return max(kind.__bases__, key=lambda base: (issubclass(base, BrainError), len(base.__mro__))).__name__


def test_the_drawing_has_every_error_under_its_parent_with_its_status() -> None:
    for found in pkgutil.walk_packages(brain.__path__, "brain."):
        if not found.name.startswith("brain.policy.guards.frameworks."):  # each imports a framework of its own
            import_module(found.name)
    real = {(kind.__name__, "" if kind is BrainError else _parent(kind), kind.status) for kind in declared(BrainError)}
    assert set(drawn()) == real
