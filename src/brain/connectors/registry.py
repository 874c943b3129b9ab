"""Connectors by kind. A kind is the name of an entry point, so that another package adds one without an edit here."""

from __future__ import annotations

from functools import cached_property
from importlib.metadata import EntryPoint
from typing import Generic, TypeVar

from brain.errors import InvalidInput
from brain.extras import IMPORT_FAULTS, import_fault, missing_extra
from brain.plugins.own import points

C = TypeVar("C")


class Registry(Generic[C]):
    """The classes that are registered in one group of entry points; each is imported when it is asked for."""

    def __init__(self, group: str, base: type[C], noun: str) -> None:
        """`base` is what every class extends; `noun` names such a class in messages."""
        self._group = group
        self._base = base
        self._noun = noun

    @cached_property
    def _points(self) -> dict[str, list[EntryPoint]]:
        """By kind: one entry point each, but for a kind that several packages have taken."""
        found: dict[str, dict[str, EntryPoint]] = {}
        for point in sorted(points(self._group), key=lambda point: (point.name, point.value)):
            found.setdefault(point.name, {})[point.value] = point
        return {kind: list(by_value.values()) for kind, by_value in found.items()}

    def kinds(self) -> list[str]:
        """The installed kinds, sorted."""
        return list(self._points)

    def find(self, kind: str) -> type[C]:
        """The class of this kind.

        Raises InvalidInput for an unknown kind, with the known ones, for one that two packages have registered, and for
        a class that cannot be loaded.
        """
        if kind not in self._points:
            known = ", ".join(self.kinds()) or "none"
            raise InvalidInput(f"no {self._noun} of kind {kind!r} is installed; the installed kinds are {known}")
        point, *others = self._points[kind]
        if others:
            raise InvalidInput(
                f"{self._noun} kind {kind!r}: both {point.value} and {others[0].value} are installed under it; remove "
                "one of the packages"
            )
        try:
            found = point.load()
        except IMPORT_FAULTS as error:
            if (missing := missing_extra(error, f"{self._noun} kind {kind!r}")) is not None:
                raise missing from error
            raise InvalidInput(
                f"{self._noun} kind {kind!r}: {point.value} cannot be loaded: {import_fault(error)}; repair or "
                "remove its package"
            ) from error
        if not (isinstance(found, type) and issubclass(found, self._base)):
            raise InvalidInput(
                f"{self._noun} kind {kind!r}: {point.value} is not a subclass of "
                f"{self._base.__module__}.{self._base.__name__}; repair or remove its package"
            )
        return found
