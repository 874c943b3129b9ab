"""How much an agent used in the present minute, hour or day, over all processes of one database.

Calls are counted as they are decided. Each process leases numbers of a counter ahead of need from the one row of the
database, fewer the nearer the cap: so a number is given once, and no cap is passed, however many processes decide.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from brain.errors import BrainError, InvalidInput, Unavailable
from brain.kit.database import BUSY_SECONDS
from brain.logs import Log
from brain.policy.usage_counters import BLOCK, Amount, Block, Calls, Plan
from brain.policy.usage_store import Lease, Row, UsageStore, digest, window_start
from brain.policy.usage_windows import SECONDS
from brain.store import forking

log: Log = Log("brain.policy")

AMOUNTS: Final = ("tokens", "cost", "bytes")
MAX_COUNTERS: Final = 100_000
"""How many counters a process keeps at hand; of the one used longest ago the leased numbers are given up."""

FRESH: Final = 0.25
"""For so many seconds an amount that was read is used again; other processes' amounts may be missing for so long."""

IDLE: Final = 5.0
"""Numbers that nobody used for so many seconds go back to the other processes."""

LOOK: Final = 1.0
"""So often, in seconds, it is looked what is idle, and whether a cap that refuses calls has numbers again; and for so
long a database that is away is not asked again."""

PATIENCE: Final = BUSY_SECONDS + 5.0
"""How many seconds a decision waits for a lease: longer than the database waits for another writer."""


@dataclass(frozen=True, slots=True)
class UsageField:
    """A field of conditions: `usage.calls.hour`, `usage.tool.tokens.day`, ...; with `tool`, of one action alone.

    `bounds` are the numbers at which a condition turns, in their order.
    """

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


def _name(kind: str, window: str, agent: str, tool: str | None) -> str:
    return "\x1f".join((kind, window, digest(agent), "" if tool is None else f"={digest(tool)}"))


class _Wish:
    """A decision that waits for numbers or amounts."""

    def __init__(self, counters: Sequence[Calls | Amount]) -> None:
        self.counters = counters
        self.done = threading.Event()
        self.error: BrainError | None = None


