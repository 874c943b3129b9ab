"""Services by kind: the classes that installed packages register for a protocol, ours among them.

A package registers a class as an entry point `kind = "module:CLASS"` in the group of the protocol, and the kind is then
a name in `brain.toml`. Nothing else lists the kinds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from brain.errors import InvalidInput

_KIND = re.compile(r"[a-z][a-z0-9_]{0,19}").fullmatch


@cache
def registered(group: str) -> Mapping[str, type[Any]]:
    """The classes in this group of entry points by kind, in the order of the kinds.

    Raises InvalidInput, naming the entry point, for a kind that is no name, for one that two packages register, and for
    a class that cannot be loaded.
    """
    found: dict[str, type[Any]] = {}
    for point in entry_points(group=group):
        if not _KIND(point.name):
            raise InvalidInput(
                f"{group}: the kind {point.name!r} ({point.value}) must be lower-case letters, digits and _, at most 20"
            )
        if point.name in found:
            raise InvalidInput(f"{group}: two packages register the kind {point.name!r}; remove one of them")
        found[point.name] = _load(group, point)
    return {kind: found[kind] for kind in sorted(found)}


def _load(group: str, point: EntryPoint) -> type[Any]:
    try:
        loaded = point.load()
    except Exception as error:
        raise InvalidInput(
            f"{group}: {point.value} of the kind {point.name!r} cannot be loaded: {error}; repair or remove the package"
        ) from error
    if not isinstance(loaded, type):
        raise InvalidInput(f"{group}: {point.value} of the kind {point.name!r} must be a class; it is {loaded!r}")
    return loaded
