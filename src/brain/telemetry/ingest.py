"""What comes in by OTLP: stored with everything else that came in at the same time, and then answered."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from hashlib import sha256
from typing import NamedTuple

import sqlalchemy as sa
from starlette.responses import Response

from brain.errors import BrainError, Unavailable
from brain.logs import Log
from brain.telemetry.committer import Committer, Job
from brain.telemetry.otlp import OtlpBody, accepted, refusal
from brain.telemetry.requests import Calls
from brain.telemetry.usage import UsageBook

log: Log = Log("brain.telemetry")

PATIENCE = 5.0
"""Seconds in which a request is stored, or answered 503: exporters give up after 10, and need time to send it again."""


LATE = 1_000
"""Most requests that are known when they are sent again, after they were not stored in time."""


class Taken(NamedTuple):
    """What was stored of a request."""

    items: int
    refused: Counter[str]
    """How many of them are no spans, by service."""


class Ingest:
    """Takes requests of OTLP in."""

    def __init__(self, committer: Committer, book: UsageBook, most: int, patience: float = PATIENCE) -> None:
        self.answers: Counter[tuple[str, int]] = Counter()
        """How many requests were answered, by signal and status."""
        self.items: Counter[str] = Counter()
        self.refused: int = 0
        """Spans that are none."""
        self.stored: Callable[[OtlpBody], None] = lambda body: None
        """Called with each request that was stored."""
        self._committer = committer
        self._book = book
        self._most = most
        self._patience = patience
        self._late: dict[bytes, asyncio.Task[Taken]] = {}  # requests that were answered before they were stored

    async def take(self, body: OtlpBody) -> Response:
        """Store what the request says, and answer it."""
        try:
            found = await self._store(body)
        except BrainError as error:
            answer = refusal(body.media_type, error)
            log.warning("a request of OTLP is refused", signal=body.signal, status=answer.status_code, error=str(error))
        else:
            self.items[body.signal] += found.items
            refused = found.refused.total()
            if refused:
                self.refused += refused
                log.warning("spans are refused: their ids are not valid", services=dict(found.refused))
            answer = accepted(body, refused)
            self.stored(body)
        self.answers[body.signal, answer.status_code] += 1
        return answer

    async def _store(self, body: OtlpBody) -> Taken:
        """What was stored of it. Sent again while it waits, or after it was stored too late to be answered, it is not
        stored a second time: metrics and log records have no ids by which they would be known."""
        storing = self._late.pop(_digest(body), None) if self._late else None
        if storing is None or _failed(storing):
            job = Job(lambda: body.read(self._most), _taken, len(body.data), self._book.apply)
            storing = asyncio.create_task(self._committer.commit(job))
        try:
            await asyncio.wait({storing}, timeout=self._patience)
        finally:
            if not storing.done():  # it stays in the queue, also when its sender is gone
                self._keep_late(body, storing)
        if storing.done():
            return storing.result()
        raise Unavailable(f"telemetry: not stored within {self._patience:g} s; send it again")

    def _keep_late(self, body: OtlpBody, storing: asyncio.Task[Taken]) -> None:
        storing.add_done_callback(_failed)  # so that nobody misses its error
        self._late[_digest(body)] = storing
        if len(self._late) > LATE:
            del self._late[next(iter(self._late))]


def _digest(body: OtlpBody) -> bytes:
    return sha256(f"{body.signal}\n{body.media_type}\n{body.encoding}\n".encode() + body.data).digest()


def _failed(storing: asyncio.Task[Taken]) -> bool:
    return storing.done() and (storing.cancelled() or storing.exception() is not None)


def _taken(db: sa.Connection, found: Calls, now: float) -> Taken:
    """All that is asked for: its calls were counted with those of the other requests."""
    return Taken(found.items.total(), found.refused)
