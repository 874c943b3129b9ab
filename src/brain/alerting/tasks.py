"""The tasks of alerting: the projection, the evaluation, and the delivery of pages."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from math import inf
from typing import Any

import sqlalchemy as sa
from prometheus_client.core import Metric

from brain.alerting.configuration import AlertingConfiguration
from brain.alerting.connections import forget_removed
from brain.alerting.delivery import PageDelivery
from brain.alerting.evaluation import delete_old, due, evaluate, reroute
from brain.alerting.outcomes import NotificationOutcomes
from brain.alerting.projector import AlertProjector
from brain.alerting.prometheus import alert_metrics
from brain.alerting.tables import CONSUMER, make_tables
from brain.connectors.notifiers import NOTIFIERS
from brain.connectors.sender import RetryPolicy, Sender
from brain.extras import require_extras
from brain.kit.database import OUTAGE, reading
from brain.kit.database_threads import for_tasks
from brain.kit.outbox import (
    Dispatcher,
    DispatchOptions,
    EventShipping,
    outbox_metrics,
)
from brain.kit.positions import POSITIONS
from brain.kit.projection import Projection
from brain.logs import Log
from brain.plugins import PluginContext
from brain.store.deletion_clock import deletion_clock
from brain.stream.backends import position_key
from brain.stream.change_signal import ChangeSignal

log: Log = Log("brain.alerting")

GROUP = "brain.alerting"
POLL = 1.0
"""Seconds between two evaluations when nothing new came in."""
CATCH_UP = 300.0
"""Most seconds for which the first page waits until the backlog of the start is read."""
_DELETE_EVERY = 3600.0


class AlertingTasks:
    """Three tasks that run until they are cancelled; `clock` gives Unix seconds."""

    def __init__(
        self,
        context: PluginContext,
        configuration: AlertingConfiguration,
        sender: Sender,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.outages: int = 0
        """Steps that failed because the database did not answer."""
        self._context = context
        self._configuration = configuration
        self._clock = clock
        self._news = ChangeSignal()
        self._deleted_at = -inf  # monotonic
        self._evaluated_at = -inf
        projector = AlertProjector(configuration, clock)
        self._projection = Projection(
            context,
            GROUP,
            projector.apply,
            pattern=configuration.signal_rules.patterns,
            committed=self._news.notify,
            former="soc",
        )
        self._delivery = PageDelivery(context, configuration, sender, clock)
        self._events = EventShipping(context.database, CONSUMER, context.stream)
        self._outcomes = NotificationOutcomes(configuration, self._settled, clock)
        self._dispatcher = Dispatcher(
            context.database,
            CONSUMER,
            self._delivery.deliver,
            outcomes=self._outcomes,
            options=DispatchOptions(
                per_minute=None,
                channel_per_minute=_limits(configuration),
                timeout=configuration.send_timeout,
                # After a service is well again, what fires is there within one interval.
                max_wait=_longest_wait(configuration),
                # Another process takes over the rows of a killed one after this time.
                lease=configuration.send_timeout * 1.25,
                keep=configuration.keep,
                deletion_clock=deletion_clock(context.store),
            ),
            clock=clock,
        )

    @classmethod
    @asynccontextmanager
    async def open(
        cls, context: PluginContext, configuration: AlertingConfiguration, clock: Callable[[], float] = time.time
    ) -> AsyncIterator[AlertingTasks]:
        """The tasks, with HTTP connections that are closed at the end.

        Raises MissingExtra when there are notifiers, and not the packages that they send with.
        """
        if configuration.notifiers:
            require_extras("[alerting.notifiers]", "connectors")
        retries = RetryPolicy(attempts=2, timeout=configuration.send_timeout / 4, wait=0.2)
        async with Sender(retries, clock=clock) as sender:
            yield cls(context, configuration, sender, clock)

    @property
    def tasks(self) -> Sequence[Callable[[], Coroutine[Any, Any, None]]]:
        """The coroutine functions of the tasks."""
        return (self._project, self._evaluate_forever, self._dispatcher.run, self._events.run)

    def _settled(self) -> None:
        """An outcome was stored: there may be groups that are due."""
        self._news.notify()

    def metrics(self) -> Sequence[Metric]:
        """The metrics of alerting for `/metrics`. Blocks."""
        own = alert_metrics(self._context.database, self.outages, self._delivery.without_events, self._outcomes.failed)
        return [*own, *outbox_metrics(self._dispatcher, self._events)]

    async def _project(self) -> None:
        await self._retry(self._make_tables)  # without them the first event would stop it for a while
        await self._projection.run()

    async def _evaluate_forever(self) -> None:
        await self._retry(self._make_tables)
        await self._warm_up()
        await self._retry(self._reroute)
        with self._news.listen() as news:
            while True:
                news.clear()
                more = await self._retry(self._evaluate)
                if not more:
                    await _wait(news, POLL)

    async def _retry(self, step: Callable[[], bool]) -> bool:
        """Do the step in a thread; repeat it for as long as the database does not answer."""
        delay = 0.1
        while True:
            try:
                return await for_tasks(self._context.database, step)
            except OUTAGE as error:
                self.outages += 1
                log.warning("the database does not answer, trying again", error=str(error), seconds=delay)
                await asyncio.sleep(delay)
                delay = min(5.0, delay * 2)

    async def _warm_up(self) -> None:
        """Wait until the backlog is read, so that nobody is paged for alerts that are over already."""
        started = time.monotonic()
        end: tuple[int, ...] | None = None
        while (waited := time.monotonic() - started) < CATCH_UP:
            try:
                if end is None:
                    end = position_key(await self._context.stream.call(self._context.stream.backend.tail))
                if waited >= self._configuration.warm_up and await self._is_reached(end):
                    return
            except OUTAGE as error:
                log.warning("stream or database does not answer during warm-up, trying again", error=str(error))
            await asyncio.sleep(min(0.2, self._configuration.warm_up))
        log.warning("the backlog is not read after the longest wait; pages go out now", waited=CATCH_UP)

    async def _is_reached(self, end: tuple[int, ...]) -> bool:
        def reached() -> tuple[int, ...]:
            with reading(self._context.database).begin() as db:
                query = sa.select(POSITIONS.c.position).where(POSITIONS.c.name == GROUP)
                return position_key(db.execute(query).scalar() or "")

        return await for_tasks(self._context.database, reached) >= end

    def _make_tables(self) -> bool:
        make_tables(self._context.database)
        return True

    def _reroute(self) -> bool:
        with self._context.database.begin() as db:
            reroute(db, self._clock(), self._configuration)
            forget_removed(db, self._configuration.notifiers, self._clock())
        return True

    def _evaluate(self) -> bool:
        """Evaluate what is due. True when more may be due at once."""
        now = self._clock()
        if time.monotonic() - self._deleted_at >= _DELETE_EVERY:
            self._deleted_at = time.monotonic()
            before = min(now, deletion_clock(self._context.store)()) - self._configuration.keep
            with self._context.database.begin() as db:
                delete_old(db, before)
        if now < self._evaluated_at:  # what was due before the clock was set back would wait until it has caught up
            self._reroute()
        self._evaluated_at = now
        with reading(self._context.database).begin() as db:
            if not due(db, now):
                return False
        with self._context.database.begin() as db:
            more = evaluate(db, now, self._configuration)
        return more


def _longest_wait(configuration: AlertingConfiguration) -> float:
    """The longest wait of a page that a service could not take, in seconds: the shortest interval of the routes."""
    longest = DispatchOptions.max_wait
    return max(1.0, min((route.group_interval for route in configuration.routes), default=longest))


def _limits(configuration: AlertingConfiguration) -> dict[str, int]:
    """Most messages a minute, for the notifiers whose service names a limit."""
    limits = {name: NOTIFIERS.find(table.kind).per_minute for name, table in configuration.notifiers.items()}
    return {name: limit for name, limit in limits.items() if limit is not None}


async def _wait(news: asyncio.Event, seconds: float) -> None:
    """Wait for news, at most so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            await news.wait()
    except TimeoutError:
        return
