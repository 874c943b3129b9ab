"""The ids of the events that a group applied last: they come again from a producer, or from a stream that went back.

Each batch is one row with the digests of its ids, eight bytes each. Who consumes keeps a filter of those of all rows in
memory, and looks into the rows for what may have come before; else it reads only those that another process has added.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence

import sqlalchemy as sa

from brain.kit import positions
from brain.kit.id_filter import IdFilter
from brain.kit.positions import IDS

__all__ = ["AppliedIds"]

_DIGEST = 8


class AppliedIds:
    """Those of one group, at least the last `remembered`, as this process knows them. Not for two threads at once."""

    def __init__(self, group: str, remembered: int) -> None:
        self._group = group
        self._remembered = remembered
        self.forget()

    def forget(self) -> None:
        """Read all of them again: the database may be another one."""
        self._filter = IdFilter(self._remembered)
        self._applied = 0  # how many events were applied up to the last batch that is known

    def fresh(self, db: sa.Connection, applied: int, digests: Iterable[bytes]) -> set[bytes]:
        """Those that were never applied; `applied` events were by now."""
        if self._applied != applied:
            self._load(db, applied)
        fresh = set(digests)
        if met := self._filter.met(list(fresh)):
            fresh -= self._stored(db, met)
        return fresh

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
        return lambda: self._note(applied)

    def _note(self, applied: int) -> None:
        self._applied = applied

    def _load(self, db: sa.Connection, applied: int) -> None:
        """Have the filter know what this process has not applied itself."""
        if applied < self._applied:
            self.forget()
        added = IDS.c.name == self._group, IDS.c.applied > self._applied
        for ids in db.execute(sa.select(IDS.c.ids).where(*added).order_by(IDS.c.applied)).scalars():
            self._filter.met([ids[at : at + _DIGEST] for at in range(0, len(ids), _DIGEST)])
        self._applied = applied

    def _stored(self, db: sa.Connection, digests: Sequence[bytes]) -> set[bytes]:
        """Those of these that are in the rows: what was asked for may not have been applied then."""
        names = dict(zip(array("Q", b"".join(digests)), digests, strict=True))
        found: set[int] = set()
        for ids in db.execute(sa.select(IDS.c.ids).where(IDS.c.name == self._group)).scalars():
            found.update(names.keys() & array("Q", ids))
        return {names[number] for number in found}
