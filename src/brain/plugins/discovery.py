"""The installed plug-ins, and what they declare together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING, Any

from brain.errors import InvalidInput
from brain.extras import IMPORT_FAULTS, import_fault
from brain.logs import Log
from brain.plugins.contract import Plugin
from brain.plugins.former import GROUPS as FORMER_GROUPS
from brain.plugins.former import former_plugin, former_points
from brain.plugins.own import is_own, metadata_fault, points

if TYPE_CHECKING:
    from brain.charter import EventType

log: Log = Log("brain.plugins")

GROUP = "brain.plugins"
_faults: list[str] = []


@cache
def plugins() -> Mapping[str, Plugin]:
    """The installed plug-ins by name, in the order of their names.

    One that cannot be loaded is left out, logged, and in `plugin_faults`: a program that never uses it goes on.
    """
    found: dict[str, Plugin] = {}
    if (fault := metadata_fault()) is not None:
        log.warning("this installation is not whole", fault=fault)
    for point in (*points(GROUP), *former_points()):
        try:
            plugin = former_plugin(point) if point.group in FORMER_GROUPS else _load(point)
        except InvalidInput as error:
            _leave_out(str(error))
            continue
        if plugin.name in found:
            _leave_out(
                f"plug-in {plugin.name!r} is installed twice; {_source(point)} is left out; remove one of the two"
            )
        else:
            found[plugin.name] = plugin
    return {name: found[name] for name in sorted(found)}


def plugin_faults() -> tuple[str, ...]:
    """What is wrong with installed plug-ins, each with the remedy; empty when nothing is."""
    catalogue()
    return tuple(_faults)


def check_plugins() -> None:
    """Raise InvalidInput, with every fault, when an installed plug-in is broken: for those who must run them all."""
    if faults := plugin_faults():
        raise InvalidInput(faults[0] if len(faults) == 1 else f"{len(faults)} plug-ins are broken", faults)


def _leave_out(fault: str) -> None:
    _faults.append(fault)
    log.error("a plug-in is left out", fault=fault)


def _source(point: EntryPoint) -> str:
    return f"{point.value} of {point.dist.name}" if point.dist is not None else point.value


def _load(point: EntryPoint) -> Plugin:
    try:
        plugin = point.load()
    except IMPORT_FAULTS as error:
        raise InvalidInput(
            f"plug-in {point.name!r}: {_source(point)} cannot be loaded: {import_fault(error)}; repair or remove it"
        ) from error
    if not isinstance(plugin, Plugin):
        kind = type(plugin).__name__
        raise InvalidInput(f"plug-in {point.name!r}: {_source(point)} is of the type {kind}; name a Plugin there")
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
    """Every declared event type by name. Those of a plug-in that cannot be imported are left out, and so is a type that
    another plug-in has declared; `plugin_faults` has both. What this package declares, no other one takes from it.
    """
    found: dict[str, EventType[Any]] = {}
    declarer: dict[str, str] = {}
    for plugin in sorted(plugins().values(), key=lambda plugin: not is_own(plugin.name)):
        try:
            types = plugin.event_types()
        except InvalidInput as error:
            _leave_out(str(error))
            continue
        for declared in types:
            if declared.name in found:
                other = "twice" if declarer[declared.name] == plugin.name else f"by {declarer[declared.name]} too"
                _leave_out(f"plug-in {plugin.name}: event type {declared.name} is declared {other}; rename it")
            else:
                found[declared.name], declarer[declared.name] = declared, plugin.name
    return found
