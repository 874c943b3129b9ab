"""The tasks of the plug-in: the projection, the shipping of events, and what expires."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any

from prometheus_client.core import GaugeMetricFamily, Metric
from sqlalchemy import func, select

from brain.dna.models import CONSUMER
from brain.dna.plugin import PLUGIN
from brain.dna.projector import DnaProjector
from brain.dna.settings import DnaSettings
from brain.dna.studies import StudyService
from brain.dna.tables import make_tables, rollouts, snapshots
from brain.kit import positions
from brain.kit.database import OUTAGE, create_tables, reading
from brain.kit.database_threads import for_tasks
from brain.kit.outbox import EventShipping, events_topic, news_of, shipping_metrics
from brain.kit.projection import Projection
from brain.kit.sql import insert_missing
from brain.logs import Log
from brain.plugins import PluginContext

log: Log = Log("brain.dna")

EXPIRE = 30.0
"""Seconds between two looks: for trials that nobody came back for, and for what another process made."""
EARLIER = 60.0
"""Seconds before the first genome at which counting begins: clocks differ."""


class DnaTasks:
    """Everything that runs for genomes in one process. `clock` gives Unix seconds."""

    def __init__(self, context: PluginContext, settings: DnaSettings, clock: Callable[[], float] = time.time) -> None:
        self.outages: int = 0
        """Steps that had to wait because a part did not answer."""
        self._context = context
        self._clock = clock
        self._shipping = EventShipping(context.database, CONSUMER, context.stream)
        self._studies = StudyService(context.database, settings, clock)
        projector = DnaProjector(settings, clock)
        self._projection = Projection(context, PLUGIN.group, projector.apply, pattern=settings.listens)

    async def prepare(self) -> None:
        """Make the tables."""
        await for_tasks(self._context.database, make_tables, self._context.database)

    @property
    def loops(self) -> Sequence[Callable[[], Coroutine[Any, Any, None]]]:
        """The tasks, each of which runs until it is cancelled."""
        return (self._count, self._shipping.run, self._expire_forever)

    def check(self) -> str:
        """For `/readyz`."""
        dead = self._projection.dead
        return "ok" if not dead else f"{dead} events could not be applied; see brain dead-letters list"

    def metrics(self) -> Sequence[Metric]:
        """The metrics of genomes for `/metrics`. Blocks."""
        by_state = GaugeMetricFamily("brain_dna_rollouts", "Rollouts of genomes, by state", labels=["state"])
        try:
            with reading(self._context.database).begin() as db:
                query = select(rollouts.c.state, func.count()).group_by(rollouts.c.state).order_by(rollouts.c.state)
                for state, count in db.execute(query):
                    by_state.add_metric([state], count)
        except OUTAGE as error:
            log.warning("a scrape has no figures of genomes: the database does not answer", error=str(error))
            return []
        return [by_state, *shipping_metrics(self._shipping)]

    async def _count(self) -> None:
        """Count what comes of genomes; while no agent has one, the stream is not read."""
        with news_of(self._context.database, events_topic(CONSUMER)).listen() as news:
            while True:
                news.clear()
                try:
                    if await self._begin():
                        break
                except OUTAGE as error:
                    self.outages += 1
                    log.warning("outcomes of genomes wait: stream or database does not answer", error=str(error))
                await _wait(news)
        await self._projection.run()

    async def _begin(self) -> bool:
        """Whether there are genomes; the projection then begins shortly before the first one, if it never ran."""
        first = await for_tasks(self._context.database, self._first_made)
        if first is None:
            return False
        stream = self._context.stream
        position = await stream.call(stream.backend.position_at, min(first, self._clock()) - EARLIER)
        await for_tasks(self._context.database, self._begin_at, position)
        return True

    def _first_made(self) -> float | None:
        with reading(self._context.database).begin() as db:
            found: float | None = db.execute(select(func.min(snapshots.c.created_at))).scalar()
            return found

    def _begin_at(self, position: str) -> None:
        create_tables(self._context.database, positions.METADATA)
        with self._context.database.begin() as db:
            row = {"name": self._projection.group, "position": position, "applied": 0}
            insert_missing(db, positions.POSITIONS, [row])

    async def _expire_forever(self) -> None:
        while True:
            await asyncio.sleep(EXPIRE)
            try:
                if await for_tasks(self._context.database, self._is_something_due):
                    await self._studies.expire()
            except OUTAGE as error:
                self.outages += 1
                log.warning("trials do not expire: the database does not answer", error=str(error))

    def _is_something_due(self) -> bool:
        with reading(self._context.database).begin() as db:
            return self._studies.is_expiry_due(db)


async def _wait(news: asyncio.Event) -> None:
    """Until there may be something new."""
    with suppress(TimeoutError):
        async with asyncio.timeout(EXPIRE):
            await news.wait()
