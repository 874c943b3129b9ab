"""Tries detections on what is recorded: the same engine, with states in memory, and nothing is reported.

It reads a page of the stream at once, looks at each event's type alone, and decodes those that a rule is about. In a
long stream other processes match; the hits are the same, since what matched is taken here, in the order of the stream.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from itertools import chain, islice

import msgspec

from brain.detections.engine import Engine, Hit, MemoryStates
from brain.detections.loading import Loaded
from brain.detections.machines import LATENESS
from brain.detections.matching_processes import match_pages
from brain.detections.pages import MatchedPage, PageMatcher
from brain.stream.backends import Backend
from brain.stream.query import EventQuery

PAGE = 1_000
LONG = 50
"""Pages from which on other processes are worth their start."""
MOST_PROCESSES = 8


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
    backend: Backend,
    loaded: Loaded,
    since: float,
    until: float,
    progress: Callable[[int], None] = lambda _: None,
    processes: int | None = None,
) -> Backtest:
    """Feed the recorded events from `since` to `until` (Unix seconds) to the detections. Blocks. Raises Unavailable.

    `processes` match in a long stream besides this one, which reads and takes; None: one for each processor.
    """
    engine = Engine(loaded, MemoryStates())
    found = Backtest(hits={}, dropped={})
    began = time.perf_counter()
    with closing(_matched(_pages(backend, since), loaded, (since, until), processes)) as pages:
        for page in pages:
            _take(engine, page, found)
            progress(found.events)
    engine.watermark += LATENESS + 400 * 86_400.0
    engine.end_windows()
    found.hits.update({hit.id: hit for hit in engine.drain()})
    found.dropped = {f"{key} {reason}": count for (key, reason), count in sorted(engine.dropped.items())}
    found.seconds = time.perf_counter() - began
    return found


def _take(engine: Engine, page: MatchedPage, found: Backtest) -> None:
    found.events += page.events
    found.seen += page.seen
    for latest, event in page.matches:
        engine.watermark = max(engine.watermark, latest)
        engine.take(event)
    engine.watermark = max(engine.watermark, page.latest)
    found.hits.update({hit.id: hit for hit in engine.drain()})


def _processes() -> int:
    """As many as there are processors; none where there is one."""
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(processors, MOST_PROCESSES) if processors > 1 else 0


def _matched(
    pages: Iterator[Sequence[bytes]], loaded: Loaded, span: tuple[float, float], processes: int | None
) -> Generator[MatchedPage, None, None]:
    first = [*islice(pages, LONG)]
    if processes is None:
        processes = _processes()
    if processes and len(first) == LONG:
        yield from match_pages(chain(first, pages), loaded, span, processes)
        return
    matcher = PageMatcher(loaded, *span)
    for page in chain(first, pages):
        yield matcher.match(page)


def _pages(backend: Backend, since: float) -> Iterator[Sequence[bytes]]:
    after = EventQuery(since=since).first_position(backend)
    while entries := backend.read(after, PAGE):
        after = entries[-1].position
        yield [entry.data for entry in entries]
