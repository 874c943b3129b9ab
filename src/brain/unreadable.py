"""Stored items that this version cannot read: a list leaves them out, and says so.

Each is logged once, counted, and, inside of `collecting`, passed to whoever asked: HTTP answers name them in the header
`X-Brain-Unreadable`, commands on standard error.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

import msgspec

from brain.errors import BrainError, Unavailable
from brain.logs import Log

log: Log = Log("brain.store")

FAULTS = (msgspec.DecodeError, UnicodeDecodeError, BrainError, ValueError, TypeError, KeyError, RecursionError)
"""What reading an item raises when the item is at fault. An Unavailable is never the item's."""

counts: Counter[str] = Counter()
"""How many different items were left out, by collection, since the process started."""

_KEPT = 10_000
_logged: set[tuple[str, str]] = set()
_collector: ContextVar[list[str] | None] = ContextVar("brain_unreadable", default=None)

S = TypeVar("S")
T = TypeVar("T")


@contextmanager
def collecting() -> Iterator[list[str]]:
    """Gather `collection/key` of the items that are left out inside this block, each once."""
    found: list[str] = []
    token = _collector.set(found)
    try:
        yield found
    finally:
        _collector.reset(token)


def left_out(collection: str, key: str, error: Exception | str) -> None:
    """Say that this item is left out, and why."""
    name = f"{collection}/{key}"
    found = _collector.get()
    if found is not None and name not in found:
        found.append(name)
    if (collection, key) not in _logged and len(_logged) < _KEPT:
        _logged.add((collection, key))
        counts[collection] += 1
        log.error("a stored item cannot be read and is left out", collection=collection, key=key, error=str(error))


def readable(collection: str, items: Iterable[tuple[str, S]], read: Callable[[S], T]) -> Iterator[T]:
    """What `read` makes of each item, given with its key, without those that cannot be read."""
    for key, stored in items:
        try:
            yield read(stored)
        except Unavailable:
            raise
        except FAULTS as error:
            left_out(collection, key, error)


def read_or_none(collection: str, key: str, stored: S, read: Callable[[S], T]) -> T | None:
    """What `read` makes of the item; None for one that cannot be read."""
    return next(readable(collection, [(key, stored)], read), None)
