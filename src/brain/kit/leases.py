"""Leases: who alone may do something for a while, kept in the consumers' database.

Each lease has a fencing token, a number that rises with every new holder. A holder that was frozen and wakes up after
its lease still believes in it; its token is lower than the present one, and `check` refuses it.
https://martin.kleppmann.com/2016/02/08/how-to-do-distributed-locking.html

Every method runs in the caller's transaction, so that what a holder does, its lease and the event of it are one write.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from brain.errors import Conflict
from brain.extras import needs

with needs(__name__):
    import sqlalchemy as sa

from brain.kit.schema import versioned
from brain.kit.sql import insert_missing

__all__ = ["METADATA", "Lease", "LeaseLost", "Leases"]

METADATA: sa.MetaData = versioned("leases")
LEASES: sa.Table = sa.Table(
    "leases",
    METADATA,
    sa.Column("kind", sa.String(50), primary_key=True),
    sa.Column("name", sa.String(200), primary_key=True),
    sa.Column("holder", sa.String(200)),  # null: nobody; the row stays, since tokens must go on rising
    sa.Column("token", sa.BigInteger, nullable=False),
    sa.Column("until", sa.Double, nullable=False),
    sa.Index("leases_by_holder", "kind", "holder"),
)
"""One row for each thing that was ever leased; `create_tables(engine, METADATA)` makes the table."""


class LeaseLost(Conflict):
    """The lease has ended, or somebody else has it: what was begun under it must not be finished."""

    title = "Lease lost"


@dataclass(frozen=True, slots=True)
class Lease:
    """Who holds what, until when in Unix seconds, and the token that proves it."""

    name: str
    holder: str
    token: int
    until: float


class Leases:
    """The leases of one kind, such as `robot`; names of different kinds are different things.

    `clock` gives Unix seconds. Clocks of several machines may differ by less than a lease takes.
    """

    def __init__(self, kind: str, clock: Callable[[], float] = time.time) -> None:
        self._kind = kind
        self._clock = clock

    def acquire(self, db: sa.Connection, name: str, holder: str, seconds: float) -> Lease | None:
        """Take the lease for so long, under a new token; None while another holds it (`find` names who).

        Who holds it already gets a new one, and the earlier token is worth nothing: a restarted process goes on at
        once, and its older self cannot.
        """
        now = self._clock()
        insert_missing(db, LEASES, [{"kind": self._kind, "name": name, "holder": None, "token": 0, "until": 0.0}])
        free = sa.or_(LEASES.c.holder.is_(None), LEASES.c.holder == holder, LEASES.c.until <= now)
        taken = LEASES.update().where(self._named(name), free)
        values = {"holder": holder, "token": LEASES.c.token + 1, "until": now + seconds}
        token = db.execute(taken.values(values).returning(LEASES.c.token)).scalar()
        return None if token is None else Lease(name, holder, token, now + seconds)

    def renew(self, db: sa.Connection, name: str, token: int, seconds: float) -> Lease:
        """Hold the lease until so long from now. Raises LeaseLost."""
        held = self.check(db, name, token)
        until = self._clock() + seconds
        db.execute(LEASES.update().where(self._named(name)).values(until=until))
        return Lease(name, held.holder, token, until)

    def release(self, db: sa.Connection, name: str, token: int) -> Lease:
        """Give the lease back; the one that ended. Raises LeaseLost."""
        held = self.check(db, name, token)
        db.execute(LEASES.update().where(self._named(name)).values(holder=None))
        return held

    def revoke(self, db: sa.Connection, holder: str) -> list[Lease]:
        """End every lease of this holder at once, for one that is contained or gone; those that ended, also what had
        run out and was not cleared (`lapse`): whoever ends a lease announces it.
        """
        mine = sa.and_(LEASES.c.kind == self._kind, LEASES.c.holder == holder)
        ended = [
            _lease(row) for row in db.execute(sa.select(LEASES).where(mine).order_by(LEASES.c.name).with_for_update())
        ]
        db.execute(LEASES.update().where(mine).values(holder=None))
        return ended

    def check(self, db: sa.Connection, name: str, token: int) -> Lease:
        """The lease that this token proves; nobody else gets it before the transaction ends. Raises LeaseLost."""
        row = db.execute(sa.select(LEASES).where(self._named(name)).with_for_update()).one_or_none()
        if row is None or row.holder is None:
            raise LeaseLost(f"{self._kind} {name}: nobody has the lease; acquire it first")
        if row.token != token:
            raise LeaseLost(f"{self._kind} {name}: token {token} is not the present one; {row.holder} has the lease")
        if row.until <= self._clock():
            raise LeaseLost(f"{self._kind} {name}: the lease of {row.holder} ran out; acquire it again")
        return _lease(row)

    def find(self, db: sa.Connection, name: str) -> Lease | None:
        """Who holds it now; None for nobody."""
        row = db.execute(sa.select(LEASES).where(self._named(name))).one_or_none()
        return None if row is None or row.holder is None or row.until <= self._clock() else _lease(row)

    def held(self, db: sa.Connection) -> list[Lease]:
        """All leases that somebody holds now, by name."""
        mine = sa.and_(LEASES.c.kind == self._kind, LEASES.c.holder.is_not(None), LEASES.c.until > self._clock())
        return [_lease(row) for row in db.execute(sa.select(LEASES).where(mine).order_by(LEASES.c.name))]

    def lapse(self, db: sa.Connection) -> list[Lease]:
        """Clear the leases that ran out; those, each once: for whoever announces that a holder is gone."""
        now = self._clock()
        old = sa.and_(LEASES.c.kind == self._kind, LEASES.c.holder.is_not(None), LEASES.c.until <= now)
        ended = [
            _lease(row) for row in db.execute(sa.select(LEASES).where(old).order_by(LEASES.c.name).with_for_update())
        ]
        if ended:
            db.execute(LEASES.update().where(old).values(holder=None))
        return ended

    def next_end(self, db: sa.Connection) -> float | None:
        """When the first of the leases ends, or ended and was not cleared; None when nobody has any."""
        mine = sa.and_(LEASES.c.kind == self._kind, LEASES.c.holder.is_not(None))
        return db.execute(sa.select(sa.func.min(LEASES.c.until)).where(mine)).scalar()

    def _named(self, name: str) -> sa.ColumnElement[bool]:
        return sa.and_(LEASES.c.kind == self._kind, LEASES.c.name == name)


def _lease(row: sa.Row[Any]) -> Lease:
    return Lease(row.name, row.holder, row.token, row.until)
