"""Events as rows of a store: written with the change that they tell of, in the order of the changes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from brain import limits
from brain.charter import Event, check_depth, too_large
from brain.errors import Conflict, Unavailable
from brain.logs import Log
from brain.redaction import is_clean, redacted_event
from brain.store import DocumentChange, Store, forking
from brain.store.rules import new_token

log: Log = Log("brain.outbox")

COLLECTION = "events.outbox"
"""The collection of the rows; a row is deleted once its events are on the stream."""
IDENTITY = "events.outbox.id"
"""The collection of one document: what tells this store from others on the same stream."""

_ROW_BYTES = 1 << 20
"""Many events of one write share rows of about this size, so that an import of rules is not as many rows."""
_DIGITS = 20


class RowKeys:
    """Keys in the order in which they are made, by nanoseconds; no two processes ever make the same.

    The order holds though the clock is set back: within a process always, and after `follow` beyond all keys seen.
    """

    def __init__(self, clock: Callable[[], int] = time.time_ns) -> None:
        self._clock = clock
        self._lock = forking.ForkLock(forking.Level.OUTBOX)
        self._last = 0
        forking.register(self._lock)

    def new(self) -> str:
        """The next key."""
        with self._lock:
            self._last = max(self._last + 1, self._clock())
            return f"{self._last:0{_DIGITS}d}-{new_token()}"

    def follow(self, key: str) -> None:
        """Make the following keys come after this one."""
        with self._lock:
            self._last = max(self._last, _nanoseconds(key))


class OutboxRow(NamedTuple):
    """A row and its key."""

    key: str
    data: bytes


class StoreRows:
    """The rows in a store, as a shipment takes them."""

    def __init__(self, store: Store, keys: RowKeys) -> None:
        self._store = store
        self._keys = keys

    def producer(self) -> str:
        """The name under which the store's rows are appended: all processes on it have the same."""
        found = self._store.get(IDENTITY, "store")
        if found is None:
            try:
                self._store.put(IDENTITY, "store", new_token().encode(), expected=0)
            except Conflict:
                log.info("another process named this store just now")
            found = self._store.get(IDENTITY, "store")
        if found is None:
            raise Unavailable("the store lost what was written to it just now; check it")
        return f"outbox {found.data.decode()}"

    def oldest(self, limit: int) -> Sequence[OutboxRow]:
        """The first rows; keys made from now on come after them."""
        rows = [OutboxRow(found.key, found.data) for found in self._store.scan(COLLECTION, limit=limit)]
        if rows:
            self._keys.follow(rows[-1].key)
        return rows

    def delete(self, keys: Sequence[str]) -> None:
        """Delete those of these rows that are there."""
        self._store.write([DocumentChange(COLLECTION, key, None) for key in keys])

    def put_back(self, rows: Mapping[str, bytes]) -> None:
        """Make the rows again, by key."""
        self._store.write([DocumentChange(COLLECTION, key, data) for key, data in rows.items()])


def made_at(key: str) -> float:
    """When the key was made, by the clock of its process, in Unix seconds."""
    return _nanoseconds(key) / 1e9


def _nanoseconds(key: str) -> int:
    digits = key[:_DIGITS]
    return int(digits) if digits.isdecimal() else 0


def rows_of(events: Sequence[Event], keys: RowKeys) -> list[DocumentChange]:
    """The rows that keep these events, to be written with the change. Raises EnvelopeError for one no stream takes."""
    return [DocumentChange(COLLECTION, keys.new(), data, expected=0) for data in _packed([encoded(e) for e in events])]


def events_of(data: bytes) -> Sequence[bytes]:
    """What one row holds: events of one write, encoded, in order."""
    return data.split(b"\n")


def _packed(encoded: Sequence[bytes]) -> Iterator[bytes]:
    """Events a line, since JSON as it is written here has none; a new row when one would become too large."""
    lines: list[bytes] = []
    size = 0
    for data in encoded:
        if lines and size + len(data) > _ROW_BYTES:
            yield b"\n".join(lines)
            lines, size = [], 0
        lines.append(data)
        size += len(data)
    if lines:
        yield b"\n".join(lines)


def encoded(event: Event) -> bytes:
    """The event as bytes. Raises EnvelopeError for one that no stream takes."""
    data = event.encode()
    check_depth(data)
    if not is_clean(event.payload, event.meta, event.target):
        data = redacted_event(data)
    if len(data) > limits.EVENT_BYTES:
        raise too_large(data)
    return data
