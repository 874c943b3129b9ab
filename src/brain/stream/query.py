"""Reading what is stored: one query model for the Python API, HTTP, the command line, timelines and the audit log.

Nothing here touches a group.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from brain.charter import Event, Pattern
from brain.errors import EnvelopeError
from brain.logs import Log
from brain.stream.backends import Backend, Entry, check_position, position_key
from brain.stream.event_index import Span, index_of
from brain.stream.matching import EventFilter, type_filter

if TYPE_CHECKING:
    from brain.stream.stream import EventStream

log: Log = Log("brain.query")

PAGE = 2000
"""Most events read from the backend at once."""
_FIRST_PAGE = 50  # fewest events read at once; twice as many each time, up to PAGE
EVERY = Pattern("*")
_FEW_SPANS = 8  # up to so many are read at once, without a look at the time that an id carries
_SLACK = 3600.0
"""Seconds by which an event may have been stored before its own timestamp says (clocks of several machines differ)."""
_MINTED = re.compile(r"evt_[a-z][a-z0-9_]*_([0-9]{1,14})_[0-9a-f]{12,}").fullmatch
_PLAIN = re.compile(r"[A-Za-z0-9_.:-]+").fullmatch  # what every JSON encoder writes as it is


class Stored(NamedTuple):
    """An event and its position in the stream."""

    position: str
    event: Event


@dataclass(frozen=True, kw_only=True)
class EventQuery:
    """Which stored events are asked for; all that is given must fit.

    Times are Unix seconds of the events' own clocks, `until` is excluded. The event whose id is the `correlation_id`
    began that chain of events and belongs to it.
    """

    pattern: Pattern = EVERY
    since: float | None = None
    until: float | None = None
    correlation_id: str | None = None

    def matches(self, event: Event) -> bool:
        """Whether the event is asked for."""
        return (
            self.pattern.matches(event.type)
            and (self.since is None or event.timestamp >= self.since)
            and (self.until is None or event.timestamp < self.until)
            and (self.correlation_id is None or self.correlation_id in (event.correlation_id, event.id))
        )

    @cached_property
    def may_match(self) -> EventFilter:
        """Whether bytes may be an event that is asked for, at a fraction of the cost of decoding them."""
        by_type = type_filter(self.pattern)
        sign = b""
        if self.correlation_id is not None and _PLAIN(self.correlation_id):
            sign = f'"{self.correlation_id}"'.encode()
        return lambda data: sign in data and (by_type is None or by_type(data))

    def select(self, entries: Sequence[Entry]) -> Iterator[Stored]:
        """The entries that are asked for. Bytes that are no event are passed over: a reader only looks."""
        for position, data in entries:
            if not self.may_match(data):
                continue
            try:
                event = Event.decode(data)
            except EnvelopeError as error:
                log.warning("stored bytes are not an event; passing them over", position=position, error=str(error))
                continue
            if self.matches(event):
                yield Stored(position, event)

    def first_position(self, backend: Backend, after: str = "") -> str:
        """A position before the first event that is asked for, at or after `after`."""
        if self.since is None:
            return after
        return max(after, backend.position_at(self.since - _SLACK), key=position_key)


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """A part of the stream, and the way through it. Positions are excluded, "" is no bound. Raises InvalidInput."""

    after: str = ""
    before: str = ""
    newest_first: bool = False

    def __post_init__(self) -> None:
        check_position(self.after)
        check_position(self.before)


class Batch(NamedTuple):
    """Events as they come: what fits of one look at the stream, and the position up to which it went."""

    events: list[Stored]
    position: str


class QueryPage(NamedTuple):
    """Some of the events asked for, and the position to go on from; None when there are no more."""

    events: list[Stored]
    following: str | None


def read(backend: Backend, query: EventQuery, stretch: Stretch, limit: int, searched: int | None = None) -> QueryPage:
    """At most `limit` events, in the order of the stretch. Blocks. Raises Unavailable.

    After looking through about `searched` events (None: all) it answers with what it has found.
    """
    low = query.first_position(backend, stretch.after)
    spans = _clipped(index_of(backend).spans(query.pattern, query.correlation_id), low, stretch.before)
    reader = _Reader(backend, stretch.newest_first, max(_FIRST_PAGE, min(PAGE, limit)))
    found: list[Stored] = []
    for span in reversed(spans) if stretch.newest_first else spans:
        cursor: str | None = reader.begin(span)
        while cursor is not None:
            if searched is not None and reader.looked >= searched:
                return QueryPage(found, cursor)
            entries, cursor = reader.next(span, cursor)
            for stored in query.select(entries):
                found.append(stored)
                if len(found) == limit:
                    return QueryPage(found, stored.position)
    return QueryPage(found, None)


class _Reader:
    """Reads spans page by page; `looked` counts the events. Pages grow where it is not known how many there are."""

    def __init__(self, backend: Backend, newest_first: bool, page: int) -> None:
        self.looked = 0
        self._newest_first = newest_first
        self._read = backend.read_back if newest_first else backend.read
        self._page = page
        self._left: int | None = None

    def begin(self, span: Span) -> str:
        """Where to read on."""
        self._left = span.size
        return span.before if self._newest_first else span.after

    def next(self, span: Span, cursor: str) -> tuple[Sequence[Entry], str | None]:
        """The next events of the span, and where to read on; None at its end."""
        size = self._page if self._left is None else min(self._left, PAGE)
        entries = self._read(cursor, size)
        self.looked += len(entries)
        if self._left is None:
            self._page = min(PAGE, self._page * 2)
        else:
            self._left -= len(entries)
        within = _within(entries, position_key(span.after), position_key(span.before) if span.before else None)
        is_end = len(entries) < size or len(within) < len(entries) or self._left == 0
        return within, None if is_end else entries[-1].position


def _clipped(spans: Sequence[Span], after: str, before: str) -> list[Span]:
    """The parts of the spans between the two positions; "" is no bound."""
    found = []
    first, last = position_key(after), position_key(before) if before else None
    for span in spans:
        low = after if position_key(span.after) < first else span.after
        high = before if last is not None and (not span.before or position_key(span.before) > last) else span.before
        if not high or position_key(low) < position_key(high):
            found.append(Span(low, high, span.size))
    return found


def _within(entries: Sequence[Entry], low: tuple[int, ...], high: tuple[int, ...] | None) -> Sequence[Entry]:
    """Those between the two positions."""
    if not entries or (_is_within(entries[0], low, high) and _is_within(entries[-1], low, high)):
        return entries
    return [entry for entry in entries if _is_within(entry, low, high)]


def _is_within(entry: Entry, low: tuple[int, ...], high: tuple[int, ...] | None) -> bool:
    key = position_key(entry.position)
    return key > low and (high is None or key < high)


def scan(backend: Backend, query: EventQuery, after: str = "") -> Iterator[Stored]:
    """All events that are asked for, oldest first. Blocks. Raises Unavailable."""
    low = query.first_position(backend, after)
    reader = _Reader(backend, newest_first=False, page=PAGE)
    for span in _clipped(index_of(backend).spans(query.pattern, query.correlation_id), low, ""):
        cursor: str | None = reader.begin(span)
        while cursor is not None:
            entries, cursor = reader.next(span, cursor)
            yield from query.select(entries)


async def replay(stream: EventStream, query: EventQuery, after: str) -> AsyncGenerator[Stored, None]:
    """The events asked for after the position, up to the one that is the newest now."""
    backend = stream.backend
    end = position_key(await stream.call(backend.tail))
    after = await stream.call(query.first_position, backend, after)
    while position_key(after) < end:
        entries = await stream.call(backend.read, after, PAGE)
        for stored in query.select(entries):
            if position_key(stored.position) > end:
                return
            yield stored
        if not entries:
            return
        after = entries[-1].position


async def events(stored: AsyncGenerator[Stored, None]) -> AsyncGenerator[Event, None]:
    """The events without their positions."""
    async for one in stored:
        yield one.event


def find_event(backend: Backend, event_id: str) -> Stored | None:
    """The newest stored event with this id. Blocks.

    It is looked for at the time that the id carries, where the index leaves many places, and then from the newest event
    back: it may have been stored long after it was made, as when a journal is shipped after a crash.
    """
    minted = _MINTED(event_id)
    if minted is None:
        return None
    query = EventQuery(correlation_id=event_id)  # for the quick look at the bytes
    spans = index_of(backend).spans(EVERY, event_id)
    if len(spans) > _FEW_SPANS or not spans[0].after:
        near = backend.read(backend.position_at(int(minted[1]) / 1000 - 1), PAGE)
        if found := _named(query, near, event_id):
            return found
    reader = _Reader(backend, newest_first=True, page=_FIRST_PAGE)
    for span in reversed(spans):
        cursor: str | None = reader.begin(span)
        while cursor is not None:
            entries, cursor = reader.next(span, cursor)
            if found := _named(query, entries, event_id):
                return found
    return None


def _named(query: EventQuery, entries: Sequence[Entry], event_id: str) -> Stored | None:
    return next((stored for stored in query.select(entries) if stored.event.id == event_id), None)
