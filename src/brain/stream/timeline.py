"""The story that one correlation id tells: its events from all modules, as a tree of causes."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from brain.charter import Event, Pattern
from brain.stream import query
from brain.stream.backends import Backend
from brain.stream.query import Stored

_PAGE = 2000
_SLACK = 3600.0  # seconds by which events may be stored out of the order of their own clocks
_ALL = Pattern("*")


@dataclass(frozen=True, slots=True)
class Step:
    """One event of a story.

    `depth` counts the causes above it that belong to the story; `last` says for each level down to its own whether no
    sibling follows there, which is what drawing the tree needs. `delta` is in seconds since the story's first event.
    """

    position: str
    event: Event
    delta: float
    depth: int
    last: tuple[bool, ...]


def find_timeline(backend: Backend, correlation_id: str, since: float | None = None) -> list[Stored]:
    """The events of the story in stream order, as far back as `since` (Unix seconds; None: all). Blocks.

    The event that began a story without a correlation id lends it its own, and belongs to it.
    """
    after = backend.position_at(since - _SLACK) if since is not None else ""
    sign = msgspec.json.encode(correlation_id)
    found: list[Stored] = []
    while entries := backend.read(after, _PAGE):
        mentions = [entry for entry in entries if sign in entry.data]  # decoding all would take ten times as long
        found += [stored for stored in query.decode(mentions, _ALL) if _belongs(stored.event, correlation_id)]
        after = entries[-1].position
    return found


def as_tree(events: list[Stored]) -> list[Step]:
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
    steps: list[Step] = []
    seen: set[str] = set()
    for root in [*roots, *events]:  # the second pass finds only events that cause each other in a circle
        waiting: list[tuple[Stored, tuple[bool, ...]]] = [(root, ())]
        while waiting:
            (position, event), last = waiting.pop()
            if position in seen:
                continue
            seen.add(position)
            steps.append(Step(position, event, event.timestamp - start, len(last), last))
            effects = caused.get(event.id, [])
            waiting += [(effect, (*last, effect is effects[-1])) for effect in reversed(effects)]
    return steps


def _belongs(event: Event, correlation_id: str) -> bool:
    return correlation_id in (event.correlation_id, event.id)
