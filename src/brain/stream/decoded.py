"""The events that this process decoded lately, so that its projections decode each one once between them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

from brain.charter import Event
from brain.errors import EnvelopeError
from brain.locks import InterruptibleLock
from brain.logs import Log
from brain.stream.backends import Entry
from brain.stream.matching import EventFilter

log: Log = Log("brain.stream")

MAX_BYTES = 4 << 20
"""How many bytes of events are remembered: projections of one process are seldom further apart."""


class DecodedEvent(NamedTuple):
    """One stored event: its position, its exact bytes, and the event, or None when the bytes are no valid one.

    The event is shared by all who read it in this process: nobody may change it.
    """

    position: str
    data: bytes
    event: Event | None


class DecodedEvents:
    """Thread-safe; one reader decodes while the others wait, and find it done."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._lock = InterruptibleLock()
        self._known: OrderedDict[str, DecodedEvent] = OrderedDict()  # oldest first
        self._bytes = 0
        self._max_bytes = max_bytes

    def decode(self, entries: Sequence[Entry], wanted: EventFilter | None) -> list[DecodedEvent]:
        """Those of the entries that are wanted, decoded."""
        chosen = entries if wanted is None else [entry for entry in entries if wanted(entry.data)]
        if not chosen:
            return []
        with self._lock:
            return [self._find(entry) for entry in chosen]

    def _find(self, entry: Entry) -> DecodedEvent:
        known = self._known.get(entry.position)
        if known is not None and known.data == entry.data:  # a stream that is replaced counts its positions again
            return known
        try:
            found = DecodedEvent(*entry, Event.decode(entry.data))
        except EnvelopeError as error:
            log.warning("stored bytes are not an event; passing them over", position=entry.position, error=str(error))
            found = DecodedEvent(*entry, None)
        self._remember(found, known)
        return found

    def _remember(self, found: DecodedEvent, replaced: DecodedEvent | None) -> None:
        self._known[found.position] = found
        self._bytes += len(found.data) - (len(replaced.data) if replaced is not None else 0)
        while self._bytes > self._max_bytes:
            _, oldest = self._known.popitem(last=False)
            self._bytes -= len(oldest.data)
