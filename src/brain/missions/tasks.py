"""The tasks of the plug-in: time, the policy events that concern missions, the events that go out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from prometheus_client.core import GaugeMetricFamily, Metric

from brain.kit.database import OUTAGE, reachable, reading
from brain.kit.database_threads import for_tasks
from brain.kit.outbox import EventShipping, events_topic, news_of, shipping_metrics
from brain.kit.projection import Projection
from brain.kit.protocols import EffectGuard
from brain.logs import Log
from brain.missions.plugin import PLUGIN
from brain.missions.projector import PolicyProjector
from brain.missions.reading import stats
from brain.missions.service import MissionService
from brain.missions.settings import MissionSettings
from brain.missions.timekeeping import AT_ONCE, keep_time, next_due, prune
from brain.plugins import PluginContext
from brain.store.deletion_clock import deletion_clock
from brain.stream.retry import Backoff

log: Log = Log("brain.missions")

LOOK = 5.0
"""Seconds between two looks at what is due, when nothing was changed in this process."""
PRUNE_EVERY = 3600.0
"""Seconds between two looks for missions that ended long ago."""
SHORTEST = 0.05
"""Seconds between two looks at least."""


class MissionTasks:
    """Everything that runs for missions in one process."""

    def __init__(self, context: PluginContext, clock: Callable[[], float] = time.time) -> None:
        settings = context.table(MissionSettings)
        self._database = context.database
        self._clock = clock
        self._deletion_clock = deletion_clock(context.store)
        self._guard = context.find(EffectGuard)
        if self._guard is None:
            log.warning("everybody may start missions and do tasks: no installed plug-in provides EffectGuard")
        self._events = EventShipping(context.database, PLUGIN.name, context.stream)
        self.service: MissionService = MissionService(context.database, settings, clock, self._guard)
        projector = PolicyProjector(settings, clock)
        self._projection = Projection(
            context, PLUGIN.group, projector.apply, pattern=PLUGIN.listens, committed=self.service.note_ready
        )

    @property
    def loops(self) -> Sequence[Callable[[], Coroutine[Any, Any, None]]]:
        """The tasks, each of which runs until it is cancelled."""
        return [self._projection.run, self._keep_time, self._prune, self._events.run]

    async def close(self) -> None:
        """Let go of the guard."""
        if self._guard is not None:
            await self._guard.close()

    def metrics(self) -> Sequence[Metric]:
        """Missions, tasks and agents by status, and the outbox. Blocks."""
        with reachable(self._database), reading(self._database).begin() as db:
            counts = stats(db, self._clock())
        families = []
        for what, by_status in counts.items():
            name = "brain_missions" if what == "missions" else f"brain_missions_{what}"
            family = GaugeMetricFamily(name, f"How many {what} there are", labels=["status"])
            for status, count in by_status.items():
                family.add_metric([status], count)
            families.append(family)
        return [*families, *shipping_metrics(self._events)]

    async def _keep_time(self) -> None:
        """Do what is due, when it is due."""
        backoff = Backoff(0.1, 5.0)
        with news_of(self._database, events_topic(PLUGIN.name)).listen() as changed:
            while True:
                changed.clear()
                try:
                    pause = await for_tasks(self._database, self.sweep)
                except OUTAGE as error:
                    log.warning("missions wait: the database does not answer", error=str(error))
                    await asyncio.sleep(backoff.next_delay())
                    continue
                backoff.reset()
                await asyncio.sleep(min(SHORTEST, pause))
                try:
                    async with asyncio.timeout(pause):
                        await changed.wait()
                except TimeoutError:
                    continue

    async def _prune(self) -> None:
        """Delete missions that ended long ago."""
        while True:
            try:
                await for_tasks(self._database, self.prune)
            except OUTAGE as error:
                log.warning("old missions are not deleted: the database does not answer", error=str(error))
            await asyncio.sleep(PRUNE_EVERY)

    def prune(self) -> None:
        """Delete missions that ended longer ago than `keep_days`. Blocks."""
        before = min(self._clock(), self._deletion_clock()) - self.service.settings.keep_days * 86_400
        deleted = AT_ONCE
        while deleted == AT_ONCE:
            with reachable(self._database), self._database.begin() as db:
                deleted = prune(db, before)

    def sweep(self) -> float:
        """Do what is due now; seconds until the next look. Blocks. Writes nothing when nothing is due."""
        while True:
            with reachable(self._database), reading(self._database).begin() as db:
                at = next_due(db)
            now = self._clock()
            if at is None or at > now:
                return LOOK if at is None else max(SHORTEST, min(LOOK, at - now))
            _, ready = self.service.transact(keep_time)
            if ready:
                self.service.note_ready()
