"""Idempotency keys in the store: which requests are being carried out, and what was answered to those that were.

A request holds its key by a lease, renewed while it is carried out: a server that was killed holds it for LEASE seconds
more. The clocks of servers on one store should agree within that; when they do not, a request may be carried out twice,
and the services find by its key what it has created. A key counts until it is swept away, which goes by a clock that
does not trust steps.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import takewhile
from typing import NamedTuple

import msgspec

from brain import limits
from brain.errors import Conflict, Unavailable
from brain.json_text import JSON_FAULTS
from brain.logs import Log
from brain.redaction import redacted_body
from brain.store import Document, DocumentChange, Store
from brain.store.deletion_clock import deletion_clock
from brain.typed import ready

log: Log = Log("brain.server.idempotency")

COLLECTION = "http.idempotency"
STARTED = "http.idempotency.started"
"""The keys in order of age: so that the oldest are found without reading all. Each with the size of what is kept."""
KEPT_SECONDS = 86_400.0
LEASE = 5.0
SWEEP_SECONDS = 60.0
_SKEW = 60.0  # seconds by which the clocks of two servers may differ; a lease of more is a clock that was wrong
_RECOUNT = 1_000  # keys begun by this process between two counts of all
_AT_ONCE = 500


class Answer(msgspec.Struct, frozen=True):
    """What was answered to a request."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class Record(msgspec.Struct, frozen=True):
    """What is kept of a key. Times are Unix seconds. `content` tells the request from others with the same key."""

    content: str
    started_at: float
    busy_until: float
    answer: Answer | None = None


class Claim(NamedTuple):
    """The right to carry out the request of a key."""

    id: str
    version: int
    record: Record


class Busy(NamedTuple):
    """Another carries the request out."""


class OtherContent(NamedTuple):
    """The key belongs to another request."""


class RequestKeys:
    """The keys of one store. Methods that are plain calls block. Raises what Store raises."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock
        self._begun = _RECOUNT  # the first sweep counts
        self.dropped: int = 0
        """How many answers were dropped before their time, to keep within the bounds."""

    def begin(self, id: str, content: str) -> Claim | Answer | Busy | OtherContent:
        """Claim the key for a request with this content; or what has become of the request."""
        while True:  # ends: a turn that is overtaken finds the other's record
            now = self._clock()
            document = self._store.get(COLLECTION, id)
            known = None if document is None else _read(document)
            if known is not None:
                if known.content != content:
                    return OtherContent()
                if known.answer is not None:
                    return known.answer
                if 0 < known.busy_until - now <= LEASE + _SKEW:
                    return Busy()
            record = Record(content, now, now + LEASE)
            try:
                version = self._put(id, record, 0 if document is None else document.version)
            except Conflict:
                continue
            self._begun += 1
            return Claim(id, version, record)

    @asynccontextmanager
    async def held(self, claim: Claim) -> AsyncIterator[Callable[[], Claim]]:
        """Renew the claim inside of this block; gives what gives the claim as it is."""
        current, over = claim, asyncio.Event()

        async def renew() -> None:
            nonlocal current
            while not await _set_within(over, LEASE / 3):
                record = msgspec.structs.replace(current.record, busy_until=self._clock() + LEASE)
                try:
                    version = await asyncio.to_thread(self._put, current.id, record, current.version)
                except Conflict:
                    return log.warning("the key of a request was taken over while it was carried out", key=current.id)
                except Unavailable as error:
                    log.warning("the key of a request is not renewed", key=current.id, error=str(error))
                else:
                    current = Claim(current.id, version, record)

        renewing = asyncio.create_task(renew())
        try:
            yield lambda: current
        finally:
            over.set()
            await renewing  # not cancelled: a write under way would go on in its thread, and change the version

    def finish(self, claim: Claim, answer: Answer) -> None:
        """Keep the answer. Does nothing when another has taken the key over."""
        kept = msgspec.structs.replace(answer, body=redacted_body(answer.body))
        record = msgspec.structs.replace(claim.record, busy_until=0.0, answer=kept)
        try:
            self._put(claim.id, record, claim.version)
        except Conflict:
            log.warning("the answer to a request is not kept: its key was taken over", key=claim.id)

    def release(self, claim: Claim) -> None:
        """Forget the request, so that it may be tried again at once. Does nothing when another has the key."""
        try:
            self._forget(claim.id, claim.version, claim.record.started_at)
        except Conflict:
            log.warning("the key of a request is not released: it was taken over", key=claim.id)

    async def sweep_forever(self) -> None:
        """Forget keys whose time is over, and the oldest beyond the bounds, until cancelled."""
        while True:
            try:
                await asyncio.to_thread(self.sweep)
            except Unavailable as error:
                log.warning("old idempotency keys wait for the store", error=str(error))
            await asyncio.sleep(SWEEP_SECONDS)

    def sweep(self) -> None:
        """Do that once."""
        now = min(self._clock(), deletion_clock(self._store)())
        limit = _place(now - KEPT_SECONDS, "")
        while True:
            oldest = self._store.scan(STARTED, limit=_AT_ONCE)
            due = list(takewhile(lambda document: document.key < limit, oldest))
            self._drop(due)
            if len(due) < _AT_ONCE:
                break
        if self._begun >= _RECOUNT:
            self._begun = 0
            self._drop_surplus()

    def _drop_surplus(self) -> None:
        known = self._store.scan(STARTED)
        size, surplus = sum(_size(document) for document in known), 0
        while len(known) - surplus > limits.REQUEST_KEYS or size > limits.REQUEST_KEYS_BYTES:
            size -= _size(known[surplus])
            surplus += 1
        if surplus:
            self._drop(known[:surplus])
            self.dropped += surplus
            log.warning("answers are dropped before their time: there are too many", dropped=surplus, kept=len(known))

    def _drop(self, started: Sequence[Document]) -> None:
        for document in started:
            at, _, id = document.key.partition(" ")
            record = self._store.get(COLLECTION, id)
            known = None if record is None else _read(record)
            changes = [DocumentChange(STARTED, document.key, None)]
            if record is not None and (known is None or _place(known.started_at, id) == document.key):
                changes.append(DocumentChange(COLLECTION, id, None, record.version))
            try:
                self._store.write(changes)
            except Conflict:
                log.info("an idempotency key is taken up again, and stays", key=id, started=at)

    def _put(self, id: str, record: Record, version: int) -> int:
        data = msgspec.msgpack.encode(record)
        place = DocumentChange(STARTED, _place(record.started_at, id), str(len(data)).encode())
        return self._store.write([DocumentChange(COLLECTION, id, data, version), place]).versions[0]

    def _forget(self, id: str, version: int, started_at: float) -> None:
        self._store.write(
            [DocumentChange(COLLECTION, id, None, version), DocumentChange(STARTED, _place(started_at, id), None)]
        )


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


def _place(started_at: float, id: str) -> str:
    return f"{max(0, int(started_at * 1000)):014d} {id}"


def _size(document: Document) -> int:
    return int(document.data)


def _read(document: Document) -> Record | None:
    """The record; None for one that this version cannot read: its key may be used again."""
    try:
        return msgspec.msgpack.decode(document.data, type=ready(Record))
    except JSON_FAULTS as error:
        log.warning("an idempotency key cannot be read, and counts as new", key=document.key, error=str(error))
        return None
