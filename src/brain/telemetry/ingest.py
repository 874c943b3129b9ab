"""What comes in by OTLP: stored with everything else that came in at the same time, and then answered."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

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

    async def take(self, body: OtlpBody) -> Response:
        """Store what the request says, and answer it."""
        try:
            found = await self._store(body)
        except BrainError as error:
            answer = refusal(body.media_type, error)
            log.warning("a request of OTLP is refused", signal=body.signal, status=answer.status_code, error=str(error))
        else:
            self.items[body.signal] += found.items.total()
            refused = found.refused.total()
            if refused:
                self.refused += refused
                log.warning("spans are refused: their ids are not valid", services=dict(found.refused))
            answer = accepted(body, refused)
            self.stored(body)
        self.answers[body.signal, answer.status_code] += 1
        return answer

    async def _store(self, body: OtlpBody) -> Calls:
        job = Job(lambda: body.read(self._most), _itself, len(body.data), self._book.apply)
        try:
            async with asyncio.timeout(self._patience):
                return await self._committer.commit(job)
        except TimeoutError:  # it stays in the queue: should it be stored, then what comes again is known
            raise Unavailable(f"telemetry: not stored within {self._patience:g} s; send it again") from None


def _itself(db: sa.Connection, found: Calls, now: float) -> Calls:
    """What was read is all that is asked for: it was counted with that of the other requests."""
    return found
