"""One incident and its ticket at a stand-in: real connectors, real tables, a clock of the test, and no sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import cache, partial
from typing import Any

import httpx
import sqlalchemy as sa

from brain.charter import IncidentState, Severity
from brain.connectors.jira import Jira
from brain.connectors.sender import Refused, RetryPolicy, Sender, TryLater
from brain.connectors.servicenow import ServiceNow
from brain.demo.stand_ins import StandIns
from brain.incidents import tables
from brain.incidents.models import Incident, IncidentChange
from brain.incidents.repository import find_document, find_incident
from brain.incidents.settings import IncidentSettings
from brain.incidents.tasks import REFUSED_AGAIN
from brain.incidents.ticket_queue import enqueue_refused
from brain.incidents.ticket_sync import TicketSync
from brain.incidents.transaction import IncidentTransaction
from brain.kit import outbox
from brain.kit.database import create_tables
from brain.kit.outbox import claims
from support.alerting import copied, memory, renewed
from support.clock import Clock
from support.incident_house import mirrored
from support.vendors import jira_settings, servicenow_settings

URL = "https://stand-ins"


@cache
def with_tables() -> sa.Engine:
    """A database in memory with the tables of incidents."""
    engine = memory()
    for metadata in (tables.metadata, outbox.metadata):
        create_tables(engine, metadata)
    return engine


async def at_once(_: float) -> None:
    """No waiting: the clock is the test's."""


class World:
    """One incident and its ticket in one system."""

    def __init__(self, kind: str, stand_ins: StandIns, sender: Sender, *, again: bool = False, **settings: Any) -> None:
        """`again`: in the one database that each round of a test uses in turn."""
        self.kind = kind
        self.stand_ins = stand_ins
        self.clock = Clock()
        self.engine = renewed(with_tables()) if again else copied(with_tables())
        made = {"jira": jira_settings, "servicenow": servicenow_settings}[kind](URL, **settings)
        table = {name: value for name, value in mirrored(URL).items() if name not in ("jira", "servicenow")}
        self.settings = IncidentSettings(**table, **{kind: made})
        self.system: Any = {"jira": Jira, "servicenow": ServiceNow}[kind](made, sender)
        self.sync = TicketSync(self.engine, self.settings, {kind: self.system}, self.clock, at_once)
        self._refused_again = self.clock() + REFUSED_AGAIN
        with self.engine.begin() as db:
            opening = IncidentChange(self.clock(), "it began", "ann")
            self.id = self._transaction(db).open("s1", "wrong invoices", Severity.HIGH, opening).id

    def _transaction(self, db: sa.Connection) -> IncidentTransaction:
        self.clock.advance(1)
        return IncidentTransaction(db, self.settings, self.clock())

    def change(self, work: Callable[[IncidentTransaction, Incident], object]) -> None:
        with self.engine.begin() as db:
            incident = find_incident(db, self.id)
            assert incident is not None
            work(self._transaction(db), incident)

    def move(self, state: str, note: str = "because") -> None:
        self.change(
            lambda work, incident: work.move(
                incident, IncidentState(state), IncidentChange(self.clock(), f"{note} {self.clock():.0f}", "ann")
            )
        )

    def note(self, text: str) -> None:
        self.change(lambda work, incident: work.note(incident, text, "ann"))

    def worsen(self) -> None:
        self.change(
            lambda work, incident: work.raise_severity(
                incident, Severity.CRITICAL, IncidentChange(self.clock(), "it got worse")
            )
        )

    async def update(self) -> Mapping[str, Any]:
        return await self.sync.update(self.id, self.kind)

    async def pass_time(self, seconds: float, step: float = 10.0) -> None:
        """Send what waits in the outbox as the tasks of incidents do: refused updates are tried again, too."""
        for _ in range(round(seconds / step)):
            self.clock.advance(step)
            if self.clock() >= self._refused_again:
                self._refused_again = self.clock() + REFUSED_AGAIN
                with self.engine.begin() as db:
                    enqueue_refused(db, self.clock(), [self.kind])
            while (row := self._claimed()) is not None:
                await self._send(row)

    def _claimed(self) -> outbox.OutboxRow | None:
        with self.engine.begin() as db:
            return claims.claim(db, "incidents", self.kind, "test", self.clock(), 100.0)

    async def _send(self, row: outbox.OutboxRow) -> None:
        try:
            answer = await self.update()
        except Refused as error:
            settle = partial(claims.mark_refused, row=row, token="test", error=str(error))
        except TryLater as error:
            due_at = self.clock() + max(min(60.0, 2.0 ** min(row.attempts, 30)), error.retry_after or 0.0)
            settle = partial(claims.postpone, row=row, token="test", error=str(error), due_at=due_at)
        else:
            settle = partial(claims.mark_sent, row=row, token="test", answer=answer, now=self.clock())
        with self.engine.begin() as db:
            assert settle(db)

    @property
    def tickets(self) -> dict[str, Any]:
        """Those of the system, as the stand-in has them."""
        return self.stand_ins.jira.issues if self.kind == "jira" else self.stand_ins.servicenow.incidents

    @property
    def document(self) -> dict[str, Any]:
        found = find_document(self.engine, self.id)
        assert found is not None
        return found

    @property
    def mirror(self) -> dict[str, Any]:
        (found,) = self.document["mirrors"]
        return dict(found)

    def events(self) -> list[str]:
        with self.engine.begin() as db:
            rows = db.execute(sa.select(outbox.events.c.data).order_by(outbox.events.c.id)).scalars()
            return [row.decode().partition('"type":"')[2].partition('"')[0] for row in rows]


@asynccontextmanager
async def world(
    kind: str, trouble: Callable[[httpx.AsyncBaseTransport], httpx.AsyncBaseTransport] | None = None, **settings: Any
) -> AsyncIterator[World]:
    """`trouble` may put a network of its own before the stand-ins."""
    stand_ins = StandIns()
    network: httpx.AsyncBaseTransport = httpx.ASGITransport(app=stand_ins.app)
    async with (
        Sender(RetryPolicy(attempts=1)) as sender,
        httpx.AsyncClient(transport=network if trouble is None else trouble(network)) as client,
    ):
        sender.__dict__["_client"] = client
        yield World(kind, stand_ins, sender, **settings)
