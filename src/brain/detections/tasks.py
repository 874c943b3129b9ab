"""The tasks of the plug-in: the projection, the shipping of events, the reports, and what is forgotten."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from brain.detections import loading
from brain.detections.loading import Loaded
from brain.detections.plugin import PLUGIN
from brain.detections.projector import DetectionProjector, patterns
from brain.detections.reports import Reporter
from brain.detections.repository import forget_groups
from brain.detections.settings import DetectionSettings
from brain.detections.tables import CONSUMER, dropped, hits, make_tables, states
from brain.errors import InvalidInput
from brain.kit.database import OUTAGE, reading
from brain.kit.database_threads import for_tasks
from brain.kit.outbox import EventShipping
from brain.kit.projection import Projection
from brain.logs import Log
from brain.plugins import PluginContext
from brain.stream.change_signal import ChangeSignal
from brain.stream.retry import Backoff

log: Log = Log("brain.detections")

GROWN = 2.0
"""Seconds between two reports of hits that grow."""
FORGET = 60.0
"""Seconds between two looks for groups to forget."""


def load_configured(settings: DetectionSettings) -> Loaded:
    """The detections that the settings name. Raises InvalidInput for a file that cannot be loaded whole."""
    paths = [Path(path) for path in settings.rules]
    loaded = loading.load(paths, with_shipped=settings.enabled, without=settings.disabled)
    if loaded.problems:
        first = "; ".join(str(problem) for problem in loaded.problems[:5])
        raise InvalidInput(f"detections: {first}; `brain detections check` names every fault")
    return loaded


class DetectionTasks:
    """Everything that runs for detections in one process. `clock` gives Unix seconds."""

    def __init__(self, context: PluginContext, loaded: Loaded, clock: Callable[[], float] = time.time) -> None:
        self.outages: int = 0
        """Steps that had to wait because a part did not answer."""
        self._context = context
        self._settings = context.table(DetectionSettings)
        self._news = ChangeSignal()
        self._shipping = EventShipping(context.database, CONSUMER, context.stream)
        self._reporter = Reporter(context)
        wanted = patterns(loaded.rules)
        projector = DetectionProjector(loaded, clock)
        self._projection = (
            Projection(context, PLUGIN.group, projector.apply, pattern=wanted, committed=self._news.notify)
            if wanted
            else None
        )

    async def prepare(self) -> None:
        """Make the tables."""
        await for_tasks(self._context.database, make_tables, self._context.database)

    @property
    def loops(self) -> Sequence[Callable[[], Coroutine[Any, Any, None]]]:
        """The tasks, each of which runs until it is cancelled."""
        projecting = () if self._projection is None else (self._projection.run,)
        return (*projecting, self._shipping.run, self._report_forever, self._forget_forever)

    def check(self) -> str:
        """For `/readyz`."""
        dead = 0 if self._projection is None else self._projection.dead
        return "ok" if not dead else f"{dead} events could not be applied; see brain dead-letters list"

    def metrics(self) -> Sequence[Metric]:
        """What `/metrics` has of detections. Blocks."""
        found = GaugeMetricFamily("brain_detections_hits", "Hits kept, by level", labels=["level"])
        groups = GaugeMetricFamily("brain_detections_groups", "Groups that detections remember")
        lost = CounterMetricFamily("brain_detections_dropped", "Matches not counted, by reason", labels=["reason"])
        waiting = GaugeMetricFamily("brain_detections_waiting", "Hits whose threat does not have their count yet")
        try:
            with reading(self._context.database).begin() as db:
                for level, count in db.execute(sa.select(hits.c.level, sa.func.count()).group_by(hits.c.level)):
                    found.add_metric([level], count)
                groups.add_metric([], db.execute(sa.select(sa.func.count()).select_from(states)).scalar_one())
                reasons = sa.select(dropped.c.reason, sa.func.sum(dropped.c.count)).group_by(dropped.c.reason)
                for reason, count in db.execute(reasons):
                    lost.add_metric([reason], float(count))
                late = sa.select(sa.func.count()).select_from(hits).where(hits.c.reported < hits.c.count)
                waiting.add_metric([], db.execute(late).scalar_one())
        except OUTAGE as error:
            log.warning("a scrape has no figures of detections: the database does not answer", error=str(error))
            return []
        return [found, groups, lost, waiting]

    async def _report_forever(self) -> None:
        backoff = Backoff(0.05, 5.0)
        grown_at = 0.0
        with self._news.listen() as news:
            while True:
                news.clear()
                grown = time.monotonic() - grown_at >= GROWN
                try:
                    await self._reporter.report_all(grown=grown)
                except OUTAGE as error:
                    self.outages += 1
                    log.warning("hits wait for their threats", error=str(error))
                    await asyncio.sleep(backoff.next_delay())
                    continue
                backoff.reset()
                grown_at = time.monotonic() if grown else grown_at
                await _wait(news, GROWN if not grown else FORGET)

    async def _forget_forever(self) -> None:
        while True:
            await asyncio.sleep(FORGET)
            try:
                forgotten = await for_tasks(self._context.database, self._forget)
            except OUTAGE as error:
                self.outages += 1
                log.warning("groups are not forgotten: the database does not answer", error=str(error))
                continue
            if forgotten:
                log.info("groups of detections were forgotten: there are too many", groups=forgotten)

    def _forget(self) -> int:
        with self._context.database.begin() as db:
            return forget_groups(db, self._settings.groups)


async def _wait(news: asyncio.Event, seconds: float) -> None:
    """Until there may be something new."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await news.wait()
