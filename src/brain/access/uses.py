"""When keys and agents' keys were last used, in the store. It is written at most once a minute for each."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from brain.store import DocumentChange, Store

USES = "access.uses"
EVERY_SECONDS = 60.0


class Uses:
    """The uses that one server sees. `clock` gives Unix seconds."""

    def __init__(self, store: Store | None, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock
        self._noted: dict[str, float] = {}
        self._written: dict[str, float] = {}

    def note(self, name: str) -> None:
        """It is used now; `name` begins with `key` or `agent`."""
        self._noted[name] = self._clock()

    def flush(self) -> None:
        """Write what was not written within the last minute. Blocks. Raises Unavailable: then it is tried again."""
        now = self._clock()
        due = {
            name: at
            for name, at in self._noted.copy().items()
            if at > self._written.get(name, 0.0) and now - self._written.get(name, 0.0) >= EVERY_SECONDS
        }
        if due and self._store is not None:
            self._store.write([DocumentChange(USES, name, repr(at).encode()) for name, at in due.items()])
            self._written |= dict.fromkeys(due, now)


def last_uses(store: Store) -> Mapping[str, float]:
    """When each was last used, in Unix seconds."""
    return {document.key: float(document.data) for document in store.scan(USES)}
