"""The index of a stream: which of its parts must be read to find an id, a correlation id or a type.

It is made apart from publishing, in the background, by whoever serves (`keep_index`); blocks are kept in the backend,
and the last one, not full yet, in the process. What is not indexed is read as a whole, so a search finds the same with
it or without it. Why it is so: docs/decisions/0016-an-index-beside-the-stream.md.
"""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from brain.charter import Pattern
from brain.errors import Unavailable
from brain.locks import InterruptibleLock
from brain.logs import Log
from brain.stream.backends import Backend, next_position, position_key
from brain.stream.closed import Closed
from brain.stream.index_block import ALL_RUNS, RUN, Block, BlockBuilder, fingerprint, part_of, runs_in
from brain.stream.retry import Backoff

if TYPE_CHECKING:
    from brain.stream.stream import EventStream

log: Log = Log("brain.index")

BATCH = 1024
"""Events indexed at once: other threads wait a few milliseconds at most."""
REST = 0.2
"""Seconds between two looks for new events."""


class Span(NamedTuple):
    """A part of the stream to be read, between two positions; "" is no bound."""

    after: str
    before: str
    size: int | None
    """The most events it has; None when that is not known."""


class EventIndex:
    """The index of one backend, as this process knows it. Safe for threads."""

    def __init__(self, backend: Backend) -> None:
        self._backend: Backend = weakref.proxy(backend)  # it is the key by which the index is kept
        self._lock = InterruptibleLock()
        self._blocks: dict[int, Block] = {}  # by number, as stored
        self._building: BlockBuilder | None = None

    def spans(self, pattern: Pattern, correlation_id: str | None) -> Sequence[Span]:
        """What must be read to find these events, in stream order. Blocks. Raises Unavailable."""
        if pattern.matches_all and correlation_id is None:
            return [Span("", "", None)]
        with self._lock:
            self._load()
            blocks = dict(self._blocks)
            last = self._building.block() if self._building is not None else None
            runs = self._building.runs_with(fingerprint(correlation_id)) if self._building and correlation_id else None
        found = _Spans()
        parts = self._parts(blocks, correlation_id)
        for number, block in blocks.items():
            held = ALL_RUNS if correlation_id is None else parts[number] | block.unread()
            found.add(block, held & (ALL_RUNS if pattern.matches_all else block.runs_of(pattern.matches)))
        if last is not None:
            held = ALL_RUNS if runs is None else runs | last.unread()
            found.add(last, held & (ALL_RUNS if pattern.matches_all else last.runs_of(pattern.matches)))
        return found.whole()

    def _parts(self, blocks: dict[int, Block], correlation_id: str | None) -> dict[int, int]:
        """Of each block the runs that have the id; all of them where its part is missing."""
        if correlation_id is None or not blocks:
            return {}
        mark = fingerprint(correlation_id)
        parts = self._backend.index_parts(part_of(mark), list(blocks))
        return {number: runs_in(parts[number], mark) if number in parts else ALL_RUNS for number in blocks}

    def advance(self) -> bool:
        """Index some of what is new; whether there may be more. Blocks. Raises Unavailable."""
        with self._lock:
            builder = self._builder()
        size = min(BATCH, builder.wanted)
        entries = self._backend.read(builder.reached, size)
        if not entries:
            self._check_replaced(builder)
            return False
        with self._lock:
            builder.add(entries)
        if not builder.wanted:
            self._store(builder)
        return len(entries) == size

    def _builder(self) -> BlockBuilder:
        if self._building is None:
            self._load()
            reached = self._blocks[max(self._blocks)].last if self._blocks else ""
            self._building = BlockBuilder(reached)
        return self._building

    def _load(self) -> None:
        """Take note of blocks that were stored since, by whichever process; what is built begins after them."""
        for number, data in self._backend.index_blocks(max(self._blocks, default=-1)):
            self._blocks[number] = Block.decode(data)
            self._building = None

    def _store(self, builder: BlockBuilder) -> None:
        with self._lock:
            if self._building is not builder:
                return  # another process was quicker
            number = max(self._blocks, default=-1) + 1
        self._backend.add_index_block(number, builder.block().encode(), builder.parts())
        oldest = self._backend.nth_oldest(1)
        with self._lock:
            self._building = None
            self._load()
            gone = [n for n, known in self._blocks.items() if position_key(known.last) < position_key(oldest)]
            for each in gone[:-1]:  # one is kept: numbers go on from it
                del self._blocks[each]
        if len(gone) > 1:
            self._backend.drop_index_blocks(gone[-1])

    def _check_replaced(self, builder: BlockBuilder) -> None:
        """A stream that ends before what is indexed was replaced, or has lost something: begin again."""
        if position_key(self._backend.tail()) >= position_key(builder.reached):
            return
        log.warning("the stream ends before its index; making the index again", reached=builder.reached)
        self._backend.drop_index_blocks(None)
        with self._lock:
            self._blocks, self._building = {}, None


class _Spans:
    """Collects runs in stream order, and what no block covers."""

    def __init__(self) -> None:
        self._found: list[Span] = []
        self._covered = ""

    def add(self, block: Block, runs: int) -> None:
        if not block.starts or position_key(block.last) <= position_key(self._covered):
            return
        if block.starts[0] != self._covered:
            self._join(self._covered, next_position(block.starts[0]), None)
        for number, after in enumerate(block.starts):
            if runs >> number & 1:
                ends = block.starts[number + 1] if number + 1 < len(block.starts) else block.last
                self._join(after, next_position(ends), RUN)
        self._covered = block.last

    def _join(self, after: str, before: str, size: int | None) -> None:
        if self._found and after and self._found[-1].before == next_position(after):
            last = self._found.pop()
            after, size = last.after, None if last.size is None or size is None else last.size + size
        self._found.append(Span(after, before, size))

    def whole(self) -> Sequence[Span]:
        """All that were found, and the end of the stream."""
        self._join(self._covered, "", None)
        return self._found


_indexes: weakref.WeakKeyDictionary[Backend, EventIndex] = weakref.WeakKeyDictionary()


def index_of(backend: Backend) -> EventIndex:
    """The index of the backend, one in a process."""
    return _indexes.setdefault(backend, EventIndex(backend))


async def keep_index(stream: EventStream) -> None:
    """Index what is stored until cancelled; with a backlog, half of the time at most."""
    index, backoff = index_of(stream.backend), Backoff(0.2, 5.0)
    with stream.changes.listen() as changed:
        while True:
            changed.clear()
            began = time.monotonic()
            try:
                more = await stream.call(index.advance)
            except Closed:
                return
            except Unavailable as error:
                log.warning("the index of the stream waits for the backend", error=str(error))
                await asyncio.sleep(backoff.next_delay())
                continue
            backoff.reset()
            await asyncio.sleep(time.monotonic() - began if more else REST)
            if not more:
                await stream.wait_for_change(changed)
