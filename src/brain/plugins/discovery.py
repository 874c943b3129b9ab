"""The installed plug-ins, and what they declare together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

from brain.errors import InvalidInput
from brain.plugins.contract import Plugin
from brain.plugins.former import former_plugins

if TYPE_CHECKING:
    from brain.charter import EventType

GROUP = "brain.plugins"


@cache
def plugins() -> Mapping[str, Plugin]:
    """The installed plug-ins by name, in the order of their names.

    Raises InvalidInput when one cannot be loaded, or two have the same name.
    """
    found: dict[str, Plugin] = {}
    for plugin in (*map(_load, entry_points(group=GROUP)), *former_plugins()):
        if plugin.name in found:
            raise InvalidInput(f"plug-in {plugin.name!r} is installed twice; remove one of the packages")
        found[plugin.name] = plugin
    return {name: found[name] for name in sorted(found)}


def _load(point: EntryPoint) -> Plugin:
    try:
        plugin = point.load()
    except Exception as error:
        raise InvalidInput(
            f"plug-in {point.name!r}: {point.value} cannot be loaded: {error}; repair or remove it"
        ) from error
    if not isinstance(plugin, Plugin):
        raise InvalidInput(
            f"plug-in {point.name!r}: {point.value} is a {type(plugin).__name__}, not a brain.plugins.Plugin"
        )
    return plugin


def check_running(names: Sequence[str]) -> None:
    """Raise InvalidInput for a name of no installed plug-in that consumes events."""
    known = [plugin.name for plugin in plugins().values() if plugin.runs]
    for name in names:
        if name not in known:
            why = "has no tasks that can run alone" if name in plugins() else "is not installed"
            raise InvalidInput(f"plug-in {name!r} {why}; those that can are {', '.join(known)}")


@cache
def catalogue() -> Mapping[str, EventType[Any]]:
    """Every declared event type by name. Raises InvalidInput when two plug-ins declare the same type."""
    found: dict[str, EventType[Any]] = {}
    for plugin in plugins().values():
        for declared in plugin.event_types():
            if declared.name in found:
                raise InvalidInput(f"event type {declared.name} is declared twice: a type belongs to one plug-in")
            found[declared.name] = declared
    return found
