"""The work of the consumer: the projection, the outbox's dispatcher, and the looks at tickets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from prometheus_client.core import Metric
from sqlalchemy import Connection, Engine, and_, or_, select, update

from brain.charter import Event
from brain.charter import IncidentState as State
from brain.connectors.jira import Jira
from brain.connectors.sender import RetryPolicy, Sender, TryLater
from brain.connectors.servicenow import ServiceNow
from brain.connectors.tickets import Desk
from brain.errors import Unavailable
from brain.incidents import tables
from brain.incidents.announcing import CONSUMER, STREAM
from brain.incidents.projector import PATTERN, Taking
from brain.incidents.settings import IncidentSettings
from brain.incidents.threat_moves import THREATS, move_threat
from brain.incidents.tickets import Tickets
from brain.kit import outbox
from brain.kit.database import OUTAGE, create_tables
from brain.kit.projection import Projection
from brain.lifecycle import OPEN_INCIDENT as OPEN
from brain.logs import Log
from brain.plugins import PluginContext
from brain.threats import ThreatService

log = Log("brain.incidents")

GROUP = "brain.incidents"
LOOKED_AFTER = 14 * 86_400.0
"""Seconds after its resolution for which an incident's tickets are still looked at."""
_AT_ONCE = 100  # tickets of one round of looks
_STORED_WITHIN = 30.0  # seconds
_RETRIES = RetryPolicy(attempts=2, max_wait=2.0)


class IncidentWork:
    """Everything that runs for incidents in one process."""

    def __init__(
        self, context: PluginContext, desks: Mapping[str, Desk], clock: Callable[[], float], wait: float = 1.0
    ) -> None:
        settings = context.table(IncidentSettings)
        self._context = context
        self._settings = settings
        self._clock = clock
        self._threats = ThreatService(context.stream, context.store, clock)
        self._tickets = Tickets(context.database, settings, desks, clock, self.nudge)
        self._desks = desks
        self._dispatcher = outbox.Dispatcher(
            context.database,
            CONSUMER,
            self._deliver,
            options=outbox.DispatchOptions(
                per_minute=None,
                channel_per_minute=dict.fromkeys(desks, settings.per_minute),
                timeout=settings.lease_seconds * 0.75,
                lease=settings.lease_seconds,
                wait=wait,
            ),
            clock=clock,
        )
        taking = Taking(settings, clock)
        self._projection = Projection(
            context, GROUP, taking.apply, pattern=PATTERN, committed=self.nudge, former="incidents"
        )

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        context: PluginContext,
        clock: Callable[[], float] = time.time,
        wait: float = 1.0,
        patience: RetryPolicy = _RETRIES,
    ) -> AsyncIterator[IncidentWork]:
        """The work, with its tables made and its connections given back at the end.

        `wait` is in seconds: before what failed is tried again; it doubles with every further try. `patience` is for
        one request in line.
        """
        await asyncio.to_thread(_prepare, context.database, clock())
        async with AsyncExitStack() as stack:
            sender = await stack.enter_async_context(Sender(patience, clock=clock))
            yield cls(context, _desks(context.table(IncidentSettings), sender), clock, wait)

    @property
    def loops(self) -> Sequence[Callable[[], Coroutine[Any, Any, None]]]:
        """What runs until it is cancelled."""
        looks = [self._look_around] if self._desks and self._settings.poll_seconds is not None else []
        return [self._projection.run, self._dispatcher.run, *looks]

    def families(self) -> Sequence[Metric]:
        """What this consumer adds to `/metrics`. Blocks."""
        return outbox.outbox_metrics(self._dispatcher)

    def nudge(self) -> None:
        """The outbox may have new rows."""
        self._dispatcher.nudge()

    async def _deliver(self, row: outbox.OutboxRow) -> Mapping[str, Any]:
        match row.channel:
            case channel if channel == STREAM:
                return await self._publish(row)
            case channel if channel == THREATS:
                return await move_threat(self._threats, row)
            case channel:
                return await self._tickets.bring_up_to_date(row.body["incident"], channel)

    async def _publish(self, row: outbox.OutboxRow) -> Mapping[str, Any]:
        """Publish the row's event and wait until it is stored; a second time it is the same event."""
        receipt = self._context.stream.publish(Event.decode(row.body["event"]))
        try:
            async with asyncio.timeout(_STORED_WITHIN):
                return {"position": await receipt}
        except TimeoutError as error:
            raise Unavailable("the event is journalled, and not yet stored in the stream") from error

    # looking at tickets

    async def _look_around(self) -> None:
        """Look at the open tickets, each once in `poll_seconds` by whichever process comes first."""
        assert self._settings.poll_seconds is not None
        while True:
            away: set[str] = set()  # systems that do not answer in this round
            try:
                for incident, system in await asyncio.to_thread(self._due):
                    if system not in away and not await self.look(incident, system):
                        away.add(system)
            except OUTAGE as error:
                log.warning("tickets are not looked at: the database does not answer", error=str(error))
            await asyncio.sleep(min(self._settings.poll_seconds / 4, 15.0))

    async def look(self, incident: str, system: str) -> bool:
        """Look at one ticket; whether its system answers."""
        try:
            await self._tickets.look(incident, system)
        except TryLater as error:
            log.warning("a ticket system does not answer", system=system, error=str(error))
            return False
        except Exception as error:  # noqa: BLE001  (one odd ticket must not end the looks at all others; logged)
            log.warning(
                "a ticket cannot be looked at",
                incident=incident,
                system=system,
                error=f"{type(error).__name__}: {error}",
            )
        return True

    def _due(self) -> list[tuple[str, str]]:
        with self._context.database.begin() as db:
            return self._claim_looks(db)

    def _claim_looks(self, db: Connection) -> list[tuple[str, str]]:
        mirrors, incidents = tables.mirrors, tables.incidents
        now = self._clock()
        due = mirrors.c.polled_at <= now - (self._settings.poll_seconds or 0.0)
        lively = or_(
            incidents.c.state.in_([state.value for state in OPEN]),
            and_(incidents.c.state == State.RESOLVED.value, incidents.c.resolved_at >= now - LOOKED_AFTER),
        )
        found = db.execute(
            select(mirrors.c.incident, mirrors.c.system)
            .join(incidents, incidents.c.id == mirrors.c.incident)
            .where(mirrors.c.key.is_not(None), mirrors.c.system.in_(list(self._desks)), due, lively)
            .order_by(mirrors.c.polled_at)
            .limit(_AT_ONCE)
        ).all()
        claimed = []
        for incident, system in found:
            mine = and_(mirrors.c.incident == incident, mirrors.c.system == system, due)
            if db.execute(update(mirrors).where(mine).values(polled_at=now)).rowcount == 1:
                claimed.append((incident, system))
        return claimed


def _prepare(database: Engine, now: float) -> None:
    """Make the tables; what a system refused for good may have been the settings' fault, and is tried once more."""
    make_tables(database)
    with database.begin() as db:
        outbox.retry_refused(db, consumer=CONSUMER, now=now)


def make_tables(database: Engine) -> None:
    """Make the tables of incidents, and the outbox, where they are missing."""
    create_tables(database, tables.metadata)
    create_tables(database, outbox.metadata)


def _desks(settings: IncidentSettings, sender: Sender) -> dict[str, Desk]:
    """The systems that are set up."""
    desks: dict[str, Desk] = {}
    if settings.jira is not None:
        desks["jira"] = Jira(sender, settings.jira)
    if settings.servicenow is not None:
        desks["servicenow"] = ServiceNow(sender, settings.servicenow)
    return desks
