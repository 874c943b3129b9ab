"""The way of an outbox's rows to the stream: each once, whoever takes them there, and whenever it is killed.

The stream keeps a mark for each outbox, in the same step as the events appended under it, and refuses an append
that does not build on it. The mark names the rows of the last append. Whoever ships first deletes what the mark names,
then reads the oldest rows that are left, and appends them under a mark that names them. So no row that is on the stream
is ever read again; of several processes that try at once the stream takes one, and a frozen one, waking up, is refused.
No process has to be the only one, and none is waited for.
"""

from __future__ import annotations

import random
import time
from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from brain.logs import Log
from brain.store.rules import new_token
from brain.stream.backends import Backend, MarkMismatch
from brain.stream.outbox_rows import OutboxRow, events_of

log: Log = Log("brain.outbox")

ROWS = 64
"""Rows in one append; the mark names them all."""
KEPT_BYTES = 8 << 20
"""What was appended to a backend that may come back with less is remembered up to this size, to be appended again."""
_REMEMBERED = 10_000  # keys of rows that this process has seen on the stream


def give_way() -> None:
    """After a `ship` that gave None: let the one that was quicker finish."""
    time.sleep(random.uniform(0, 0.002))


class OutboxMark(NamedTuple):
    """The rows appended last; `number` counts appends in one `line`, which ends when the stream has forgotten it."""

    line: str = ""
    number: int = 0
    keys: tuple[str, ...] = ()

    def next(self, keys: Sequence[str]) -> OutboxMark:
        """The mark of an append after this one."""
        return OutboxMark(self.line or new_token(), self.number + 1, tuple(keys))

    def written(self) -> str:
        """As the backend keeps it; "" for none."""
        return " ".join([self.line, str(self.number), *self.keys]) if self.line else ""

    @staticmethod
    def read(text: str) -> OutboxMark:
        """The mark that the backend gave."""
        if not text:
            return OutboxMark()
        line, number, *keys = text.split(" ")
        return OutboxMark(line, int(number), tuple(keys))


class Waiting(NamedTuple):
    """The rows found at the last look, and the oldest one's key ("" for none)."""

    rows: int
    oldest: str


class OutboxRows(Protocol):
    """The rows of one outbox, wherever they are kept. Every method raises Unavailable when that does not answer."""

    def producer(self) -> str:
        """The name under which the rows are appended: all processes have the same; one that came back empty another."""

    def oldest(self, limit: int) -> Sequence[OutboxRow]:
        """The first rows, in the order of the changes that they tell of."""

    def delete(self, keys: Sequence[str]) -> None:
        """Delete those of these rows that are there."""

    def put_back(self, rows: Mapping[str, bytes]) -> None:
        """Make the rows again, by key; the key also says where in the order they belong."""


class OutboxShipment:
    """The rows of one outbox on their way to one backend. Not for two threads at once.

    Raises Unavailable when either is away.
    """

    def __init__(self, rows: OutboxRows, backend: Backend) -> None:
        self.shipped: int = 0  # events
        self.waiting: Waiting = Waiting(0, "")
        self._rows = rows
        self._backend = backend
        self._producer = ""
        self._mark: OutboxMark | None = None  # what the backend is known to have; None: must ask
        self._settled = False  # whether the rows that the mark names are deleted
        self._last = OutboxMark()  # the newest mark ever seen
        self._under_way: tuple[OutboxMark, Mapping[str, bytes]] | None = None
        self._on_stream: OrderedDict[str, None] = OrderedDict()
        self._kept: deque[tuple[int, Mapping[str, bytes]]] = deque()
        self._kept_bytes = 0

    def ship(self) -> list[str] | None:
        """Append the oldest rows; their keys, empty when there were none. None: another was quicker, look again."""
        mark = self._known_mark()
        rows = self._rows.oldest(ROWS)
        self.waiting = Waiting(len(rows), rows[0].key if rows else "")
        if not rows:
            return []
        if any(row.key in self._on_stream for row in rows):
            self._take_away(rows)
            return None
        after = mark.next([row.key for row in rows])
        events = [event for row in rows for event in events_of(row.data)]
        self._under_way = (after, {row.key: row.data for row in rows})
        self._mark = None  # until it is known what became of it
        try:
            self._backend.append(self._producer, mark.written(), after.written(), events)
        except MarkMismatch as mismatch:
            self._learn(mismatch.stored)
            return None
        self._learn(after.written())
        self.shipped += len(events)
        self._settle()
        return list(after.keys)

    def look_back(self) -> None:
        """Ask what the stream has, and make rows again of what it has forgotten."""
        self._ask()

    def _known_mark(self) -> OutboxMark:
        if self._mark is None:
            self._ask()
        self._settle()
        assert self._mark is not None
        return self._mark

    def _ask(self) -> None:
        """Ask the stream for its mark, under the name that the outbox has now."""
        producer = self._rows.producer()
        if self._producer and producer != self._producer:
            self._learn(self._backend.mark(self._producer))
            self._settle()
            self._mark, self._last = None, OutboxMark()
        self._producer = producer
        self._learn(self._backend.mark(producer))

    def _learn(self, stored: str) -> None:
        """Take over the mark that the backend has."""
        mark = OutboxMark.read(stored)
        attempt, self._under_way = self._under_way, None
        if attempt is not None and attempt[0] == mark:
            self._keep(*attempt)
        last = self._last
        if last.line and (mark.line != last.line or mark.number < last.number):
            self._put_back(mark)
        if mark != self._mark:
            self._settled = False
        self._mark = self._last = mark

    def _keep(self, mark: OutboxMark, rows: Mapping[str, bytes]) -> None:
        """Remember what was appended."""
        for key in rows:
            self._on_stream[key] = None
        while len(self._on_stream) > _REMEMBERED:
            self._on_stream.popitem(last=False)
        if self._backend.durable:
            return
        self._kept.append((mark.number, rows))
        self._kept_bytes += sum(map(len, rows.values()))
        while self._kept_bytes > KEPT_BYTES:
            _, oldest = self._kept.popleft()
            self._kept_bytes -= sum(map(len, oldest.values()))

    def _put_back(self, stored: OutboxMark) -> None:
        """Make rows again of what the stream has forgotten; a row has the same key whoever puts it back."""
        same_line = stored.line == self._last.line
        lost = {
            key: data
            for number, rows in self._kept
            if not same_line or number > stored.number
            for key, data in rows.items()
        }
        log.warning(
            "the backend has forgotten events of changes; sending them again",
            expected=f"{self._last.line} {self._last.number}",
            stored=f"{stored.line} {stored.number}",
            rows=len(lost),
        )
        if lost:
            self._rows.put_back(lost)
        self._kept.clear()
        self._on_stream.clear()
        self._kept_bytes = 0

    def _settle(self) -> None:
        """Delete the rows that the mark names."""
        if self._settled:
            return
        assert self._mark is not None
        self._delete(self._mark.keys)
        self._settled = True

    def _take_away(self, rows: Sequence[OutboxRow]) -> None:
        """The outbox came back with rows that this process has shipped: delete those that the stream still has."""
        self._ask()
        self._delete([row.key for row in rows if row.key in self._on_stream])

    def _delete(self, keys: Sequence[str]) -> None:
        if keys:
            self._rows.delete(keys)
