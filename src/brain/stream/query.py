"""Reading what is stored: ranges, filters, replay. Nothing here touches a group."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from brain.charter import Event, Pattern
from brain.errors import EnvelopeError
from brain.logs import Log
from brain.stream.backends import Backend, Entry, position_key

if TYPE_CHECKING:
    from brain.stream.stream import EventStream

log = Log("brain.query")

_PAGE = 2000
_EVERY = Pattern("*")
_SLACK = 3600.0
"""Seconds by which an event may have been stored before its own timestamp says (clocks of several machines differ)."""


class Stored(NamedTuple):
    """An event and its position in the stream."""

    position: str
    event: Event


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events are asked for; `until` is excluded."""

    pattern: Pattern
    since: float | None = None
    until: float | None = None
    correlation_id: str | None = None

    def __call__(self, event: Event) -> bool:
        return (
            self.pattern.matches(event.type)
            and (self.since is None or event.timestamp >= self.since)
            and (self.until is None or event.timestamp < self.until)
            and (self.correlation_id is None or self.correlation_id in (event.meta["correlation_id"], event.id))
        )


def decode(entries: Sequence[Entry], pattern: Pattern) -> Iterator[Stored]:
    """The entries that are events and match; others are passed over (a group buries them, a reader only looks)."""
    for position, data in entries:
        try:
            event = Event.decode(data)
        except EnvelopeError as error:
            log.warning("stored bytes are not an event", position=position, error=str(error))
            continue
        if pattern.matches(event.type):
            yield Stored(position, event)


def read(backend: Backend, wanted: Wanted, after: str, before: str, limit: int, newest_first: bool) -> list[Stored]:
    """At most `limit` wanted events with `after` < position < `before` ("" for no bound)."""
    found: list[Stored] = []
    if wanted.since is not None:
        after = max(after, backend.position_at(wanted.since - _SLACK), key=position_key)
    low, high = position_key(after), position_key(before)
    while len(found) < limit:
        page = max(50, min(_PAGE, limit))
        entries = backend.read_back(before, page) if newest_first else backend.read(after, page)
        for stored in decode(entries, wanted.pattern):
            key = position_key(stored.position)
            if (newest_first and key <= low) or (not newest_first and high and key >= high):
                return found
            if wanted(stored.event):
                found.append(stored)
                if len(found) == limit:
                    return found
        if len(entries) < page:
            return found
        before = after = entries[-1].position
        last = position_key(before)
        if (newest_first and last <= low) or (not newest_first and high and last >= high):
            return found
    return found


async def replay(stream: EventStream, wanted: Wanted, after: str) -> AsyncGenerator[Stored, None]:
    """Wanted events after the position, up to the one that is the newest now."""
    backend = stream.backend
    end = position_key(await stream.call(backend.tail))
    if wanted.since is not None:
        started = await stream.call(backend.position_at, wanted.since - _SLACK)
        after = max(after, started, key=position_key)
    while position_key(after) < end:
        entries = await stream.call(backend.read, after, _PAGE)
        for stored in decode(entries, wanted.pattern):
            if position_key(stored.position) > end:
                return
            if wanted(stored.event):
                yield stored
        if not entries:
            return
        after = entries[-1].position


async def events(stored: AsyncGenerator[Stored, None]) -> AsyncGenerator[Event, None]:
    """The events without their positions."""
    async for one in stored:
        yield one.event


def find_back(backend: Backend, event_id: str) -> str:
    """The position of the newest stored event with that id, or ""; looks from the newest back."""
    sign = f'"{event_id}"'.encode()
    before = ""
    while entries := backend.read_back(before, _PAGE):
        for position, data in entries:
            if sign in data and any(one.event.id == event_id for one in decode([Entry(position, data)], _EVERY)):
                return position
        before = entries[-1].position
    return ""
