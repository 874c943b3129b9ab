"""The timeline of a correlation id: what all plug-ins said under it, each event below the one that caused it.

`brain events trace`, `brain threats show` and GET /api/threats/{threat_id}/timeline are made from this.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from brain.stream.backends import Backend, position_key
from brain.stream.query import EventQuery, Stored, Stretch, find_event, read
from brain.stream.timeline import CausalStep, as_tree, find_timeline

__all__ = ["CausalTimeline", "find_causal_timeline", "step_row"]

SEARCHED = 100_000
"""How many events one look at a long timeline goes through from each of its ends."""


@dataclass(frozen=True, slots=True)
class CausalTimeline:
    """The events of a timeline as steps. `whole` is false when those in the middle of a long one are left out."""

    steps: list[CausalStep]
    whole: bool = True


def find_causal_timeline(
    backend: Backend,
    correlation_id: str,
    *,
    since: float | None = None,
    most: int | None = None,
    evidence: Iterable[str] = (),
) -> CausalTimeline:
    """The events with this correlation id, and those whose ids are `evidence`. Blocks. Raises Unavailable.

    Of more than `most` events the first and the last half are given. `since` is in Unix seconds.
    """
    if most is None:
        found, whole = {one.position: one for one in find_timeline(backend, correlation_id, since)}, True
    else:
        found, whole = _ends(backend, EventQuery(correlation_id=correlation_id, since=since), most)
    found |= {one.position: one for id in evidence if (one := find_event(backend, id)) is not None}
    in_order = sorted(found.values(), key=lambda one: position_key(one.position))
    return CausalTimeline(as_tree(in_order), whole)


def _ends(backend: Backend, query: EventQuery, most: int) -> tuple[dict[str, Stored], bool]:
    """The first events and the last ones, and whether these are all."""
    first = read(backend, query, Stretch(), most, SEARCHED)
    if first.following is None:
        return {one.position: one for one in first.events}, True
    last = read(backend, query, Stretch(newest_first=True), most // 2, SEARCHED)
    shown = [*first.events[: most - most // 2], *last.events]
    return {one.position: one for one in shown}, False


def step_row(step: CausalStep) -> dict[str, Any]:
    """A step as JSON has it."""
    return {
        "position": step.position,
        "timestamp": step.event.timestamp,
        "delta": round(step.delta, 6),
        "depth": step.depth,
        "type": step.event.type,
        "source": step.event.source,
        "causation_id": step.event.meta.get("causation_id"),
        "event": step.event,
    }
