"""The tasks of the plug-in: the projection, the dispatcher of the outbox, and the polling of tickets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from prometheus_client.core import Metric
from sqlalchemy import Connection, Engine, and_, or_, select, update

from brain.charter import IncidentState
from brain.connectors.sender import RetryPolicy, Sender, TryLater
from brain.connectors.tickets import TicketSystem, ticket_systems
from brain.extras import require_extras
from brain.incidents import tables
from brain.incidents.models import CONSUMER, THREATS_CHANNEL
from brain.incidents.projector import PATTERN, IncidentProjector
from brain.incidents.settings import IncidentSettings
from brain.incidents.threat_moves import move_threat
from brain.incidents.ticket_queue import enqueue_refused
from brain.incidents.ticket_sync import TicketSync
from brain.kit import outbox
from brain.kit.database import OUTAGE
from brain.kit.database_threads import for_tasks
from brain.kit.projection import Projection
from brain.kit.protocols import ThreatMoves
from brain.lifecycle import OPEN_INCIDENT
from brain.logs import Log
from brain.plugins import PluginContext
from brain.store.deletion_clock import deletion_clock

log: Log = Log("brain.incidents")

GROUP = "brain.incidents"
POLLED_AFTER = 14 * 86_400.0
"""Seconds after its resolution for which an incident's tickets are still polled."""
REFUSED_AGAIN = 300.0
"""Seconds after which an update that a ticket system refused is tried again."""
_AT_ONCE = 100  # tickets of one round of polling
_RETRIES = RetryPolicy(attempts=2, max_wait=2.0)


