"""The tasks of connectors: events to the stream, messages to services, refusals announced, and the sweeping.

A server whose settings have no connector runs none of them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from math import inf
from typing import Any

from brain.connectors.notifiers import Notifier
from brain.connectors.sender import Refused, RetryPolicy, Sender, TryLater
from brain.errors import BrainError
from brain.extras import require_extras
from brain.kit.database import OUTAGE
from brain.kit.database_threads import for_tasks
from brain.kit.outbox import Dispatcher, DispatchOptions, EventShipping, OutboxRow
from brain.links import sweeping
from brain.links.models import CONSUMER, ConnectorStatus, DeliveryState
from brain.links.outbound import Announced, open_outbound, page_of
from brain.links.refusals import RefusalLog, Refusals, report_forgery, tell
from brain.links.service import ConnectorService
from brain.logs import Log
from brain.plugins import PluginContext
from brain.store.deletion_clock import deletion_clock
from brain.stream.retry import Backoff

log: Log = Log("brain.connectors")

SWEEP, PRUNE = 30.0, 3600.0
"""Seconds between two sweeps, and between two deletions of what is old."""
_LEASE = 120.0
_PAUSED = 15.0

Loop = Callable[[], Coroutine[Any, Any, None]]


class ConnectorTasks:
    """Everything that runs for connectors in one process; `clock` gives Unix seconds."""

    def __init__(self, context: PluginContext, service: ConnectorService, senders: Mapping[str, Notifier[Any]]) -> None:
        self.refusals: RefusalLog = RefusalLog(service.settings.refused_seconds)
        self.senders: Mapping[str, Notifier[Any]] = senders
        self.outages: int = 0
        """Steps that failed because a part did not answer; they are tried again."""
        self._service = service
        self._context = context
        self._news = asyncio.Event()
        self._pruned_at = -inf
        self.shipping: EventShipping = EventShipping(context.database, CONSUMER, context.stream)
        self.dispatcher: Dispatcher = Dispatcher(
            context.database,
            CONSUMER,
            self._deliver,
            outcomes=Announced(service.clock),
            options=DispatchOptions(
                per_minute=None,
                channel_per_minute={name: limit for name in senders if (limit := self._per_minute(name)) is not None},
                timeout=_LEASE * 0.75,
                lease=_LEASE,
                deletion_clock=deletion_clock(context.store),
            ),
            clock=service.clock,
        )

    @classmethod
    @asynccontextmanager
    async def open(cls, context: PluginContext, service: ConnectorService) -> AsyncIterator[ConnectorTasks]:
        """The tasks, with HTTP connections that are closed at the end. Raises MissingExtra without what sends."""
        if service.settings.outbound:
            require_extras("[connectors.outbound]", "connectors")
        async with Sender(RetryPolicy(attempts=2, max_wait=2.0), clock=service.clock) as sender:
            outbound = service.settings.outbound
            yield cls(context, service, {n: open_outbound(t, sender, service.clock) for n, t in outbound.items()})

    @property
    def loops(self) -> Sequence[Loop]:
        """The tasks, each of which runs until it is cancelled; none where nothing is set up."""
        settings = self._service.settings
        if not settings.inbound and not settings.outbound:
            return ()
        sending: list[Loop] = [self.dispatcher.run] if settings.outbound else []
        return [self.shipping.run, self._tell_forever, self._sweep_forever, *sending]

    def refused(self, connector: str, remote: str, reason: str, now: float) -> None:
        """Count a refused delivery, and tell of it soon. Called in the event loop."""
        self.refusals.note(connector, remote, reason, now)
        self._news.set()

    def _per_minute(self, name: str) -> int | None:
        return self.senders[name].per_minute

    async def _retry(self, step: Callable[[], None]) -> None:
        backoff = Backoff(0.1, 5.0)
        while True:
            try:
                return await for_tasks(self._context.database, step)
            except OUTAGE as error:
                self.outages += 1
                log.warning("connectors wait for the database", error=str(error))
                await asyncio.sleep(backoff.next_delay())

    # refusals

    async def _tell_forever(self) -> None:
        try:
            while True:
                wait = self.refusals.due_in(self._service.clock())
                self._news.clear()
                try:
                    async with asyncio.timeout(wait):
                        if wait is None or wait > 0:
                            await self._news.wait()
                except TimeoutError:
                    pass
                await self.tell()
        finally:
            await asyncio.shield(self.tell(everything=True))

    async def tell(self, everything: bool = False) -> None:
        """Tell of the refusals that are due: their events, and a threat where there are enough of them."""
        now = self._service.clock()
        for refusals in self.refusals.take(now, everything):
            try:
                await for_tasks(self._context.database, self._store, refusals, now)
            except OUTAGE as error:
                self.outages += 1
                self.refusals.put_back(refusals)
                log.warning("refused deliveries are announced later", error=str(error))

    def _store(self, refusals: Refusals, now: float) -> None:
        self._service.prepare()
        with self._context.database.begin() as db:
            tell(db, refusals, now)
            if refusals.total >= self._service.settings.forgeries:
                report_forgery(db, refusals, now)

    # sweeping

    async def _sweep_forever(self) -> None:
        await self._retry(self._service.prepare)
        while True:
            try:
                await self.sweep()
            except (*OUTAGE, BrainError) as error:
                self.outages += 1
                log.warning("connectors are swept later", error=str(error))
            await asyncio.sleep(SWEEP)

    async def sweep(self) -> None:
        """Map what waits, delete what is old, report what stays in error. Raises what OUTAGE names."""
        await for_tasks(self._context.database, self._sweep, self._service.clock())

    def _sweep(self, now: float) -> None:
        if time.monotonic() - self._pruned_at >= PRUNE:
            with self._context.database.begin() as db:
                sweeping.prune(db, self._service.settings, deletion_clock(self._context.store)())
            self._pruned_at = time.monotonic()
        with self._context.database.begin() as db:
            names = sweeping.left_waiting(db)
            sweeping.report_errors(db, self._service.settings, now)
        for name in names:
            if name in self._service.inbound:
                self._service.replay(name, (DeliveryState.WAITING,))

    # sending

    async def _deliver(self, row: OutboxRow) -> Mapping[str, Any]:
        sender = self.senders.get(row.channel)
        if sender is None:
            raise Refused(f"connector {row.channel}", 410, "the settings have it no more")
        if (await for_tasks(self._context.database, self._service.get, row.channel)).status is ConnectorStatus.STOPPED:
            raise TryLater(f"connector {row.channel}: is paused", _PAUSED)
        return await sender.send(page_of(row))
