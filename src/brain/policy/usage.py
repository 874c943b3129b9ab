"""How much an agent used in the present minute, hour or day, over all processes of one database.

Calls are counted as they are decided. Each process leases a few numbers of a counter at a time from the one row of the
database, fewer the nearer the cap: so a number is given once, and no cap is passed, however many processes decide.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import sqlalchemy as sa

from brain.errors import InvalidInput
from brain.kit.database import create_tables, reachable
from brain.kit.schema import versioned
from brain.kit.sql import insert_into
from brain.store import forking

SECONDS: Final[Mapping[str, int]] = {"minute": 60, "hour": 3_600, "day": 86_400}
AMOUNTS: Final = ("tokens", "cost", "bytes")
MAX_COUNTERS: Final = 100_000
"""How many counters a process keeps at hand; of the one used longest ago the leased numbers are given up."""

SHARE: Final = 32
"""A lease is so small a part of what is left below the next bound, and at least one call."""

FRESH: Final = 0.25
"""For so many seconds an amount that was read is used again; other processes' amounts may be missing for so long."""

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


@dataclass(frozen=True, slots=True)
class UsageField:
    """A field of conditions: `usage.calls.hour`, `usage.tool.tokens.day`, ...; with `tool`, of one action alone."""

    path: str
    kind: str
    window: str
    tool: bool
    bounds: tuple[float, ...] = ()

    def name(self, agent: str, tool: str) -> str:
        """The counter's name in the database."""
        return _name(self.kind, self.window, agent, tool if self.tool else None)


def usage_field(path: str, bounds: Iterable[float] = ()) -> UsageField:
    """The field that a path names. Raises InvalidInput for one that is no usage."""
    parts = path.split(".")
    tool = parts[1:2] == ["tool"]
    rest = parts[2:] if tool else parts[1:]
    if parts[0] != "usage" or len(rest) != 2 or rest[0] not in ("calls", *AMOUNTS) or rest[1] not in SECONDS:
        raise InvalidInput(f"field: {path!r} is no usage; write usage.calls.hour or usage.tool.tokens.day")
    return UsageField(path, rest[0], rest[1], tool, tuple(sorted(bounds)))


@lru_cache(maxsize=65_536)
def _name(kind: str, window: str, agent: str, tool: str | None) -> str:
    return "\x1f".join((kind, window, agent[:250], "" if tool is None else f"={tool[:250]}"))


@dataclass(slots=True)
class _Counter:
    """Numbers from `next` up to `end` are this process's, and those given back; for an amount `next` is its value."""

    until: float = 0.0
    next: float = 0.0
    end: float = 0.0
    returned: list[float] = field(default_factory=list)


