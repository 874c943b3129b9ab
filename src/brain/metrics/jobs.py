"""Jobs that a person asks for, announced when they end: recounts and backfills."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from sqlalchemy import Connection, Engine

from brain.errors import BrainError
from brain.logs import Log
from brain.metrics.announce import job_completed, job_failed
from brain.metrics.backfill import backfill
from brain.metrics.recount import Verdict
from brain.metrics.schema import changing_tables
from brain.stream.backends import Backend

T = TypeVar("T")

log: Log = Log("brain.metrics")


def backfill_announced(engine: Engine, backend: Backend, names: Sequence[str]) -> int:
    """`backfill`, with `metrics.aggregation_completed` in its transaction, or `metrics.aggregation_failed` after it."""
    began = time.monotonic()

    def done(db: Connection, events: int) -> None:
        counts = {"entries_processed": events, "duration_ms": (time.monotonic() - began) * 1000}
        job_completed(db, "backfill", names, counts, time.time())

    return _announcing_failure(engine, "backfill", lambda: backfill(engine, backend, names, done=done))


def verify_announced(engine: Engine, recount: Callable[[], Verdict]) -> Verdict:
    """The recount, with `metrics.aggregation_completed` after it, or `metrics.aggregation_failed`."""
    began = time.monotonic()

    def work() -> Verdict:
        verdict = recount()
        counts = {
            "entries_processed": verdict.events,
            "differences": verdict.differing,
            "duration_ms": (time.monotonic() - began) * 1000,
        }
        try:
            with changing_tables(engine) as db:
                job_completed(db, "verify", [], counts, time.time())
        except BrainError as error:  # the answer is there all the same
            log.warning("the end of a recount was not announced", error=str(error))
        return verdict

    return _announcing_failure(engine, "verify", work)


def _announcing_failure(engine: Engine, job: str, work: Callable[[], T]) -> T:
    try:
        return work()
    except Exception as error:
        try:
            with changing_tables(engine) as db:
                job_failed(db, job, (type(error).__name__, str(error)), time.time())
        except BrainError as second:
            log.error("a job failed, which could not be announced", job=job, error=str(second))
        raise
