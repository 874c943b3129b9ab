"""The check of a plug-in's declaration, for its author's tests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from functools import partial

from fastapi import APIRouter, FastAPI
from pydantic import ValidationError

from brain.charter import EventType, Pattern
from brain.errors import BrainError
from brain.kit.context import open_plugin
from brain.kit.database import open_database
from brain.plugins import Component, Plugin, PluginContext, Routes, plugins
from brain.settings import CoreSettings, model_with
from brain.store import open_store
from brain.stream import EventStream

_SECONDS = 30
"""How long the opening and closing of a plug-in may take."""


def check_plugin(plugin: Plugin) -> None:
    """Check what the plug-in declares, and open and close it on empty `memory://` parts. It need not be installed.

    It loads all that the declaration names, and checks that settings have defaults and refuse unknown names, that
    examples of events fit their types, that patterns are valid, and that no other plug-in has its names. Call it from
    a plain function, not from a coroutine. Raises AssertionError that lists every fault.
    """
    others = {name: other for name, other in plugins().items() if name != plugin.name}
    faults = [
        *_name_faults(plugin, others),
        *_reference_faults(plugin),
        *_settings_faults(plugin),
        *_event_faults(plugin, others),
        *_pattern_faults(plugin),
    ]
    faults = faults or list(_opening_faults(plugin, others))
    if faults:
        raise AssertionError("\n".join([f"plug-in {plugin.name} has {len(faults)} faults:", *faults]))


def _name_faults(plugin: Plugin, others: Mapping[str, Plugin]) -> Iterator[str]:
    for other in others.values():
        names = {other.name, *other.formerly}
        for name in sorted({plugin.name, *plugin.formerly} & names):
            yield f"name: {name!r} is a name of the plug-in {other.name} too; its settings and its group would clash"
        for name in sorted(plugin.commands.keys() & other.commands.keys()):
            yield f"commands: `brain {name}` belongs to the plug-in {other.name}; choose another name"
    if plugin.settings is not None and plugin.name in CoreSettings.model_fields:
        yield f"name: a setting is called {plugin.name!r} already; choose another name"


def _reference_faults(plugin: Plugin) -> Iterator[str]:
    loads: list[Callable[[], object]] = [plugin.event_types, plugin.settings_model, plugin.opener]
    loads += [partial(plugin.command, name) for name in plugin.commands]
    loads += [partial(plugin.provider, name) for name in plugin.provides]
    loads += [plugin.view.path] if plugin.view is not None else []
    for load in loads:
        yield from _fault(load)


def _fault(work: Callable[[], object]) -> Iterator[str]:
    try:
        work()
    except BrainError as error:
        yield str(error)


def _settings_faults(plugin: Plugin) -> Iterator[str]:
    try:
        model = plugin.settings_model()
    except BrainError:
        return  # named among the references
    if model is None:
        return
    try:
        model()
    except ValidationError as error:
        names = ", ".join(".".join(map(str, found["loc"])) for found in error.errors())
        yield f"settings: {plugin.settings} has no usable default for {names}; a server must start without the table"
    if model.model_config.get("extra") != "forbid":
        yield f"settings: {plugin.settings} takes unknown names; set model_config = ConfigDict(extra='forbid')"


def _event_faults(plugin: Plugin, others: Mapping[str, Plugin]) -> Iterator[str]:
    try:
        declared = plugin.event_types()
    except BrainError:
        return
    names = [found.name for found in declared]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"events: {name} is declared twice"
    for other in others.values():
        for event_type in other.event_types():
            if event_type.name in names:
                yield f"events: {event_type.name} belongs to the plug-in {other.name}"
    for found in declared:
        yield from _fault(partial(_check_example, found))


def _check_example(declared: EventType[object]) -> None:
    """Raises EnvelopeError when the example does not fit the type, or an event of it cannot be written."""
    declared.event(declared.example).encode()


def _pattern_faults(plugin: Plugin) -> Iterator[str]:
    if plugin.listens:
        yield from _fault(lambda: Pattern(plugin.listens))
        if plugin.open is None:
            yield "listens: events are wanted, but open names nothing that consumes them"


def _opening_faults(plugin: Plugin, others: Mapping[str, Plugin]) -> Iterator[str]:
    installed = {**others, plugin.name: plugin}
    settings = model_with(installed.values())(stream="memory://", store="memory://", database="memory://")
    try:
        asyncio.run(_open(plugin, settings, installed))
    except Exception as error:  # noqa: BLE001  (whatever a plug-in raises is its fault, and is named)
        yield f"open: {plugin.open} raised {type(error).__name__}: {error}"


async def _open(plugin: Plugin, settings: CoreSettings, installed: Mapping[str, Plugin]) -> None:
    database = open_database(settings.database)
    try:
        with closing(open_store(settings.store_url)) as store:
            async with asyncio.timeout(_SECONDS), EventStream.open(settings.stream) as stream:
                context = PluginContext(stream, store, database, settings, installed)
                async with open_plugin(plugin, context) as component:
                    _check_component(component)
    finally:
        database.dispose()


def _check_component(component: Component) -> None:
    """Raises what its routes, metrics or checks raise, and TypeError for a check that answers no text."""
    if component.router is not None:
        _check_routes(component.router)
    if component.metrics is not None:
        list(component.metrics())
    for name, check in component.checks.items():
        if not isinstance(check(), str):
            raise TypeError(f"the check {name!r} answers {check()!r}, not a text")


def _check_routes(routes: APIRouter | Routes) -> None:
    """Raises what building them raises, and ValueError for a path that is not below those that are declared."""
    app = FastAPI()
    app.include_router(routes.make() if isinstance(routes, Routes) else routes, prefix="/api")
    paths = app.openapi()["paths"]
    if isinstance(routes, Routes):
        declared = tuple(f"/api{path}" for path in routes.paths)
        for path in paths:
            if not any(path == one or path.startswith(f"{one}/") for one in declared):
                raise ValueError(f"the route {path} is not below {' or '.join(declared)}, and would not be found")