class UsageMeter(forking.Part):
    """The usage of agents, kept in `database`; its tables are made at the first use. Thread-safe.

    `clock` gives Unix seconds. Windows are those of the clock: an hour begins at its full hour, UTC. A thread of its
    own leases, reads and gives back, ahead of need; it ends when nothing is held. A forked child leases numbers of its
    own: those that its parent holds stay the parent's.
    """

    level: forking.Level = forking.Level.SERVICE

    def __init__(self, database: sa.Engine, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self.store: UsageStore = UsageStore(database, clock)
        self.keeps_time: bool = clock is time.time
        """Whether the meter's thread knows when a window ends: its clock is the machine's."""
        self.failures: int = 0
        """How many leases and reads have failed."""
        self._changing = forking.ForkLock(forking.Level.SERVICE)
        self._writing = forking.ForkLock(forking.Level.SERVICE)
        self._start_anew()
        for part in (self._changing, self._writing, self):
            forking.register(part)

    def _start_anew(self) -> None:
        self._counters: dict[str, Calls | Amount] = {}
        self._low: deque[Block] = deque()
        self._wishes: list[_Wish] = []
        self._unused: dict[Row, int] = {}
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._away: tuple[float, BrainError] | None = None
        self._looked: float = 0.0

    def after_fork_in_child(self) -> None:
        """Go on without the numbers and the thread of the parent."""
        for counter in self._counters.values():
            for block in counter.blocks:
                block.plan.blocks.clear()
        self._start_anew()

    def block(self, plan: Plan, key: Any, agent: str, tool: str, fields: Sequence[UsageField]) -> Block:
        """A block for these fields, in the plan's under the key; it may wait for the database. Raises Unavailable."""
        while True:
            with self._changing:
                counters = [self._counter(one, agent, tool) for one in fields]
                found = self._filled(plan, key, counters)
                if found is not None:
                    return found
                if self._away is not None and time.monotonic() < self._away[0]:
                    raise self._away[1]
                wish = _Wish(counters)
                self._wishes.append(wish)
                self._work()
            if not wish.done.wait(PATIENCE):
                raise Unavailable(f"usage: the database has not answered for {PATIENCE:g} s")
            if wish.error is not None:
                raise wish.error

    def running_low(self, block: Block) -> None:
        """Half of the block is used: lease more, before it is used up."""
        block.low = BLOCK + 1
        if any(isinstance(each, Calls) and each.spare < each.granted for each in block.counters):
            self._low.append(block)
            self._wake.set()

    def add(self, agent: str, tool: str, *, tokens: float = 0, cost: float = 0, bytes: float = 0) -> None:
        """What a call used beside itself, known after it; it blocks for one write.

        Raises InvalidInput for less than nothing, Unavailable.
        """
        amounts = {"tokens": tokens, "cost": cost, "bytes": bytes}
        if any(not 0 <= amount < float("inf") for amount in amounts.values()):
            raise InvalidInput(f"usage: {amounts} has an amount that is no number from 0 up")
        now = self.clock()
        more = {
            (_name(kind, window, agent, scope), window_start(window, now)): float(amount)
            for kind, amount in amounts.items()
            for window in (SECONDS if amount else ())
            for scope in (None, tool)
        }
        if more:
            with self._writing:
                self.store.add(more)
            with self._changing:
                for name, _ in more:
                    if isinstance(known := self._counters.get(name), Amount):
                        known.forget()

    def close(self) -> None:
        """Give back what is leased and not used. What is decided afterwards leases again. Never raises."""
        with self._changing:
            for each in self._counters.values():
                self._let_go(each)
            self._counters.clear()
            thread = self._thread
        self._wake.set()
        if thread is not None:
            thread.join(PATIENCE)  # it may be leasing just now
        self.turn()

    # In memory, under the lock

    def _counter(self, one: UsageField, agent: str, tool: str) -> Calls | Amount:
        name, now = one.name(agent, tool), self.clock()
        counter = self._counters.get(name)
        if counter is None or counter.is_over(now):
            new = Calls(name, one.window, one.bounds, now) if one.kind == "calls" else Amount(name, one.window, now)
            counter = self._counters[name] = new
            if len(self._counters) > MAX_COUNTERS:
                self._let_go(self._counters.pop(next(iter(self._counters))))
        if isinstance(counter, Calls):
            counter.bounds = one.bounds
        return counter

    def _filled(self, plan: Plan, key: Any, counters: Sequence[Calls | Amount]) -> Block | None:
        """A new block in place of the one under the key; None while some counter has nothing for it."""
        old = plan.blocks.pop(key, None)
        if old is not None:
            old.reclaim()
        calls = [each for each in counters if type(each) is Calls]
        for each in calls:
            dry = not each.ranges
            for other in list(each.blocks):
                if dry or other.plan is not plan:
                    other.reclaim()
        now = self.clock()
        for amount in counters:
            if isinstance(amount, Amount):
                amount.asked = True
        if any(now >= each.until for each in counters):
            return None
        many = min((each.ready() for each in calls), default=BLOCK)
        if not many:
            return None
        first = [float(each.take(many)) if isinstance(each, Calls) else each.value for each in counters]
        block = plan.blocks[key] = Block(plan, key, counters, first, many)
        return block

    def _let_go(self, counter: Calls | Amount) -> None:
        """What the counter holds is to be given back."""
        for block in counter.blocks:
            if block.plan.blocks.get(block.key) is block:
                del block.plan.blocks[block.key]
        if isinstance(counter, Calls) and (many := counter.give_up()) and not counter.is_over(self.clock()):
            self._unused[counter.row] = self._unused.get(counter.row, 0) + many

    def _work(self) -> None:
        """Have the thread look, now."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(
                target=_work, args=(weakref.ref(self), self._wake), name="usage-leases", daemon=True
            )
            self._thread.start()
        self._wake.set()

    # In the thread

    def turn(self) -> float | None:
        """Do what is wished and due; after how many seconds to look again, None: nothing is held."""
        with self._changing:
            wishes, self._wishes = self._wishes, []
            now = self.clock()
            calls, rows = self._wanted(wishes, now)
            unused, self._unused = self._unused, {}
        error: BrainError | None = None
        try:
            self._ask(calls, rows, unused, now)
        except Exception as fault:  # noqa: BLE001  (whoever waits gets it; logged)
            error = fault if isinstance(fault, BrainError) else Unavailable(f"usage: {type(fault).__name__}: {fault}")
            self.failures += 1
            log.warning("usage cannot be leased or read", error=str(error), total=self.failures)
        self._away = None if error is None else (time.monotonic() + LOOK, error)
        for wish in wishes:
            wish.error = error
            wish.done.set()
        with self._changing:
            if not self._counters and not self._wishes and not self._unused:
                self._thread = None
                return None
            often = any(isinstance(one, Amount) for one in self._counters.values())
            return min(FRESH / 2 if often else LOOK, 60.0 - now % 60.0)

    def _ask(
        self, calls: Sequence[Calls], read: Sequence[Calls | Amount], unused: Mapping[Row, int], now: float
    ) -> None:
        """Write and read what is wanted, and keep what was found."""
        leases: Sequence[Lease] = ()
        found: Mapping[Row, float] = {}
        with self._writing:
            if unused:
                self.store.give_back(unused)
            if calls:
                leases = self.store.lease([each.claim() for each in calls])
            if read:
                found = self.store.read([each.row for each in read])
        with self._changing:
            for each, lease in zip(calls, leases, strict=True):
                if self._counters.get(each.row[0]) is each:
                    each.leased(lease)
                else:  # it was let go meanwhile
                    self._unused[each.row] = self._unused.get(each.row, 0) + lease.end - lease.first
                    self._wake.set()
            for one in read:
                if isinstance(one, Amount):
                    one.read(found[one.row], now + FRESH)
                elif found[one.row] < one.ends:  # others gave numbers back, so there are some for the calls refused
                    self._let_go(one)
                    one.ends = 0
                    self._wake.set()

    def _wanted(self, wishes: Sequence[_Wish], now: float) -> tuple[list[Calls], list[Calls | Amount]]:
        """The counters to lease from, and those to read."""
        lease: dict[Row, Calls] = {}
        read: dict[Row, Calls | Amount] = {}
        for each in (one for wish in wishes for one in wish.counters):
            if isinstance(each, Amount):
                read[each.row] = each
            elif not each.ready():
                lease[each.row] = each
        while self._low:
            block = self._low.popleft()
            for one in () if block.refused else block.counters:
                if isinstance(one, Calls) and one.spare < one.granted:
                    lease[one.row] = one
        due = now >= self._looked + LOOK or now // 60 != self._looked // 60
        self._looked = now if due else self._looked
        for name, known in list(self._counters.items()):
            looked = due or isinstance(known, Amount)
            if looked and known.asks_again():
                read[known.row] = known
            if looked and (known.is_over(now) or not known.in_use(now, IDLE)):
                self._let_go(self._counters.pop(name))
        live = {each.row for each in self._counters.values()}
        wished = [each for each in lease.values() if each.row in live and not each.is_over(now)]
        return wished, [each for each in read.values() if not each.is_over(now)]


def _work(meter: weakref.ref[UsageMeter], wake: threading.Event) -> None:
    """Serve the meter until it holds nothing, or is gone."""
    pause: float | None = None
    while True:
        wake.wait(pause)
        wake.clear()
        served = meter()
        pause = served.turn() if served is not None else None
        if pause is None:
            return
        del served
