"""The rows behind usage: one for each counter and window, from which processes lease numbers of calls."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from brain.kit.database import create_tables, reachable
from brain.kit.schema import versioned
from brain.kit.sql import CHUNK, add_to, insert_missing
from brain.policy.token_bucket import filled
from brain.policy.usage_windows import SECONDS

SHARE: Final = 8
"""A lease is at most so small a part of what is left below the next bound."""

LEAST: Final = 64
"""A lease is at least so small a part of the bound, and at least one call."""

_TEXT: Final = 250
_FOR_EVER: Final = 2**53
"""The window of a bucket, which has none."""

metadata: sa.MetaData = versioned("usage")
counters: sa.Table = sa.Table(
    "usage_counters",
    metadata,
    sa.Column("name", sa.String(600), primary_key=True),
    sa.Column("window_start", sa.BigInteger, primary_key=True),
    sa.Column("used", sa.Double, nullable=False),
    sa.Column("granted", sa.Double, nullable=False),
    sa.Index("usage_counters_old", "window_start"),
    comment="What was used in a window: calls leased or amounts reported; `granted` is the last lease",
)

Row = tuple[str, int]
"""A counter's name and the Unix second at which the window begins."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A wish for the next numbers of a counter: how many, and the bound that they must not share out too fast."""

    row: Row
    want: int
    bound: float | None


class Lease(NamedTuple):
    """The numbers from `first` up to, and without, `end`."""

    first: int
    end: int


def digest(text: str) -> str:
    """The text as a part of a key that every database takes: of one that is too long or odd a digest."""
    if len(text) <= _TEXT and text.isprintable():
        return text
    return f"sha256:{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"


def window_start(window: str, now: float) -> int:
    """The Unix second at which the window of that moment begins."""
    return int(now // SECONDS[window]) * SECONDS[window]


def size(claim: Claim, used: int) -> int:
    """How many numbers a claim gets where so many are used: fewer the nearer the bound, and at least one."""
    if claim.bound is None:
        return claim.want
    left = int(claim.bound) - used
    if left <= 0:
        return 1
    return min(claim.want, left, max(left // SHARE, int(claim.bound) // LEAST, 1))


class UsageStore:
    """Reads and writes the rows; each call is one transaction, blocks, and raises Unavailable."""

    def __init__(self, database: sa.Engine, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock
        self._made = False

    def lease(self, claims: Sequence[Claim]) -> list[Lease]:
        """The next numbers of each counter, in the order of the claims; no other process gets these."""
        rows = sorted({claim.row for claim in claims})
        with reachable(self._database):
            self._make()
            with self._database.begin() as db:
                used = _locked(db, rows)
                found = []
                granted = {}
                for claim in claims:
                    first = int(used[claim.row])
                    granted[claim.row] = size(claim, first)
                    used[claim.row] = first + granted[claim.row]
                    found.append(Lease(first, first + granted[claim.row]))
                values = [_values(row, used[row], granted[row]) for row in rows]
                add_to(db, counters, values, (), ("used", "granted"))
        return found

    def give_back(self, unused: Mapping[Row, int]) -> None:
        """So many numbers of these counters are free again."""
        with reachable(self._database):
            self._make()
            with self._database.begin() as db:
                add_to(db, counters, [_values(row, -many) for row, many in sorted(unused.items())], ("used",))

    def read(self, rows: Sequence[Row]) -> dict[Row, float]:
        """What was used in these windows."""
        with reachable(self._database):
            self._make()
            with self._database.connect() as db:
                return _used(db, rows, lock=False)

    def add(self, amounts: Mapping[Row, float]) -> None:
        """So much more was used in these windows."""
        with reachable(self._database):
            self._make()
            with self._database.begin() as db:
                add_to(db, counters, [_values(row, amount) for row, amount in sorted(amounts.items())], ("used",))

    def fill(self, bucket: str, speed: float, burst: float, want: int, now: float) -> tuple[int, float]:
        """Up to `want` tokens of a shared bucket that gets `speed` a second, and the wait for one where there is none.

        Its row says when the bucket is full again, in Unix seconds.
        """
        row = (f"bucket\x1f{digest(bucket)}", _FOR_EVER)
        with reachable(self._database):
            self._make()
            with self._database.begin() as db:
                granted, full, wait = filled(_locked(db, [row])[row], speed, burst, want, now)
                if granted:
                    add_to(db, counters, [_values(row, full, granted)], (), ("used", "granted"))
        return granted, wait

    def _make(self) -> None:
        """Make the tables at the first use, and let go of windows that are long over."""
        if not self._made:
            create_tables(self._database, metadata)
            with self._database.begin() as db:
                old = self._clock() - 2 * SECONDS["day"]
                full = sa.and_(counters.c.window_start == _FOR_EVER, counters.c.used < old)
                db.execute(sa.delete(counters).where(sa.or_(counters.c.window_start < old, full)))
            self._made = True


def _values(row: Row, used: float, granted: float = 0.0) -> dict[str, Any]:
    return {"name": row[0], "window_start": row[1], "used": used, "granted": granted}


def _locked(db: sa.Connection, rows: Sequence[Row]) -> dict[Row, float]:
    """What is used, in rows that nobody else changes until the transaction is over."""
    if db.dialect.name == "postgresql":  # on SQLite the transaction began IMMEDIATE
        insert_missing(db, counters, [_values(row, 0.0) for row in rows])
    return _used(db, rows, lock=True)


def _used(db: sa.Connection, rows: Sequence[Row], *, lock: bool) -> dict[Row, float]:
    used = dict.fromkeys(rows, 0.0)
    locking = lock and db.dialect.name == "postgresql"
    if len(rows) == 1:
        value = db.execute(_ONE_LOCKED if locking else _ONE, {"name": rows[0][0], "start": rows[0][1]}).scalar()
        return {rows[0]: float(value or 0.0)}
    for at in range(0, len(rows), CHUNK):
        some = rows[at : at + CHUNK]
        given = {"names": [name for name, _ in some], "starts": sorted({start for _, start in some})}
        for name, start, value in db.execute(_MANY_LOCKED if locking else _MANY, given):
            if (name, start) in used:
                used[name, start] = float(value)
    return used


_ONE = sa.select(counters.c.used).where(
    counters.c.name == sa.bindparam("name"), counters.c.window_start == sa.bindparam("start")
)
_ONE_LOCKED = _ONE.with_for_update()
_MANY = sa.select(counters.c.name, counters.c.window_start, counters.c.used).where(
    counters.c.name.in_(sa.bindparam("names", expanding=True)),
    counters.c.window_start.in_(sa.bindparam("starts", expanding=True)),
)
_MANY_LOCKED = _MANY.order_by(counters.c.name, counters.c.window_start).with_for_update()
