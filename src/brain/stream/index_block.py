"""One block of the event index: which runs of consecutive events may hold an id, a correlation id or a type.

A block covers 128 runs of 256 events. Ids are kept as 32 bits each: a run that only seems to hold one costs one read of
256 events, and is hardly ever met. A block is written once, when it is full; what it needs is about 10 bytes an event.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from zlib import crc32

import msgspec

from brain.stream.backends import Entry
from brain.typed import ready

RUN, RUNS = 256, 128
"""Events in a run, and runs in a block."""
PARTS = 32
"""A block's ids are kept in so many parts, so that a lookup reads one thirty-second of them."""
_TYPES = 1000  # names of types that a block tells apart; with more, each of its runs may hold any type
_PART_SHIFT = 27  # the first 5 bits of 32


class _Meta(msgspec.Struct, gc=False):
    correlation_id: str | None = None


class _Keys(msgspec.Struct, gc=False):
    id: str
    type: str
    meta: _Meta


_read = msgspec.json.Decoder(ready(_Keys)).decode


def fingerprint(key: str) -> int:
    """32 bits that stand for an id."""
    return crc32(key.encode("utf-8", "surrogatepass"))


def part_of(mark: int) -> int:
    """The part of every block in which this fingerprint is."""
    return mark >> _PART_SHIFT


class Block(msgspec.Struct, frozen=True, gc=False):
    """What is kept of a full block besides its ids. Positions are excluded at the start and included at the end."""

    starts: list[str]
    """The position before the first event of each run."""
    last: str
    """The position of the last event."""
    types: dict[str, bytes]
    """Of each type the runs with an event of it, one bit a run; under "" those with bytes that cannot be read."""

    def runs_of(self, matches: Callable[[str], bool]) -> int:
        """The runs, one bit each, that may hold an event whose type matches."""
        found = 0
        for name, runs in self.types.items():
            if not name or name == "*" or matches(name):
                found |= int.from_bytes(runs, "little")
        return found

    def unread(self) -> int:
        """The runs with bytes that cannot be read: they may hold anything."""
        return int.from_bytes(self.types.get("", b""), "little")

    def encode(self) -> bytes:
        """As the backend keeps it."""
        return msgspec.msgpack.encode(self)

    @classmethod
    def decode(cls, data: bytes) -> Block:
        """From what the backend keeps."""
        return msgspec.msgpack.decode(data, type=ready(cls))


ALL_RUNS = (1 << RUNS) - 1


def runs_in(part: bytes, mark: int) -> int:
    """The runs, one bit each, in which this part of a block has the fingerprint."""
    count = len(part) // 5
    marks = memoryview(part)[: count * 4].cast("I")
    found, at = 0, bisect_left(marks, mark)
    while at < count and marks[at] == mark:
        found |= 1 << part[count * 4 + at]
        at += 1
    return found


class BlockBuilder:
    """The block that is not full yet. Complete runs can be searched; events come in the order of the stream."""

    def __init__(self, after: str) -> None:
        self.starts: list[str] = []
        self.reached: str = after
        """The position of the last event that was added."""
        self.complete: str = after
        """The position of the last event of the last complete run."""
        self._marks: list[array[int]] = []  # of each complete run, sorted
        self._types: dict[str, int] = {}
        self._run: set[int] = set()
        self._count = 0

    @property
    def wanted(self) -> int:
        """How many events it lacks."""
        return RUN * RUNS - len(self._marks) * RUN - self._count

    def add(self, entries: Iterable[Entry]) -> None:
        """Add the next events, at most `wanted`."""
        for position, data in entries:
            if not self._count:
                self.starts.append(self.reached)
            self._note(data)
            self.reached = position
            self._count += 1
            if self._count == RUN:
                self._marks.append(array("I", sorted(self._run)))
                self.complete, self._run, self._count = position, set(), 0

    def _note(self, data: bytes) -> None:
        bit = 1 << len(self._marks)
        try:
            keys = _read(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self._types[""] = self._types.get("", 0) | bit
            return
        self._run.add(crc32(keys.id.encode("utf-8", "surrogatepass")))
        if keys.meta.correlation_id is not None:
            self._run.add(crc32(keys.meta.correlation_id.encode("utf-8", "surrogatepass")))
        name = keys.type if keys.type in self._types or len(self._types) < _TYPES else "*"
        self._types[name] = self._types.get(name, 0) | bit

    def runs_with(self, mark: int) -> int:
        """The complete runs, one bit each, that have the fingerprint."""
        found = 0
        for number, marks in enumerate(self._marks):
            at = bisect_left(marks, mark)
            if at < len(marks) and marks[at] == mark:
                found |= 1 << number
        return found

    def block(self) -> Block:
        """What it has by now, in complete runs."""
        complete = (1 << len(self._marks)) - 1
        types = {name: (runs & complete).to_bytes(RUNS // 8, "little") for name, runs in self._types.items()}
        return Block(self.starts[: len(self._marks)], self.complete, types)

    def parts(self) -> Sequence[bytes]:
        """The ids, as the backend keeps them: for each part the sorted fingerprints, then the run of each."""
        return [self._part(part << _PART_SHIFT, (part + 1) << _PART_SHIFT) for part in range(PARTS)]

    def _part(self, low: int, high: int) -> bytes:
        pairs: list[int] = []
        for number, marks in enumerate(self._marks):
            start = bisect_left(marks, low)
            pairs += [mark << 8 | number for mark in marks[start : bisect_left(marks, high, start)]]
        pairs.sort()  # one part at a time: a longer sort would hold up the other threads
        return array("I", [pair >> 8 for pair in pairs]).tobytes() + bytes([pair & 255 for pair in pairs])
