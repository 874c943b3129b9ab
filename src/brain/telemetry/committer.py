"""One transaction for all that is there: requests and samples that come in while it runs share the next one.

Each is answered when the transaction that holds it is committed. There is no thread and no task while nothing comes.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import sqlalchemy as sa

from brain.errors import BrainError, Unavailable
from brain.kit.database import OUTAGE
from brain.kit.database_threads import for_tasks
from brain.logs import Log
from brain.telemetry.tables import make_tables

log: Log = Log("brain.telemetry")

P = TypeVar("P")
R = TypeVar("R")

AT_ONCE = 64
"""Most jobs in one transaction."""


@dataclass(frozen=True)
class Job(Generic[P, R]):
    """What is to be stored: `prepare` runs before the transaction and `apply` in it, both in a thread.

    `apply` is given what `prepare` gave and the time, in Unix seconds, which is the same for the whole transaction.
    """

    prepare: Callable[[], P]
    apply: Callable[[sa.Connection, P, float], R]
    bytes: int = 0
    join: Callable[[sa.Connection, Sequence[P], float], None] | None = None
    """Called once in the transaction, before, with what all jobs of it that have the same `join` prepared."""
    context: Context = field(default_factory=copy_context, compare=False)
    """In which `apply` runs: its events say whose doing they are."""


class Committer:
    """Stores jobs in the order in which they come."""

    def __init__(self, database: sa.Engine, waiting_bytes: int, clock: Callable[[], float] = time.time) -> None:
        self.transactions: int = 0
        self.refused: int = 0
        """Jobs that found too much waiting."""
        self.failed: int = 0
        """Jobs that failed for no reason of their sender."""
        self.committed: Callable[[], None] = lambda: None
        """Called in the event loop after each transaction."""
        self._database = database
        self._most = waiting_bytes
        self._clock = clock
        self._bytes = 0
        self._news = False
        self._queue: deque[tuple[Job[Any, Any], asyncio.Future[Any]]] = deque()
        self._running: asyncio.Task[None] | None = None

    async def commit(self, job: Job[P, R], *, quiet: bool = False) -> R:
        """Store it; what its `apply` gave. A `quiet` one alone is no news for `committed`.

        Raises what its `prepare` raises, and Unavailable when the database does not answer, when too much waits, and
        when it cannot be stored for another reason, which is logged: another try may succeed.
        """
        if self._bytes + job.bytes > self._most and self._queue:
            self.refused += 1
            raise Unavailable("telemetry: too much waits to be stored; send it again later")
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._queue.append((job, future))
        self._news |= not quiet
        self._bytes += job.bytes
        if self._running is None:
            # In no request's context: each job has its own.
            self._running = asyncio.create_task(self._run(), name="telemetry commits", context=Context())
        return await future

    async def _run(self) -> None:
        try:
            while self._queue:
                news, self._news = self._news, False
                jobs = [self._queue.popleft() for _ in range(min(AT_ONCE, len(self._queue)))]
                try:
                    results = await for_tasks(self._database, self._store, [job for job, _ in jobs])
                except BaseException as error:
                    _answer(jobs, [_later(error)] * len(jobs))
                    if not isinstance(error, Exception):
                        raise
                else:
                    _answer(jobs, results)
                self._bytes -= sum(job.bytes for job, _ in jobs)
                if news:
                    self.committed()
        finally:
            self._running = None
            while self._queue:
                job, future = self._queue.popleft()
                self._bytes -= job.bytes
                _answer([(job, future)], [Unavailable("telemetry: the server stops; send it again")])

    def _store(self, jobs: list[Job[Any, Any]]) -> list[Any]:
        """The result of each, or its error. Blocks."""
        prepared = [_tried(job.prepare) for job in jobs]
        try:
            make_tables(self._database)
            return self._in_one(jobs, prepared)
        except OUTAGE as error:
            log.warning("telemetry is not stored: the database does not answer", jobs=len(jobs), error=str(error))
            return [_later(error)] * len(jobs)
        except Exception as error:  # noqa: BLE001  (one of them must not stop the others; counted and logged below)
            if len(jobs) > 1:
                return [result for job in jobs for result in self._store([job])]
            self.failed += 1
            log.error("telemetry cannot be stored", error=repr(error), raised=error)
            return [_later(error)]

    def _in_one(self, jobs: list[Job[Any, Any]], prepared: list[Any]) -> list[Any]:
        results = list(prepared)
        if all(isinstance(value, Exception) for value in prepared):
            return results
        now = self._clock()
        good = [(place, job) for place, job in enumerate(jobs) if not isinstance(prepared[place], Exception)]
        shared: defaultdict[Callable[..., None], list[Any]] = defaultdict(list)
        for place, job in good:
            if job.join is not None:
                shared[job.join].append(prepared[place])
        with self._database.begin() as db:
            for join, values in shared.items():
                join(db, values, now)
            for place, job in good:
                results[place] = job.context.run(job.apply, db, prepared[place], now)
        self.transactions += 1
        return results


def _tried(prepare: Callable[[], Any]) -> Any:
    try:
        return prepare()
    except BrainError as error:
        return error
    except Exception as error:  # noqa: BLE001  (logged; answered as what a later try may get over)
        log.error("a request of telemetry cannot be read", error=repr(error), raised=error)
        return _later(error)


def _later(error: BaseException) -> Exception:
    return Unavailable(f"telemetry: not stored ({type(error).__name__}); send it again later")


def _answer(jobs: list[tuple[Job[Any, Any], asyncio.Future[Any]]], results: list[Any]) -> None:
    for (_, future), result in zip(jobs, results, strict=True):
        if future.done():
            continue  # who asked is gone
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)