class IncidentTasks:
    """Everything that runs for incidents in one process. `systems` are the ticket systems that are set up, by kind."""

    def __init__(
        self,
        context: PluginContext,
        systems: Mapping[str, TicketSystem[Any]],
        clock: Callable[[], float],
        wait: float = 1.0,
    ) -> None:
        settings = context.table(IncidentSettings)
        self.systems = systems
        self._context = context
        self._settings = settings
        self._clock = clock
        self._threats = context.find(ThreatMoves)
        if self._threats is None:
            log.warning("threats do not follow their incidents: no installed plug-in provides ThreatMoves")
        self._tickets = TicketSync(context.database, settings, systems, clock)
        self._events = outbox.EventShipping(context.database, CONSUMER, context.stream)
        self._dispatcher = outbox.Dispatcher(
            context.database,
            CONSUMER,
            self._deliver,
            options=outbox.DispatchOptions(
                per_minute=None,
                channel_per_minute=dict.fromkeys(systems, settings.per_minute),
                timeout=settings.lease_seconds * 0.75,
                lease=settings.lease_seconds,
                wait=wait,
                deletion_clock=deletion_clock(context.store),
            ),
            clock=clock,
        )
        projector = IncidentProjector(settings, clock, context.stream.backend.at)
        self._projection = Projection(context, GROUP, projector.apply, pattern=PATTERN, former="incidents")

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        context: PluginContext,
        clock: Callable[[], float] = time.time,
        wait: float = 1.0,
        retries: RetryPolicy = _RETRIES,
    ) -> AsyncIterator[IncidentTasks]:
        """The tasks, with their tables created; their connections are closed at the end.

        `wait` is in seconds: before a row that failed is tried again; it doubles with every further try. `retries` is
        for one request. Raises MissingExtra when there are ticket systems, and not the packages that ask them.
        """
        chosen = context.table(IncidentSettings).systems
        for kind in chosen:
            require_extras(f"[incidents.{kind}]", "connectors")
        await for_tasks(context.database, _prepare, context.database, clock())
        async with Sender(retries, clock=clock) as sender:
            systems = {kind: ticket_systems()[kind](table, sender) for kind, table in chosen.items()}
            yield cls(context, systems, clock, wait)

    @property
    def loops(self) -> Sequence[Callable[[], Coroutine[Any, Any, None]]]:
        """The tasks, each of which runs until it is cancelled."""
        polling = [self._poll_tickets] if self._settings.poll_seconds is not None else []
        tickets = [*polling, self._retry_refused] if self.systems else []
        return [self._projection.run, self._dispatcher.run, self._events.run, *tickets]

    def metrics(self) -> Sequence[Metric]:
        """The metrics of the outbox for `/metrics`. Blocks."""
        return outbox.outbox_metrics(self._dispatcher, self._events)

    async def _deliver(self, row: outbox.OutboxRow) -> Mapping[str, Any]:
        if row.channel == THREATS_CHANNEL:
            if self._threats is None:
                return {"note": "no installed plug-in provides ThreatMoves"}
            return await move_threat(self._threats, row)
        return await self._tickets.update(row.body["incident"], row.channel)

    async def _retry_refused(self) -> None:
        """Try again what a system has refused, now and then: people mend permissions, fields and workflows."""
        while True:
            await asyncio.sleep(REFUSED_AGAIN)
            try:
                await for_tasks(self._context.database, self._enqueue_refused)
            except OUTAGE as error:
                log.warning("refused tickets are not tried: the database does not answer", error=str(error))

    def _enqueue_refused(self) -> None:
        with self._context.database.begin() as db:
            count = enqueue_refused(db, self._clock(), self.systems)
        if count:
            log.info("tickets whose update was refused are tried again", count=count)

    # polling tickets

    async def _poll_tickets(self) -> None:
        """Poll the open tickets, each once in `poll_seconds` by whichever process comes first."""
        assert self._settings.poll_seconds is not None
        while True:
            away: set[str] = set()  # systems that do not answer in this round
            try:
                for incident, kind in await for_tasks(self._context.database, self._due):
                    if kind not in away and not await self.poll(incident, kind):
                        away.add(kind)
            except OUTAGE as error:
                log.warning("tickets are not polled: the database does not answer", error=str(error))
            await asyncio.sleep(min(self._settings.poll_seconds / 4, 15.0))

    async def poll(self, incident: str, kind: str) -> bool:
        """Poll one ticket; whether its system answers."""
        try:
            await self._tickets.poll(incident, kind)
        except TryLater as error:
            log.warning("a ticket system does not answer; its tickets are polled later", system=kind, error=str(error))
            return False
        except Exception as error:  # noqa: BLE001  (one odd ticket must not end the polling of all others; logged)
            words = f"{type(error).__name__}: {error}"
            log.warning("a ticket cannot be read; the others are polled", incident=incident, system=kind, error=words)
        return True

    def _due(self) -> list[tuple[str, str]]:
        with self._context.database.begin() as db:
            return self._claim_due(db)

    def _claim_due(self, db: Connection) -> list[tuple[str, str]]:
        """Claim tickets to read. One that a change of its incident holds just now is left out: to wait for it while
        others are held could be to wait for each other.
        """
        mirrors, incidents = tables.mirrors, tables.incidents
        now = self._clock()
        # One read after now was read by another clock, or before this one was set back.
        due = or_(mirrors.c.polled_at <= now - (self._settings.poll_seconds or 0.0), mirrors.c.polled_at > now)
        open_or_fresh = or_(
            incidents.c.state.in_([state.value for state in OPEN_INCIDENT]),
            and_(incidents.c.state == IncidentState.RESOLVED.value, incidents.c.resolved_at >= now - POLLED_AFTER),
        )
        found = db.execute(
            select(mirrors.c.incident, mirrors.c.system)
            .join(incidents, incidents.c.id == mirrors.c.incident)
            .where(
                mirrors.c.ticket_key.is_not(None),
                mirrors.c.system.in_(list(self.systems)),
                due,
                open_or_fresh,
                ~mirrors.c.ended,
            )
            .order_by(mirrors.c.polled_at)
            .limit(_AT_ONCE)
            .with_for_update(of=mirrors, skip_locked=True)
        ).all()
        claimed = []
        for incident, kind in found:
            mine = and_(mirrors.c.incident == incident, mirrors.c.system == kind, due)
            if db.execute(update(mirrors).where(mine).values(polled_at=now)).rowcount == 1:
                claimed.append((incident, kind))
        return claimed


def _prepare(database: Engine, now: float) -> None:
    """Create the tables, and try once more what a system refused: its reason may have been a setting, since changed."""
    tables.make_tables(database)
    with database.begin() as db:
        outbox.retry_refused(db, consumer=CONSUMER, now=now)
