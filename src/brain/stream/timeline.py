"""The events that share a correlation id, from all modules, as a tree of causes."""

from __future__ import annotations

from dataclasses import dataclass

from brain.charter import Event
from brain.stream.backends import Backend
from brain.stream.query import EventQuery, Stored, scan


@dataclass(frozen=True, slots=True)
class CausalStep:
    """One event of a timeline.

    `depth` counts the causes above it that belong to the timeline; `last` says for each level down to its own whether
    no sibling follows there, which is what drawing the tree needs. `delta` is in seconds since the first event.
    """

    position: str
    event: Event
    delta: float
    depth: int
    last: tuple[bool, ...]


def find_timeline(backend: Backend, correlation_id: str, since: float | None = None) -> list[Stored]:
    """The events with the correlation id in stream order, from `since` on (Unix seconds; None: all). Blocks.

    An event that began the chain without a correlation id lends it its own, and belongs to it.
    """
    return list(scan(backend, EventQuery(correlation_id=correlation_id, since=since)))


def as_tree(events: list[Stored]) -> list[CausalStep]:
    """The events, each followed by those it caused, in stream order otherwise."""
    start = min((stored.event.timestamp for stored in events), default=0.0)
    known = {stored.event.id for stored in events}
    caused: dict[str, list[Stored]] = {}
    roots: list[Stored] = []
    for stored in events:
        cause = stored.event.meta.get("causation_id")
        if cause in known and cause != stored.event.id:
            caused.setdefault(cause, []).append(stored)
        else:
            roots.append(stored)
    steps: list[CausalStep] = []
    seen: set[str] = set()
    for root in [*roots, *events]:  # the second pass finds only events that cause each other in a circle
        waiting: list[tuple[Stored, tuple[bool, ...]]] = [(root, ())]
        while waiting:
            (position, event), last = waiting.pop()
            if position in seen:
                continue
            seen.add(position)
            steps.append(CausalStep(position, event, event.timestamp - start, len(last), last))
            effects = caused.get(event.id, [])
            waiting += [(effect, (*last, effect is effects[-1])) for effect in reversed(effects)]
    return steps
