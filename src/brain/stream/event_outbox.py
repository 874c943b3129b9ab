"""The outbox of one store: events are rows of the write that they tell of, and a thread takes them to the stream.

docs/decisions/0014-one-write.md says why it is as it is.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable
from sys import modules
from typing import Any, NamedTuple

from brain.charter import Event
from brain.errors import BrainError, Unavailable
from brain.logs import Log
from brain.store import Store, forking
from brain.store.closing import Closable
from brain.stream.announcer import Announced, EventDraft
from brain.stream.backends import Backend
from brain.stream.outage import Outage
from brain.stream.outbox_rows import COLLECTION, RowKeys, StoreRows, made_at, rows_of
from brain.stream.outbox_shipment import ROWS, OutboxShipment, give_way
from brain.stream.publisher import note_failure
from brain.stream.threads import start_whole
from brain.stream.tracing import SDK, traced
from brain.stream.waking import Waking

log: Log = Log("brain.outbox")

POLL = 1.0
"""Seconds between two looks when nothing was written here: for rows of processes that ended before shipping them."""
CLOSE_SECONDS = 2.0
"""How long a store that is about to close waits for its rows to be shipped. What is left waits in the store."""
COUNTED = 1_000
"""Waiting rows are counted up to so many."""
LATE_SECONDS = 10.0
"""When rows wait for longer, it shows in `/readyz` and `brain doctor`."""

_keys = RowKeys()


class OutboxState(NamedTuple):
    """How many rows wait, counted up to COUNTED, and the age of the oldest in seconds (0 for none)."""

    waiting: int
    oldest_seconds: float

    @property
    def late(self) -> bool:
        """Whether rows wait for longer than the moment that they take."""
        return self.oldest_seconds > LATE_SECONDS


class EventOutbox:
    """An Announcer whose events are written with the change. Safe for threads.

    `notify` is called when events have come to the stream. `is_open` says whether the stream is open in this process,
    and opens it there after a fork; rows that are written on a closed one wait for another process on the same store.
    """

    def __init__(
        self,
        store: Store,
        backend: Backend,
        outage: Outage,
        notify: Callable[[], None],
        is_open: Callable[[], bool] = lambda: True,
    ) -> None:
        self.store = store
        self._notify = notify
        self._is_open = is_open
        self._changing = forking.ForkLock(forking.Level.OUTBOX)
        forking.register(self._changing)
        self.begin(backend, outage)

    def begin(self, backend: Backend, outage: Outage) -> None:
        """Have all that belongs to one process: also in a forked child, where nothing of the parent's is carried on."""
        self.failures: int = 0
        self.last_error: str = ""
        self._outage = outage
        self._shipment = OutboxShipment(StoreRows(self.store, _keys), backend)
        self._unshipped: dict[str, int] = {}  # rows written here and not known to be on the stream, with their events
        self._waking = Waking()
        self._stopping = threading.Event()
        self.thread: threading.Thread = threading.Thread(target=self._run, name="brain-outbox", daemon=True)

    def start(self) -> None:
        """Begin shipping, unless the store is closed."""
        if not getattr(self.store, "is_closed", False):
            start_whole(self.thread)

    def prepare(self, drafts: Iterable[EventDraft[Any]]) -> Announced:
        """As Announcer says. Raises EnvelopeError for an event that the stream would refuse, counted in `failures`."""
        events: list[Event] = []
        for draft in drafts:
            try:
                event = draft.event()
                events.append(traced(event) if SDK in modules else event)
            except BrainError as error:
                note_failure(draft.type.name, error)
                raise
        return Announced(events, rows_of(events, _keys))

    def hand_over(self, announced: Announced) -> None:
        """The rows are written: ship them soon."""
        if not announced.changes or not self._is_open():
            return
        with self._changing:
            for row in announced.changes:
                self._unshipped[row.key] = (row.data or b"").count(b"\n") + 1
        self._waking.wake()

    async def hand_over_async(self, announced: Announced) -> None:
        """As `hand_over`, which never blocks."""
        self.hand_over(announced)

    @property
    def shipped(self) -> int:
        """Events that this process has taken to the stream, whoever had written them."""
        return self._shipment.shipped

    @property
    def unshipped(self) -> int:
        """Events of this process that are not known to be on the stream."""
        with self._changing:
            return sum(self._unshipped.values())

    def trouble(self) -> str:
        """A sentence when rows wait for long, as far as the last look has seen; "" when all is well. Reads nothing."""
        oldest = self._shipment.waiting.oldest
        seconds = time.time() - made_at(oldest) if oldest else 0.0
        if not oldest or seconds <= LATE_SECONDS:
            return ""
        return f"changes wait for {seconds:.0f} s to be announced on the stream: {self.last_error or 'see the log'}"

    def is_stopping(self) -> bool:
        """Whether it ships what is left, and ends."""
        return self._stopping.is_set()

    def stop(self, timeout: float) -> None:
        """Ship what is there for at most `timeout` seconds, unless store or stream are away; then end the thread."""
        self._stopping.set()
        self._waking.wake()
        if self.thread.is_alive():
            self.thread.join(timeout)
        if self.unshipped:
            log.warning("events of changes wait in the store; the next start ships them", events=self.unshipped)

    def _run(self) -> None:
        delay = 0.0
        looked_back = time.monotonic()
        while True:
            ending = self.is_stopping()  # asked before the look: one that began earlier may have missed a row
            try:
                more = self._turn()
                if not more and time.monotonic() - looked_back >= POLL and not ending:
                    looked_back = time.monotonic()
                    self._shipment.look_back()
                delay = 0.0
            except Exception as error:  # noqa: BLE001  (the thread must live on; logged and counted)
                if ending:
                    return
                self._note(error)
                delay = min(1.0, max(0.02, delay * 2)) * random.uniform(0.5, 1.0)
                self._stopping.wait(delay)
                continue
            if not more:
                if ending:
                    return
                self._waking.wait(POLL)  # or until it is time for a look

    def _turn(self) -> bool:
        """Ship some; whether there may be more."""
        with self._changing:
            before = list(self._unshipped)
        keys = self._shipment.ship()
        if keys is None:
            give_way()
            return True
        if keys:
            self._notify()
        gone = keys if len(keys) == ROWS else before  # fewer: these were all rows, and the others are on the stream
        with self._changing:
            for key in gone:
                self._unshipped.pop(key, None)
        return bool(keys)

    def _note(self, error: Exception) -> None:
        self.failures += 1
        self.last_error = str(error)
        if isinstance(error, Unavailable):
            self._outage.report("announcing changes", error)
        else:
            log.exception("the outbox of a store failed; trying again")


def outbox_state(store: Store) -> OutboxState:
    """What waits in the store now. Raises Unavailable."""
    rows = store.scan(COLLECTION, limit=COUNTED)
    return OutboxState(len(rows), max(0.0, time.time() - made_at(rows[0].key)) if rows else 0.0)


def follow_closing(outbox: EventOutbox, ended: Callable[[], None]) -> None:
    """Ship what is left when the store is closed before the stream; then call `ended`."""

    def closing() -> None:
        outbox.stop(CLOSE_SECONDS)
        ended()

    if isinstance(outbox.store, Closable):
        outbox.store.before_close(closing)
