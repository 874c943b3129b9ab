"""What is due by time: windows of usage that end, calls that wait for too long, sources that fall silent.

There is no timer while nothing is due: a commit sets one, and what earlier processes left is looked for once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from itertools import groupby
from math import inf
from typing import Any

import sqlalchemy as sa

from brain.charter import HealthKind, HealthSeverity
from brain.errors import Unavailable
from brain.kit.database import OUTAGE, reading
from brain.kit.database_threads import for_tasks
from brain.kit.outbox import put_event, put_health
from brain.kit.protocols import HealthReport
from brain.kit.sql import upsert
from brain.logs import Log
from brain.telemetry import announce, tables
from brain.telemetry.committer import Committer, Job
from brain.telemetry.plugin import PLUGIN
from brain.telemetry.samples import LIVE, STALE, publish_rest
from brain.telemetry.settings import TelemetrySettings
from brain.telemetry.usage import ANNOUNCED, UsageBook, announced_until

log: Log = Log("brain.telemetry")

AFTER = 2.0
"""Seconds after a commit until what is due is looked for."""
_LEAST = 0.25  # seconds between two looks
_DELETE_EVERY = 3600.0


class Agenda:
    """Does what is due; `run` goes on until it is cancelled."""

    def __init__(
        self,
        committer: Committer,
        book: UsageBook,
        settings: TelemetrySettings,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.deletion_clock: Callable[[], float] = clock
        self._committer = committer
        self._book = book
        self._settings = settings
        self._clock = clock
        self._changed = asyncio.Event()
        self._deleted_at = -inf  # monotonic

    def note(self) -> None:
        """Something was committed."""
        self._changed.set()

    async def run(self, database: sa.Engine) -> None:
        """Do what is due, as long as anything is."""
        while True:
            self._changed.clear()
            due = await self._look(database)
            if due is None:
                await self._changed.wait()
                await asyncio.sleep(AFTER)
                continue
            await self._sleep(max(_LEAST, due - self._clock()))

    async def _sleep(self, seconds: float) -> None:
        """Until then; sooner when something is committed, which may be due before."""
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
                await asyncio.sleep(AFTER)
        except TimeoutError:
            return

    async def _look(self, database: sa.Engine) -> float | None:
        try:
            silent = await for_tasks(database, self._silent, database)
            return await self._committer.commit(Job(lambda: silent, self._apply), quiet=True)
        except (*OUTAGE, Unavailable) as error:
            log.warning("what is due waits: the database does not answer", error=str(error))
            return self._clock() + AFTER

    def _silent(self, database: sa.Engine) -> Sequence[sa.Row[Any]]:
        tables.make_tables(database)
        now = self._clock()
        sources = tables.sources.c
        limit = sources.seen_at + sources.expected * self._settings.stale_after
        query = sa.select(tables.sources).where(sources.state == LIVE, limit <= now)
        with reading(database).begin() as db:
            return db.execute(query).all()

    def _apply(self, db: sa.Connection, silent: Sequence[sa.Row[Any]], now: float) -> float | None:
        """Do it; when more is due, in Unix seconds, None: nothing."""
        for row in silent:
            self._mark_stale(db, row, now)
        self._book.release(db, now)
        self._announce_usage(db, now)
        if time.monotonic() - self._deleted_at >= _DELETE_EVERY:
            self._deleted_at = time.monotonic()
            self._delete_old(db, min(now, self.deletion_clock()))
        return self._next(db)

    def _mark_stale(self, db: sa.Connection, row: sa.Row[Any], now: float) -> None:
        sources = tables.sources
        same = sa.and_(sources.c.id == row.id, sources.c.seen_at == row.seen_at, sources.c.state == LIVE)
        if not db.execute(sa.update(sources).where(same).values(state=STALE)).rowcount:
            return
        put_event(db, PLUGIN.name, announce.stale(row.id, row.seen_at, row.expected), now)
        put_health(db, PLUGIN.name, _silence(row), now, key=f"telemetry stale {row.id} {row.seen_at}")
        publish_rest(db, row, now)

    def _announce_usage(self, db: sa.Connection, now: float) -> None:
        """An event for each agent of each window that has ended."""
        width, since = self._settings.usage_seconds, announced_until(db)
        usage = tables.usage
        ended = sa.and_(usage.c.bucket >= since, usage.c.bucket <= now - width)
        bucket = db.execute(sa.select(sa.func.min(usage.c.bucket)).where(ended)).scalar()
        if bucket is None:
            return
        rows = db.execute(sa.select(usage).where(usage.c.bucket == bucket).order_by(usage.c.agent)).all()
        for agent, of_agent in groupby(rows, key=lambda row: row.agent):
            event = announce.used(agent, bucket, width, list(of_agent), self._settings.currency)
            put_event(db, PLUGIN.name, event, now)
        upsert(db, tables.marks, [{"name": ANNOUNCED, "at": bucket + width}])

    def _delete_old(self, db: sa.Connection, now: float) -> None:
        before = now - self._settings.keep_days * 86_400
        # By when they came: a recording may be older than what is kept.
        db.execute(sa.delete(tables.windows).where(tables.windows.c.stored_at < before))
        db.execute(sa.delete(tables.usage).where(tables.usage.c.bucket < before))
        gone = sa.and_(tables.sources.c.seen_at < before, tables.sources.c.state != LIVE)
        db.execute(sa.delete(tables.sources).where(gone))

    def _next(self, db: sa.Connection) -> float | None:
        settings, sources = self._settings, tables.sources.c
        usage, waiting, counted = tables.usage.c, tables.waiting.c, tables.counted.c
        live = sa.func.min(sources.seen_at + sources.expected * settings.stale_after)
        found = [
            (sa.select(sa.func.min(usage.bucket)).where(usage.bucket >= announced_until(db)), settings.usage_seconds),
            (sa.select(sa.func.min(waiting.at)), settings.parent_seconds),
            (sa.select(sa.func.min(tables.links.c.at)), settings.parent_seconds),
            (sa.select(sa.func.min(counted.at)), settings.repeated_seconds),
            (sa.select(live).where(sources.state == LIVE), 0.0),
        ]
        due = [at + after for query, after in found if (at := db.execute(query).scalar()) is not None]
        return min(due, default=None)


def _silence(row: sa.Row[Any]) -> HealthReport:
    message = f"source {row.id} is silent: expected every {row.expected:g} s"
    details = {"source_id": row.id, "last_seen": row.seen_at, "expected_interval": row.expected}
    return HealthReport(HealthSeverity.WARNING, HealthKind.AGENT_FAILURE, PLUGIN.name, message, details)
