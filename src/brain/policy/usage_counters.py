"""What a process has of the counters in memory: numbers leased ahead, amounts read, and blocks handed to decisions."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any, Final, Protocol

from brain.policy.usage_store import Claim, Lease, Row, window_start
from brain.policy.usage_windows import SECONDS

BLOCK: Final = 1_023
"""Most calls of a block: what is left of it is a list of numbers that all blocks share."""

UNCHECKED: Final = 63
"""All numbers of a block but each 64th are used without a look at the clock and at how many are left."""

FIRST: Final = 16
"""How many numbers the first lease of a window asks for; each following one four times as many."""

MOST: Final = 65_536
"""How many numbers a lease asks for at most."""

_NUMBERS: Final = list(range(BLOCK, 0, -1))


class Plan(Protocol):
    """What the rules of a moment ask for; the blocks under it are of these rules alone."""

    @property
    def blocks(self) -> dict[Any, Block]:
        """What is at hand."""


class Block:
    """Calls that decisions may count without asking anybody: `numbers.pop()` is one, and no other thread gets it.

    `first` is, for each field, the usage before the number 1; of an amount it is the amount. `find` decides for all of
    them; None: each has to be looked at with its usage. A number that has a bit of `unchecked` needs no other look; the
    others show whether the block is over, and whether more should be leased, as from `low` on.
    """

    __slots__ = ("counters", "find", "first", "key", "low", "numbers", "plan", "refused", "unchecked", "until")

    def __init__(self, plan: Plan, key: Any, counters: Sequence[Calls | Amount], first: list[float], many: int) -> None:
        self.plan: Plan = plan
        self.key: Any = key
        self.counters: Sequence[Calls | Amount] = counters
        self.first: list[float] = first
        self.numbers: list[int] = _NUMBERS[BLOCK - many :]
        self.low: int = many // 2
        self.unchecked: int = 0
        self.until: float = min((each.until for each in counters), default=0.0)
        self.find: Any = None
        self.refused: bool = False
        for each in counters:
            each.blocks.append(self)

    def usage(self, number: int) -> list[float]:
        """The usage before that call, for each field."""
        return [
            one + number - 1 if type(of) is Calls else one for one, of in zip(self.first, self.counters, strict=True)
        ]

    def reclaim(self) -> None:
        """Its numbers go back to their counters, and it has none any more."""
        while self.numbers:
            try:
                number = self.numbers.pop()
            except IndexError:  # another thread was quicker
                break
            for of, first in zip(self.counters, self.first, strict=True):
                if type(of) is Calls:
                    of.put(int(first) + number - 1)
        for each in self.counters:
            if self in each.blocks:
                each.blocks.remove(self)


class _Counter:
    """A counter in one window; `until` is when what is known of it is over."""

    __slots__ = ("blocks", "row", "until")

    def __init__(self, name: str, window: str, now: float) -> None:
        self.row: Row = (name, window_start(window, now))
        self.until: float = self.row[1] + SECONDS[window]
        self.blocks: list[Block] = []


class Calls(_Counter):
    """Numbers of calls that this process has leased. `bounds` are those at which a condition turns."""

    __slots__ = ("bounds", "ends", "granted", "ranges", "seen", "used_at", "want")

    def __init__(self, name: str, window: str, bounds: Sequence[float], now: float) -> None:
        super().__init__(name, window, now)
        self.bounds: Sequence[float] = bounds
        self.ranges: list[list[int]] = []
        self.want: int = FIRST
        self.ends: int = 0  # one after the highest number that is known to be leased
        self.granted: int = 0  # the last lease
        self.seen: int = -1
        self.used_at: float = now

    def is_over(self, now: float) -> bool:
        """Whether its window is over."""
        return now >= self.until

    def ready(self) -> int:
        """How many numbers can be had at once, all on the same side of every bound."""
        if not self.ranges:
            return 0
        first, end = self.ranges[-1]
        at = bisect_right(self.bounds, first)
        return min(BLOCK, end - first, int(self.bounds[at]) - first if at < len(self.bounds) else BLOCK)

    def take(self, many: int) -> int:
        """The first of so many numbers, which are the caller's now."""
        top = self.ranges[-1]
        first = top[0]
        top[0] += many
        if top[0] == top[1]:
            self.ranges.pop()
        return first

    def put(self, number: int) -> None:
        """A number is free again in this process."""
        if self.ranges and self.ranges[-1][1] == number:
            self.ranges[-1][1] = number + 1
        else:
            self.ranges.append([number, number + 1])

    def leased(self, lease: Lease) -> None:
        """These numbers are this process's; they are used after those it has."""
        self.ranges.insert(0, [lease.first, lease.end])
        self.ends = max(self.ends, lease.end)
        self.granted = lease.end - lease.first
        self.want = min(self.want * 4, MOST)

    def claim(self) -> Claim:
        """What to lease next."""
        at = bisect_right(self.bounds, self.ends)
        return Claim(self.row, self.want, self.bounds[at] if at < len(self.bounds) else None)

    @property
    def spare(self) -> int:
        """How many numbers no block has."""
        return sum(end - first for first, end in self.ranges)

    @property
    def held(self) -> int:
        """How many numbers are leased and not used."""
        return self.spare + sum(len(block.numbers) for block in self.blocks)

    def asks_again(self) -> bool:
        """Whether calls were refused since the last time that this was asked: others may have given back."""
        refused = [block for block in self.blocks if block.refused]
        for block in refused:
            block.refused = False
            self.seen = -1
        return bool(refused)

    def in_use(self, now: float, within: float) -> bool:
        """Whether numbers were used, or refused, within so many seconds, as far as was looked."""
        held = self.held
        if held != self.seen:
            self.seen, self.used_at = held, now
        return now < self.used_at + within

    def give_up(self) -> int:
        """How many numbers it had; it has none any more."""
        for block in list(self.blocks):
            block.reclaim()
        many = self.spare
        self.ranges.clear()
        return many


class Amount(_Counter):
    """An amount as it was read last; `asked` says that a decision looked since then."""

    __slots__ = ("asked", "ends", "used_at", "value")

    def __init__(self, name: str, window: str, now: float) -> None:
        super().__init__(name, window, now)
        self.ends: float = self.until
        self.until: float = 0.0
        self.value: float = 0.0
        self.asked: bool = True
        self.used_at: float = now

    def is_over(self, now: float) -> bool:
        """Whether its window is over."""
        return now >= self.ends

    def asks_again(self) -> bool:
        """Whether a decision looked since it was read."""
        return self.asked

    def in_use(self, now: float, within: float) -> bool:
        """Whether a decision looked within so many seconds."""
        if self.asked:
            self.asked, self.used_at = False, now
        return now < self.used_at + within

    def read(self, value: float, until: float) -> None:
        """That was the amount; it may be used until then."""
        self.value = value
        self.until = min(until, self.ends)

    def forget(self) -> None:
        """The amount has changed: the next decision reads it again."""
        self.until = 0.0
        for block in self.blocks:
            block.until = 0.0
