"""Which calls were counted lately, by whatever process: a row for each transaction, and their ids in memory.

Ids are random. An index on them would write a page of the disk for each call; a row that holds all of a transaction is
written at the end of the table, and is read again only at a start, and by the other processes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

import sqlalchemy as sa

from brain.kit.sql import add_to
from brain.telemetry import tables

MOST = 1_000_000
"""Most calls that are recognised: about 100 MB."""
_PARTS = 4  # into which they are divided, to be forgotten one by one
_ID = 24  # bytes of a trace id and a span id

# Made once: to make a statement costs more than to run it.
_NUMBER = sa.select(tables.marks.c.at).where(tables.marks.c.name == tables.COUNTED)
_NEWS = (
    sa.select(tables.counted)
    .where(tables.counted.c.number > sa.bindparam("last"), tables.counted.c.at > sa.bindparam("oldest"))
    .order_by(tables.counted.c.number)
)
_INSERT = sa.insert(tables.counted)


@dataclass
class _Part:
    began: float
    ended: float
    ids: set[bytes] = field(default_factory=set)


class Counted:
    """The calls that were counted in the last `seconds`, at most the last `most`."""

    def __init__(self, seconds: float, most: int = MOST) -> None:
        self._seconds = seconds
        self._most = most
        self._parts: deque[_Part] = deque()
        self._last = 0
        self._mine: tuple[bytes, AbstractSet[bytes]] = b"", frozenset()

    def add(self, db: sa.Connection, ids: AbstractSet[bytes], now: float) -> AbstractSet[bytes]:
        """Note these as counted, once in the caller's transaction; those of them that were before.

        No other process does so until the transaction has ended.
        """
        number = self._next_number(db)
        self._learn(db, now)
        before: set[bytes] = set()
        for part in self._parts:
            if not part.ids.isdisjoint(ids):
                before |= part.ids & ids
        fresh = ids - before if before else ids
        if fresh:
            self._mine = b"".join(fresh), fresh
            db.execute(_INSERT, {"number": number, "at": int(now), "ids": self._mine[0]})
        return before

    def forget(self, db: sa.Connection, now: float) -> None:
        """Forget those that are too old, in the caller's transaction."""
        db.execute(sa.delete(tables.counted).where(tables.counted.c.at <= now - self._seconds))
        self._bound(now)

    def _next_number(self, db: sa.Connection) -> int:
        """The number of this transaction; its row is locked until the end of it."""
        add_to(db, tables.marks, [{"name": tables.COUNTED, "at": 1}], ("at",))
        return int(db.execute(_NUMBER).scalar_one())

    def _learn(self, db: sa.Connection, now: float) -> None:
        """Take what was committed since; what this process wrote itself is taken from memory."""
        for row in db.execute(_NEWS, {"last": self._last, "oldest": now - self._seconds}):
            data, ids = self._mine
            if row.ids != data:
                ids = {row.ids[place : place + _ID] for place in range(0, len(row.ids), _ID)}
            self._remember(ids, row.at)
            self._last = row.number
        self._bound(now)

    def _remember(self, ids: AbstractSet[bytes], at: float) -> None:
        parts = self._parts
        if not parts or at - parts[-1].began >= self._seconds / _PARTS or len(parts[-1].ids) >= self._most / _PARTS:
            parts.append(_Part(at, at))
        parts[-1].ids |= ids
        parts[-1].ended = at

    def _bound(self, now: float) -> None:
        parts = self._parts
        while parts and (parts[0].ended <= now - self._seconds or sum(len(part.ids) for part in parts) > self._most):
            parts.popleft()
