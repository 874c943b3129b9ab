"""A page of the stream, read once for all that consume it in this process; each of its events is decoded once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property
from hashlib import blake2b, sha256
from typing import NamedTuple

from brain.charter import Event, Pattern
from brain.errors import EnvelopeError
from brain.locks import InterruptibleLock
from brain.logs import Log
from brain.stream.backends import Entry
from brain.stream.matching import EventFilter

__all__ = ["ID_CHARACTERS", "DecodedEvent", "Page", "digest_of"]

log: Log = Log("brain.stream")

ID_CHARACTERS = 200
"""Characters of an event's id that an index of a database takes; a hash stands for a longer one."""
_DIGEST = 8


class DecodedEvent(NamedTuple):
    """One stored event: its position, its exact bytes, and the event, or None when the bytes are no valid one.

    The event is shared by all who read it in this process: nobody may change it. `digest` stands for its id.
    """

    position: str
    data: bytes
    event: Event | None
    digest: bytes = b""


def digest_of(event_id: str) -> bytes:
    """Eight bytes that stand for an event's id: of 200,000 ids, one in 10^14 has those of another."""
    text = event_id.encode("utf-8", "surrogatepass")
    if len(event_id) > ID_CHARACTERS:
        text = f"sha256 {sha256(text).hexdigest()}".encode()
    return blake2b(text, digest_size=_DIGEST).digest()


class Page:
    """Some events in a row. Safe for threads: one decodes while the others wait, and find it done."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.entries = entries
        self._lock = InterruptibleLock()
        self._items: list[DecodedEvent | None] = [None] * len(entries)
        self._all: Sequence[DecodedEvent] | None = None
        self._earlier: Sequence[Page] = ()

    def decoded(self, wanted: EventFilter | None, pattern: Pattern | None = None) -> Sequence[DecodedEvent]:
        """Those of the events that are wanted; by the same pattern, where all are decoded anyway."""
        with self._lock:
            if wanted is None:
                if self._all is None:
                    self._all = [self._item(place) for place in range(len(self.entries))]
                return self._all
            if self._all is not None and pattern is not None:
                matches = pattern.matches
                return [
                    item
                    for item in self._all
                    if (matches(item.event.type) if item.event is not None else wanted(item.data))
                ]
            return [self._item(place) for place, entry in enumerate(self.entries) if wanted(entry.data)]

    def up_to(self, positions: Collection[str]) -> Page:
        """The page up to the last of these positions that is in it; the same page when none is, or it ends there."""
        if not positions or not self.entries:
            return self
        places = [self.places[position] for position in positions if position in self.places]
        end = max(places, default=len(self.entries) - 1) + 1
        if end == len(self.entries):
            return self
        page = Page(self.entries[:end])
        page._earlier = self._earlier
        return page

    def share(self, earlier: Iterable[Page]) -> None:
        """Have what these pages hold as well, the same bytes at the same positions, decoded there, once for all."""
        self._earlier = [page for page in earlier if self._first in page.places or page._first in self.places]

    @cached_property
    def places(self) -> Mapping[str, int]:
        """Where in the page each position is."""
        return {entry.position: place for place, entry in enumerate(self.entries)}

    @property
    def _first(self) -> str:
        return self.entries[0].position if self.entries else ""

    def _item(self, place: int) -> DecodedEvent:
        found = self._items[place]
        if found is None:
            entry = self.entries[place]
            shared = (page._same(entry) for page in self._earlier)
            found = next((item for item in shared if item is not None), None) or _decode(entry)
            self._items[place] = found
        return found

    def _same(self, entry: Entry) -> DecodedEvent | None:
        """The decoded event of the entry, when the page holds it."""
        place = self.places.get(entry.position)
        if place is None or self.entries[place].data != entry.data:
            return None
        with self._lock:
            return self._item(place)


def _decode(entry: Entry) -> DecodedEvent:
    position, data = entry
    try:
        event = Event.decode(data)
        return DecodedEvent(position, data, event, digest_of(event.id))
    except EnvelopeError as error:
        log.warning("stored bytes are not an event; passing them over", position=position, error=str(error))
        return DecodedEvent(position, data, None)
