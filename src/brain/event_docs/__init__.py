"""Everything that is generated from the declared event types: docs/events, EVENTS.md and docs/asyncapi.json.

What no declaration can say, the order in which events follow each other, a module tells in an optional `scenarios.py`
beside its `events.py`: `OVERVIEW: str` and `SCENARIOS: tuple[Scenario, ...]`.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.util import find_spec
from typing import Any

from brain.charter import Event, EventType, event_packages


@dataclass(frozen=True)
class Scenario:
    """A story in events: each step is a type and why it is published then."""

    title: str
    story: str
    steps: tuple[tuple[EventType[Any], str], ...]


@dataclass(frozen=True)
class Module:
    """A module as its documentation needs it."""

    name: str
    overview: str
    events: tuple[EventType[Any], ...]
    scenarios: tuple[Scenario, ...]


@dataclass(frozen=True)
class Consumer:
    """A recommended consumer: its group, what it subscribes to, and what for."""

    name: str
    group: str
    patterns: tuple[str, ...]
    purpose: str


CONSUMERS = (
    Consumer("Audit log", "audit", ("*",), "Keeps every event, at least 90 days, and proves that none was changed."),
    Consumer("Metrics and analytics", "metrics", ("*",), "Counts events; MTTM and resolution rates over time."),
    Consumer(
        "Security operations (SOC)",
        "soc",
        ("threat.*", "policy.action_denied", "immune.critical_event"),
        "Alerts people and keeps the timeline of a threat.",
    ),
    Consumer(
        "Incident automation",
        "incidents",
        ("threat.escalated", "immune.critical_event"),
        "Opens an incident and pages whoever is on call.",
    ),
    Consumer(
        "Health dashboard",
        "dashboard",
        ("*.event_published", "immune.*"),
        "Shows the live feed and severity over time.",
    ),
)


def modules() -> Sequence[Module]:
    """The modules that declare events, in the order of their names."""
    found = []
    for name, package in event_packages().items():
        events = importlib.import_module(f"{package}.events").EVENTS
        if not events:
            continue
        overview = (importlib.import_module(package).__doc__ or "").strip()
        scenarios: tuple[Scenario, ...] = ()
        if find_spec(f"{package}.scenarios") is not None:
            told = importlib.import_module(f"{package}.scenarios")
            overview, scenarios = told.OVERVIEW, told.SCENARIOS
        found.append(Module(name, overview, tuple(events), scenarios))
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