class UsageMeter(forking.Part):
    """The usage of agents, kept in `database`; its tables are made at the first use. Thread-safe.

    `clock` gives Unix seconds. Windows are those of the clock: an hour begins at its full hour, UTC. A forked child
    leases numbers of its own: those that its parent holds stay the parent's.
    """

    level: forking.Level = forking.Level.SERVICE

    def __init__(self, database: sa.Engine, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock
        self._counters: OrderedDict[str, _Counter] = OrderedDict()
        self._changing = forking.ForkLock(forking.Level.SERVICE)
        self._made = False
        forking.register(self._changing)
        forking.register(self)

    def after_fork_in_child(self) -> None:
        """Go on without the numbers of the parent."""
        self._counters = OrderedDict()

    def take(self, agent: str, tool: str, fields: Sequence[UsageField]) -> list[float]:
        """The usage before this call, for each field; the call counts until it is given back. Raises Unavailable."""
        now = self._clock()
        with self._changing:
            return [self._take(one, one.name(agent, tool), now) for one in fields]

    def give_back(self, agent: str, tool: str, fields: Sequence[UsageField], values: Sequence[float]) -> None:
        """The call was not let through: its numbers are free again."""
        with self._changing:
            for one, value in zip(fields, values, strict=True):
                counter = self._counters.get(one.name(agent, tool)) if one.kind == "calls" else None
                if counter is None or not value < counter.end:
                    continue
                if counter.next == value + 1:
                    counter.next = value
                else:
                    counter.returned.append(value)

    def peek(self, agent: str, tool: str, fields: Sequence[UsageField]) -> list[float]:
        """The usage up to now, without counting a call."""
        values = self.take(agent, tool, fields)
        self.give_back(agent, tool, fields, values)
        return values

    def add(self, agent: str, tool: str, *, tokens: float = 0, cost: float = 0, bytes: float = 0) -> None:
        """What a call used beside itself, known after it. Raises InvalidInput for less than nothing, Unavailable."""
        amounts = {"tokens": tokens, "cost": cost, "bytes": bytes}
        if any(not 0 <= amount < float("inf") for amount in amounts.values()):
            raise InvalidInput(f"usage: {amounts} has an amount that is no number from 0 up")
        now = self._clock()
        with self._changing, reachable(self._database):
            self._make()
            with self._database.begin() as db:
                for kind, amount in amounts.items():
                    for window in SECONDS if amount else ():
                        for scope in (None, tool):
                            name = _name(kind, window, agent, scope)
                            db.execute(_adding(db, name, _start(window, now), amount))
                            self._counters.pop(name, None)

    def _take(self, one: UsageField, name: str, now: float) -> float:
        counter = self._counters.get(name)
        if counter is None:
            counter = self._counters[name] = _Counter()
            if len(self._counters) > MAX_COUNTERS:
                self._counters.popitem(last=False)
        if one.kind != "calls":
            if now >= counter.until:
                counter.next = self._read(name, _start(one.window, now))
                counter.until = min(now + FRESH, _start(one.window, now) + SECONDS[one.window])
            return counter.next
        if now >= counter.until:
            counter.next, counter.end = 0.0, 0.0
            counter.returned.clear()
            counter.until = _start(one.window, now) + SECONDS[one.window]
        if counter.returned:
            return counter.returned.pop()
        if counter.next >= counter.end:
            self._lease(counter, one, name, now)
        counter.next += 1
        return counter.next - 1

    def _lease(self, counter: _Counter, one: UsageField, name: str, now: float) -> None:
        bound = next((bound for bound in one.bounds if bound > counter.next), 0.0)
        with reachable(self._database):
            self._make()
            with self._database.begin() as db:
                used, granted = db.execute(_leasing(db, name, _start(one.window, now), bound)).one()
        counter.next, counter.end = used - granted, used

    def _read(self, name: str, start: int) -> float:
        wanted = sa.select(counters.c.used).where(counters.c.name == name, counters.c.window_start == start)
        with reachable(self._database):
            self._make()
            with self._database.connect() as db:
                return float(db.execute(wanted).scalar() or 0.0)

    def _make(self) -> None:
        """Make the tables at the first use, and let go of windows that are long over."""
        if not self._made:
            create_tables(self._database, metadata)
            with self._database.begin() as db:
                db.execute(sa.delete(counters).where(counters.c.window_start < self._clock() - 2 * SECONDS["day"]))
            self._made = True


def _start(window: str, now: float) -> int:
    return int(now // SECONDS[window]) * SECONDS[window]


def _adding(db: sa.Connection, name: str, start: int, amount: float) -> Any:
    row = {"name": name, "window_start": start, "used": amount, "granted": 0.0}
    statement = insert_into(db, counters).values(row)
    more = {"used": counters.c.used + amount}
    return statement.on_conflict_do_update(index_elements=["name", "window_start"], set_=more)


def _leasing(db: sa.Connection, name: str, start: int, bound: float) -> Any:
    """One statement that takes the next numbers of the row: a part of what is left below the bound, at least one."""
    first = float(max(1, bound // SHARE))
    row = {"name": name, "window_start": start, "used": first, "granted": first}
    part = sa.func.floor((bound - counters.c.used) / SHARE) if db.dialect.name == "postgresql" else _floor(bound)
    granted = sa.case((counters.c.used + 2 * SHARE > bound, 1.0), else_=part)
    statement = insert_into(db, counters).values(row)
    return statement.on_conflict_do_update(
        index_elements=["name", "window_start"], set_={"used": counters.c.used + granted, "granted": granted}
    ).returning(counters.c.used, counters.c.granted)


def _floor(bound: float) -> Any:
    return sa.cast(sa.cast((bound - counters.c.used) / SHARE, sa.Integer), sa.Double)
