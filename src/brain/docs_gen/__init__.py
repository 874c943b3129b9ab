"""Everything that is generated from the declared event types: docs/events, EVENTS.md and docs/asyncapi.json.

The order in which events follow each other is in an optional `scenarios.py` beside `events.py`: `OVERVIEW: str` and
`SCENARIOS: tuple[Scenario, ...]`.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.util import find_spec
from typing import Any

from brain.charter import Event, EventType
from brain.plugins import Plugin, plugins


@dataclass(frozen=True)
class Scenario:
    """A sequence of events: each step is a type, and why it is published then."""

    title: str
    description: str
    steps: tuple[tuple[EventType[Any], str], ...]


@dataclass(frozen=True)
class PluginDocs:
    """What is documented of a plug-in."""

    name: str
    overview: str
    events: tuple[EventType[Any], ...]
    scenarios: tuple[Scenario, ...]


def consumers() -> Sequence[Plugin]:
    """The installed plug-ins that consume events, in the order of their names."""
    return [plugin for plugin in plugins().values() if plugin.runs]


def modules() -> Sequence[PluginDocs]:
    """The plug-ins that declare events, in the order of their names."""
    found = []
    for plugin in plugins().values():
        events = plugin.event_types()
        if plugin.events is None or not events:
            continue
        package = plugin.events.rpartition(".")[0] or plugin.events  # a module that is in no package stands for itself
        overview = (importlib.import_module(package).__doc__ or "").strip()
        scenarios: tuple[Scenario, ...] = ()
        if package != plugin.events and find_spec(f"{package}.scenarios") is not None:
            module = importlib.import_module(f"{package}.scenarios")
            overview, scenarios = module.OVERVIEW, module.SCENARIOS
        found.append(PluginDocs(plugin.name, overview, events, scenarios))
    return found


def example_event(declared: EventType[Any]) -> Event:
    """The declared example as a whole event, the same at every call."""
    digest = sha256(declared.name.encode()).hexdigest()[:16]
    return Event(
        id=f"evt_{declared.module}_1703001234567_{digest}",
        type=declared.name,
        source=declared.source,
        timestamp=1703001234.567,
        payload=dict(declared.check(declared.example)),
        meta={"correlation_id": None, "version": "1.0"},
    )
