"""The ids of the events that a group applied last: they come again from a producer, or from a stream that went back.

Each batch is one row with the digests of its ids, eight bytes each. Who consumes keeps those of all rows in memory, and
reads only the rows that another process has added since.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence

import sqlalchemy as sa

from brain.kit import positions
from brain.kit.positions import IDS

__all__ = ["AppliedIds"]

_DIGEST = 8


class AppliedIds:
    """Those of one group, at least the last `remembered`, as this process knows them. Not for two threads at once."""

    def __init__(self, group: str, remembered: int) -> None:
        self._group = group
        self._remembered = remembered
        self._known: set[bytes] = set()
        self._batches: deque[tuple[int, Sequence[bytes]]] = deque()
        self._applied = 0  # how many events were applied up to the last batch that is known

    def forget(self) -> None:
        """Read all of them again: the database may be another one."""
        self._known = set()
        self._batches = deque()
        self._applied = 0

    def fresh(self, db: sa.Connection, applied: int, digests: Iterable[bytes]) -> set[bytes]:
        """Those that were never applied; `applied` events were by now."""
        if self._applied != applied:
            self._load(db, applied)
        return set(digests) - self._known

    def store(
        self, db: sa.Connection, before: int, applied: int, digests: Sequence[bytes], last_id: str
    ) -> Callable[[], None]:
        """Note these as applied: `before` events were, and now `applied` are. `last_id` is the id of the last one.

        Returns what is to be called when the transaction is committed.
        """
        if digests:
            row = {"name": self._group, "applied": applied, "ids": b"".join(digests), "last_id": last_id}
            db.execute(sa.insert(IDS), row)
        if before // positions.FORGET_EVERY != applied // positions.FORGET_EVERY:
            db.execute(sa.delete(IDS).where(IDS.c.name == self._group, IDS.c.applied <= applied - self._remembered))
        return lambda: self._add(applied, digests)

    def _load(self, db: sa.Connection, applied: int) -> None:
        if applied < self._applied:
            self.forget()
        added = IDS.c.name == self._group, IDS.c.applied > self._applied
        for row in db.execute(sa.select(IDS.c.applied, IDS.c.ids).where(*added).order_by(IDS.c.applied)):
            self._add(row.applied, [row.ids[at : at + _DIGEST] for at in range(0, len(row.ids), _DIGEST)])
        self._applied = applied

    def _add(self, applied: int, digests: Sequence[bytes]) -> None:
        self._applied = applied
        self._known.update(digests)
        self._batches.append((applied, digests))
        while self._batches[0][0] <= applied - self._remembered - positions.FORGET_EVERY:
            self._known.difference_update(self._batches.popleft()[1])
