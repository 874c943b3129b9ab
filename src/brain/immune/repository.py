"""The repository of health events in a Store: numbered in order of publishing; the newest KEEP stay."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from brain.immune.models import HealthEvent
from brain.kit.idempotency import CreatedKeys
from brain.store import DocumentChange, Store
from brain.typed import ready
from brain.unreadable import readable

COLLECTION = "immune"
COUNTER = "immune.counter"
KEYS = "immune.keys"
KEEP = 10_000

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(ready(HealthEvent)).decode


class HealthRepository:
    """Health events by number. Raises what Store raises. `keep` bounds how many stay, so that storage does not grow."""

    def __init__(self, store: Store, keep: int = KEEP) -> None:
        self.keys: CreatedKeys = CreatedKeys(store, KEYS)
        self._store = store
        self._keep = keep
        self._swept = False

    def next_number(self) -> int:
        """A number for one event, given to no other; one that is not used leaves a gap."""
        return self._store.put(COUNTER, "events", b"")  # a document's version is a counter shared by all processes

    @staticmethod
    def id_of(number: int) -> str:
        """The event's number as a text that sorts in order of age."""
        return _key(number)

    def append(self, event: HealthEvent, more: Sequence[DocumentChange] = ()) -> None:
        """Store the event under its number, in one write with `more`; the oldest beyond `keep` is removed."""
        changes = [DocumentChange(COLLECTION, _key(event.id), _encode(event)), *more]
        if self._swept and event.id % 1_000 and event.id > self._keep:
            changes.append(DocumentChange(COLLECTION, _key(event.id - self._keep), None))
        self._store.write(changes)
        if not self._swept or not event.id % 1_000:
            self._sweep(event.id)

    def newest(self, limit: int) -> list[HealthEvent]:
        """At most `limit` events, the newest first; those that cannot be read are left out."""
        return self._newest(limit)[0]

    def since(self, cutoff: float) -> list[HealthEvent]:
        """The kept events not older than `cutoff` (Unix seconds), the newest first."""
        size = 256
        while True:
            events, looked = self._newest(size)
            if looked < size or (events and events[-1].timestamp < cutoff):
                return [event for event in events if event.timestamp >= cutoff]
            size *= 4

    def _newest(self, limit: int) -> tuple[list[HealthEvent], int]:
        """The events that can be read of the newest `limit`, and how many there are."""
        found = self._store.scan(COLLECTION, limit=min(limit, self._keep), newest_first=True)
        items = [(document.key, document.data) for document in found]
        return list(readable(COLLECTION, items, _decode)), len(items)

    def _sweep(self, number: int) -> None:
        """Remove all beyond `keep`: a run may have kept more or been killed, and events may have been stored late."""
        while True:
            oldest = self._store.scan(COLLECTION, limit=500)
            surplus = [document.key for document in oldest if document.key <= _key(number - self._keep)]
            for key in surplus:
                self._store.delete(COLLECTION, key)
            if len(surplus) < 500:
                break
        self.keys.forget(_key(number - self._keep + 1))
        self._swept = True


def _key(number: int) -> str:
    return f"{max(number, 0):012d}"
