"""Tries detections on what is recorded: the same engine, with states in memory, and nothing is reported.

It reads a page of the stream at once, looks at each event's type alone, and decodes those that a rule is about.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from brain.charter import Pattern
from brain.detections.engine import Engine, Hit, MemoryStates
from brain.detections.loading import Loaded
from brain.detections.machines import LATENESS
from brain.detections.projector import kind_of, patterns
from brain.detections.ruleset import Record
from brain.stream.backends import Backend
from brain.stream.query import EventQuery

PAGE = 5_000
SLACK = 3600.0


class _Wire(msgspec.Struct, gc=False):
    """What rules see of an event; a quarter of the cost of the whole envelope."""

    id: str
    type: str
    source: str
    timestamp: float
    payload: dict[str, Any]
    target: str | None = None
    meta: dict[str, Any] = {}

    @property
    def correlation_id(self) -> str | None:
        """As that of Event."""
        value: str | None = self.meta.get("correlation_id")
        return value


class _Envelope(msgspec.Struct, gc=False):
    """What is looked at of every event."""

    type: str


class Backtest(msgspec.Struct):
    """What a backtest found. `events` were read, `seen` of them were of types that a rule is about."""

    events: int = 0
    seen: int = 0
    seconds: float = 0.0
    hits: dict[str, Hit] = {}
    dropped: dict[str, int] = {}

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.events / self.seconds if self.seconds else 0.0


def backtest(
    backend: Backend, loaded: Loaded, since: float, until: float, progress: Callable[[int], None] = lambda _: None
) -> Backtest:
    """Feed the recorded events from `since` to `until` (Unix seconds) to the detections. Blocks. Raises Unavailable."""
    engine = Engine(loaded, MemoryStates())
    found = Backtest(hits={}, dropped={})
    began = time.perf_counter()
    wanted = patterns(loaded.rules)
    pattern = Pattern(list(wanted)) if wanted else None
    for record in _records(backend, pattern, (since, until), found, progress):
        engine.feed(record)
        if found.seen % PAGE == 0:
            _gather(engine, found)
    engine.watermark += LATENESS + 400 * 86_400.0
    engine.end_windows()
    _gather(engine, found)
    found.dropped = {f"{key} {reason}": count for (key, reason), count in sorted(engine.dropped.items())}
    found.seconds = time.perf_counter() - began
    return found


def _gather(engine: Engine, found: Backtest) -> None:
    found.hits.update({hit.id: hit for hit in engine.drain()})


def _records(
    backend: Backend,
    pattern: Pattern | None,
    span: tuple[float, float],
    found: Backtest,
    progress: Callable[[int], None],
) -> Iterator[Record]:
    since, until = span
    after = EventQuery(since=since).first_position(backend)
    look, decode = msgspec.json.Decoder(_Envelope).decode, msgspec.json.Decoder(_Wire).decode
    wanted: dict[str, bool] = {}
    while entries := backend.read(after, PAGE):
        after = entries[-1].position
        found.events += len(entries)
        for entry in entries:
            try:
                kind = look(entry.data).type
                if kind not in wanted:
                    wanted[kind] = pattern is not None and pattern.matches(kind)
                if not wanted[kind]:
                    continue
                event = decode(entry.data)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                continue  # no event: whoever consumes the stream says so
            if since <= event.timestamp < until:
                found.seen += 1
                yield Record(event.payload, kind_of(event.type), event.timestamp, event.id, event)
        progress(found.events)
