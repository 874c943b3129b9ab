"""What SOC alerting does all the time: the projection, the ticks, and the sending of what they decided."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

import sqlalchemy as sa
from prometheus_client.core import Metric

from brain.alerting.configuration import Configuration
from brain.alerting.evaluation import due, forget, reroute, tick
from brain.alerting.notices import CONSUMER
from brain.alerting.notifier_settings import SlackNotifier
from brain.alerting.projector import AlertProjection
from brain.alerting.prometheus import alert_families
from brain.alerting.sending import Sending
from brain.alerting.tables import METADATA
from brain.connectors import slack
from brain.connectors.sender import Patience, Sender
from brain.kit import outbox, projection
from brain.kit.database import OUTAGE, create_tables, reading
from brain.kit.outbox import Dispatcher, Dispatching, outbox_families
from brain.kit.projection import POSITIONS, Projection
from brain.logs import Log
from brain.plugins import PluginContext
from brain.stream.backends import position_key

log = Log("brain.soc")

GROUP = "brain.alerting"
POLL = 1.0
"""Seconds between two looks at what is due."""
CATCH_UP = 300.0
"""Seconds for which the first page waits at most for the backlog that was there at the start."""
_FORGET_EVERY = 3600.0


def make_tables(database: sa.Engine) -> None:
    """Make the tables that are missing. Blocks."""
    for metadata in (METADATA, outbox.metadata, projection.METADATA):
        create_tables(database, metadata)


class Work:
    """The loops of this consumer; `clock` gives Unix seconds."""

    def __init__(
        self,
        context: PluginContext,
        configuration: Configuration,
        sender: Sender,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.outages = 0
        """Ticks that the database did not answer to."""
        self._context = context
        self._configuration = configuration
        self._clock = clock
        self._news = asyncio.Event()
        self._forgot_at = 0.0
        alerts = AlertProjection(configuration, clock)
        self._projection = Projection(
            context, GROUP, alerts.apply, pattern=configuration.reading.patterns, committed=self._news.set, former="soc"
        )
        limits = {
            name: slack.PER_MINUTE for name, kind in configuration.notifiers.items() if isinstance(kind, SlackNotifier)
        }
        self._sending = Sending(context, configuration, sender, clock)
        self._dispatcher = Dispatcher(
            context.database,
            CONSUMER,
            self._sending.deliver,
            how=Dispatching(
                per_minute=None,
                channel_per_minute=limits,
                timeout=configuration.send_timeout,
                # What a killed process was sending is taken over so soon.
                lease=configuration.send_timeout * 1.25,
                keep=configuration.keep,
            ),
            clock=clock,
        )

    @classmethod
    @asynccontextmanager
    async def open(
        cls, context: PluginContext, configuration: Configuration, clock: Callable[[], float] = time.time
    ) -> AsyncIterator[Work]:
        """The work, with connections that are given back at the end."""
        patience = Patience(attempts=2, timeout=configuration.send_timeout / 4, wait=0.2)
        async with Sender(patience, clock=clock) as sender:
            yield cls(context, configuration, sender, clock)

    @property
    def loops(self) -> Sequence[Callable[[], Coroutine[Any, Any, None]]]:
        """Each runs until it is cancelled."""
        return (self._projection.run, self._tick_on, self._send_on)

    def families(self) -> Sequence[Metric]:
        """What this consumer adds to `/metrics`. Blocks."""
        own = alert_families(self._context.database, self.outages, self._sending.bare)
        return [*own, *outbox_families(self._dispatcher)]

    async def _tick_on(self) -> None:
        await self._patiently(self._make_tables)
        await self._warm_up()
        await self._patiently(self._reroute)
        while True:
            self._news.clear()
            more = await self._patiently(self._tick)
            if not more:
                await _first(self._news, POLL)

    async def _send_on(self) -> None:
        await self._patiently(self._make_tables)
        await self._dispatcher.run()

    async def _patiently(self, step: Callable[[], bool]) -> bool:
        """Do the step in a thread, again and again while the database is away."""
        delay = 0.1
        while True:
            try:
                return await asyncio.to_thread(step)
            except OUTAGE as error:
                self.outages += 1
                log.warning("waiting for the database", error=str(error))
                await asyncio.sleep(delay)
                delay = min(5.0, delay * 2)

    async def _warm_up(self) -> None:
        """Wait until the backlog is made into alerts, so that what is over already is told to nobody."""
        started = self._clock()
        end: tuple[int, ...] | None = None
        while (waited := self._clock() - started) < CATCH_UP:
            try:
                if end is None:
                    end = position_key(await self._context.stream.call(self._context.stream.backend.tail))
                if waited >= self._configuration.warm_up and await asyncio.to_thread(self._reached) >= end:
                    return
            except OUTAGE as error:
                log.warning("warming up, waiting for stream or database", error=str(error))
            await asyncio.sleep(min(0.2, self._configuration.warm_up))
        log.warning("the backlog is not read yet; paging all the same", waited=CATCH_UP)

    def _reached(self) -> tuple[int, ...]:
        with reading(self._context.database).begin() as db:
            query = sa.select(POSITIONS.c.position).where(POSITIONS.c.name == GROUP)
            return position_key(db.execute(query).scalar() or "")

    def _make_tables(self) -> bool:
        make_tables(self._context.database)
        return True

    def _reroute(self) -> bool:
        with self._context.database.begin() as db:
            reroute(db, self._configuration)
        return True

    def _tick(self) -> bool:
        """Whether there is more to do at once."""
        now = self._clock()
        if now - self._forgot_at >= _FORGET_EVERY:
            self._forgot_at = now
            with self._context.database.begin() as db:
                forget(db, now - self._configuration.keep)
        with reading(self._context.database).begin() as db:
            if not due(db, now):
                return False
        with self._context.database.begin() as db:
            more = tick(db, now, self._configuration)
        self._dispatcher.nudge()
        return more


async def _first(news: asyncio.Event, seconds: float) -> None:
    """Wait for news, for so long at most."""
    try:
        async with asyncio.timeout(seconds):
            await news.wait()
    except TimeoutError:
        return
