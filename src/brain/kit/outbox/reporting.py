"""The task that delivers the reports of all plug-ins to threats and immune."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from math import inf
from typing import TypeVar

import sqlalchemy as sa
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from brain.errors import Conflict, InvalidInput
from brain.kit.database import OUTAGE, create_tables, reading
from brain.kit.database_threads import for_tasks
from brain.kit.outbox.events import ship_waiting
from brain.kit.outbox.news import news_of
from brain.kit.outbox.reports import (
    TOPIC,
    WaitingReport,
    count_reports,
    delete_reports,
    note_failure,
    prune_refused,
    waiting_reports,
)
from brain.kit.outbox.table import metadata
from brain.kit.protocols import HealthReport, HealthReports, ThreatReports
from brain.logs import Log
from brain.plugins import PluginContext
from brain.store.deletion_clock import deletion_clock
from brain.stream.retry import Backoff

log: Log = Log("brain.outbox")

T = TypeVar("T")

LOOK = 10.0
"""Seconds between two looks when nothing was written here: for what other processes left."""
ATTEMPTS = 50
"""Tries of a report that fails for a reason of its own; then it is refused. An outage is waited for, for ever."""
KEEP_SECONDS = 90 * 86_400.0
"""How long refused reports are kept."""
_PRUNE_EVERY = 3600.0
DELIVERED, KNOWN, REFUSED, FAILED, DROPPED = "delivered", "known", "refused", "failed", "dropped"
"""What became of a try: DROPPED where no installed plug-in takes such reports."""


class ReportDelivery:
    """Delivers reports until cancelled, woken by each transaction of this process that puts some.

    Several processes may do so: who takes a report knows it by its key.
    """

    def __init__(self, context: PluginContext) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        """Tries since the start, by channel and outcome."""
        self.outages: int = 0
        self._context = context
        self._database = context.database
        self._health: HealthReports | None = None  # found when there is something to report
        self._threats: ThreatReports | None = None
        self._pruned_at = -inf  # monotonic

    async def run(self) -> None:
        """Deliver what waits, and what comes."""
        backoff = Backoff(0.1, 5.0)
        with news_of(self._database, TOPIC).listen() as news:
            while True:
                news.clear()
                if not await self._deliver():
                    await asyncio.sleep(backoff.next_delay())
                    continue
                backoff.reset()
                try:
                    async with asyncio.timeout(LOOK):
                        await news.wait()
                except TimeoutError:
                    continue

    async def _deliver(self) -> bool:
        """Deliver what waits; whether that is done."""
        try:
            done = await self.deliver()
            await self._prune()
        except OUTAGE as error:
            self.outages += 1
            log.warning("reports to threats and immune wait: a part does not answer", error=str(error))
            return False
        return done

    async def deliver(self) -> bool:
        """Deliver what waits; False when some of it failed and is to be tried again. Raises what OUTAGE names."""
        await for_tasks(self._database, create_tables, self._database, metadata)
        while rows := await for_tasks(self._database, self._read, waiting_reports):
            settled: list[int] = []
            try:
                failed = [row for row in rows if not await self._settle(row, settled)]
            finally:
                if settled:
                    await for_tasks(self._database, self._change, partial(delete_reports, ids=settled))
            if failed:
                return False
        return True

    async def _settle(self, row: WaitingReport, settled: list[int]) -> bool:
        """Report the row, and add it to `settled` unless it has to stay; False when it is to be tried again."""
        try:
            outcome = await self._report(row)
        except OUTAGE:
            raise
        except Conflict:  # the key was used before, with other words
            outcome = KNOWN
        except Exception as error:  # noqa: BLE001  (whatever it is, the row is kept, counted and logged)
            refused = isinstance(error, InvalidInput) or row.attempts + 1 >= ATTEMPTS
            self.counts[row.channel, REFUSED if refused else FAILED] += 1
            words = "a report is refused for good" if refused else "a report is not delivered and is tried again"
            log.error(words, consumer=row.consumer, channel=row.channel, key=row.key, error=repr(error), raised=error)
            note = f"{type(error).__name__}: {error}"
            await for_tasks(self._database, self._change, lambda db: note_failure(db, row.id, note, refused=refused))
            return refused
        self.counts[row.channel, outcome] += 1
        settled.append(row.id)
        return True

    async def _report(self, row: WaitingReport) -> str:
        """Report it; the outcome. Raises what the plug-in that takes it raises."""
        report = row.report()
        if isinstance(report, HealthReport):
            self._health = self._health or self._context.find(HealthReports)
            if self._health is not None:
                await self._health.report(report, key=row.key)
                return DELIVERED
        else:
            self._threats = self._threats or self._context.find(ThreatReports)
            if self._threats is not None:
                await self._threats.report(report)
                return DELIVERED
        log.warning("no installed plug-in takes a report", consumer=row.consumer, channel=row.channel, key=row.key)
        return DROPPED

    async def _prune(self) -> None:
        if time.monotonic() - self._pruned_at < _PRUNE_EVERY:
            return
        self._pruned_at = time.monotonic()
        before = await asyncio.to_thread(deletion_clock(self._context.store)) - KEEP_SECONDS
        await for_tasks(self._database, self._change, lambda db: prune_refused(db, before))

    def _read(self, query: Callable[[sa.Connection], T]) -> T:
        with reading(self._database).begin() as db:
            return query(db)

    def _change(self, change: Callable[[sa.Connection], object]) -> None:
        with self._database.begin() as db:
            change(db)

    def metrics(self) -> Sequence[Metric]:
        """What is kept, and what this process did. Blocks."""
        tries = CounterMetricFamily(
            "brain_reports_deliveries", "Tries to report to threats and immune", labels=["channel", "outcome"]
        )
        for (channel, outcome), count in sorted(self.counts.items()):
            tries.add_metric([channel, outcome], count)
        outages = CounterMetricFamily("brain_reports_outages", "Times reports had to wait for a part", self.outages)
        kept = GaugeMetricFamily("brain_reports_kept", "Reports that wait or were refused", labels=["channel", "state"])
        try:
            create_tables(self._database, metadata)
            for (channel, state), count in sorted(self._read(count_reports).items()):
                kept.add_metric([channel, state], count)
        except OUTAGE as error:
            log.warning("a scrape has no figures of reports: the database does not answer", error=str(error))
            return [tries, outages]
        return [kept, tries, outages]


async def send_waiting(context: PluginContext, consumer: str) -> None:
    """Send the events and deliver the reports that wait, for a command that has changed something and ends.

    While a part is away, they wait for the server.
    """
    await ship_waiting(context.database, consumer, context.stream)
    try:
        await ReportDelivery(context).deliver()
    except OUTAGE as error:
        log.warning("the reports of this change wait for the server", consumer=consumer, error=str(error))
