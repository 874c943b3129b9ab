"""Bringing one ticket up to date: created if it is not, its state heard, comments added, its state set.

What is to be sent is worked out from the incident as it is now, so that this may be done at any time and any number of
times. Before each step whose answer may be lost, what was begun is committed; when it was not seen to end, the system
is asked whether it was done: no issue is created twice and no comment added twice.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, Row, select, update

from brain.connectors.sender import Refused, TryLater
from brain.consumers.incidents import tables, texts
from brain.consumers.incidents.ledger import Ledger, Why, find_incident
from brain.consumers.incidents.mirroring import enqueue
from brain.consumers.incidents.models import MOVES, Incident, State, heeded, way
from brain.consumers.incidents.settings import IncidentSettings
from brain.consumers.incidents.systems import Draft, Standing, System, Ticket
from brain.logs import Log

log = Log("brain.incidents")

T = TypeVar("T")

_STEP = 2.0  # seconds between two searches for a ticket that may have been created


@dataclass(frozen=True, slots=True)
class _Job:
    """An incident and its ticket as they were read in one transaction."""

    incident: Incident
    mirror: Row[Any]
    last_entry: int

    @property
    def ticket(self) -> Ticket | None:
        mirror = self.mirror
        return None if mirror.key is None else Ticket(mirror.key, mirror.handle or mirror.key, mirror.url or "")


class Tickets:
    """Brings tickets up to date. `clock` gives Unix seconds; `changed` is called when the outbox may have new rows."""

    def __init__(
        self,
        database: Engine,
        settings: IncidentSettings,
        systems: Mapping[str, System],
        clock: Callable[[], float],
        changed: Callable[[], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._database = database
        self._settings = settings
        self._systems = systems
        self._clock = clock
        self._changed = changed
        self._sleep = sleep

    async def bring_up_to_date(self, incident: str, name: str) -> Mapping[str, Any]:
        """Do all that the ticket of this incident in this system needs; what was done, for the outbox's row.

        Raises Refused and TryLater after noting them at the mirror.
        """
        system = self._systems.get(name)
        if system is None:
            return {"note": f"{name} is not set up any more"}
        try:
            done = await self._work(incident, system)
        except (Refused, TryLater) as error:
            await self._note(incident, system, error=str(error)[:1000])
            raise
        await self._note(incident, system, error=None)
        self._changed()
        return done

    async def look(self, incident: str, name: str) -> None:
        """Hear the ticket's state, and nothing else. Raises Refused and TryLater."""
        system = self._systems[name]
        job = await self._read(incident, system)
        if job.ticket is not None and (standing := await system.look(job.ticket)) is not None:
            await self._hear(job, system, standing)
            self._changed()

    async def _work(self, incident: str, system: System) -> Mapping[str, Any]:
        job = await self._begin(incident, system)
        done: list[str] = []
        if job.ticket is None:
            job = await self._create(job, system)
            done.append("created")
        ticket = job.ticket
        assert ticket is not None
        standing = await system.look(ticket)
        if standing is None:
            raise Refused(system.name, 404, f"the ticket {ticket.key} is not there any more")
        job = await self._hear(job, system, standing)
        if standing.state is State.CLOSED:
            if not job.incident.open:
                return {"key": ticket.key, "done": done}
            # It was closed there while the incident was open again here: a closed ticket is left alone.
            await self._start_anew(job, system)
            return await self._work(incident, system)
        if await self._comment(job, system, ticket):
            done.append("commented")
        if State(job.mirror.shown) is not job.incident.state:
            await self._set_state(job, system, ticket)
            done.append(job.incident.state)
        return {"key": ticket.key, "done": done}

    # creating

    async def _create(self, job: _Job, system: System) -> _Job:
        incident, mirror = job.incident, job.mirror
        reference = reference_of(incident.id, mirror.generation)
        ticket = await system.find(reference)
        noted = job.last_entry
        if mirror.creating_at is not None:
            noted = mirror.noting or 0
            until = mirror.creating_at + system.settle_seconds
            while ticket is None and (left := until - self._clock()) > 0:
                await self._sleep(min(left, _STEP))
                ticket = await system.find(reference)
        if ticket is None:
            noted = job.last_entry
            await self._note(incident.id, system, creating_at=self._clock(), noting=noted)
            text = await self._in_transaction(lambda db: texts.description(db, incident, noted))
            ticket = await system.create(Draft(reference, texts.title(incident), text, incident.severity))
        await self._note(
            incident.id,
            system,
            key=ticket.key,
            handle=ticket.handle,
            url=ticket.url,
            creating_at=None,
            noting=None,
            noted=noted,
            noted_at=self._clock(),
            polled_at=self._clock(),
        )
        return await self._read(incident.id, system)

    async def _start_anew(self, job: _Job, system: System) -> None:
        log.info("a ticket was closed elsewhere; making another", incident=job.incident.id, ticket=job.mirror.key)
        await self._note(
            job.incident.id,
            system,
            generation=job.mirror.generation + 1,
            key=None,
            handle=None,
            url=None,
            remote=None,
            shown=State.NEW.value,
            creating_at=None,
            noting=None,
        )

    # hearing

    async def _hear(self, job: _Job, system: System, standing: Standing) -> _Job:
        """Take over where the ticket stands, unless it was set or heard by another since the job was read."""

        def hear(db: Connection) -> _Job:
            now = _read(db, job.incident.id, system.name)
            before = now.mirror
            if (before.remote, before.shown, before.key) != (job.mirror.remote, job.mirror.shown, job.mirror.key):
                return now
            if before.remote == standing.words:
                return now
            # Where a workflow begins is no news; that a ticket is done already, when it is first looked at, is.
            news = before.remote is not None or standing.state in (State.RESOLVED, State.CLOSED)
            shown = standing.state if news else State.NEW
            _set(db, job.incident.id, system.name, remote=standing.words, shown=shown.value)
            if news:
                self._heed(db, now.incident, State(before.shown), standing, before)
            return _read(db, job.incident.id, system.name)

        return await self._in_transaction(hear)

    def _heed(self, db: Connection, incident: Incident, shown: State, standing: Standing, mirror: Row[Any]) -> None:
        target = heeded(incident.state, shown, standing.state)
        if target is None:
            return
        ledger = Ledger(db, self._settings, self._clock())
        what = f"{mirror.key} is {standing.words} in {mirror.system}"
        steps = way(MOVES, incident.state, target)
        if not steps:
            ledger.add(
                incident, ledger.now, "ticket", Why(f"{what}; the incident stays {incident.state}", mirror.system)
            )
        for step in steps:
            incident = ledger.move(incident, step, ledger.now, Why(what, mirror.system))

    # telling

    async def _comment(self, job: _Job, system: System, ticket: Ticket) -> bool:
        """Add what the timeline has that the ticket has not, unless the last comment is too fresh."""
        incident, mirror = job.incident, job.mirror
        noted = mirror.noted
        if mirror.noting is not None and mirror.noting > noted:
            if await system.has_comment(ticket, texts.marker(incident, mirror.noting)):
                noted = mirror.noting
            await self._note(incident.id, system, noting=None, noted=noted)
        text = await self._in_transaction(
            lambda db: texts.comment(db, incident, noted, job.last_entry, without_by=system.name)
        )
        if text is None:
            return False
        early = self._clock() < mirror.noted_at + self._settings.comment_seconds
        if early and State(mirror.shown) is incident.state:
            wait = self._settings.comment_seconds
            await self._in_transaction(
                lambda db: enqueue(db, incident.id, self._clock(), wait, urgent=False, system=system.name)
            )
            return False
        await self._note(incident.id, system, noting=job.last_entry)
        await system.comment(ticket, text)
        await self._note(incident.id, system, noting=None, noted=job.last_entry, noted_at=self._clock())
        return True

    async def _set_state(self, job: _Job, system: System, ticket: Ticket) -> None:
        incident = job.incident
        text = await self._in_transaction(lambda db: texts.last_reason(db, incident))
        standing = await system.move(ticket, incident.state, text)
        await self._note(incident.id, system, remote=standing.words, shown=incident.state.value)

    # the database

    async def _begin(self, incident: str, system: System) -> _Job:
        """The job; changes made from now on put up a row of their own."""

        def begin(db: Connection) -> _Job:
            job = _read(db, incident, system.name)
            _set(db, incident, system.name, pending=False)
            return job

        return await self._in_transaction(begin)

    async def _read(self, incident: str, system: System) -> _Job:
        return await self._in_transaction(lambda db: _read(db, incident, system.name))

    async def _note(self, incident: str, system: System, **values: Any) -> None:
        await self._in_transaction(lambda db: _set(db, incident, system.name, **values))

    async def _in_transaction(self, work: Callable[[Connection], T]) -> T:
        def transaction() -> T:
            with self._database.begin() as db:
                return work(db)

        return await asyncio.to_thread(transaction)


def reference_of(incident: str, generation: int) -> str:
    """What an incident's ticket is found by: a label in Jira, the correlation_id in ServiceNow (at most 100 there)."""
    return f"brain-{hashlib.sha256(f'{incident} {generation}'.encode()).hexdigest()[:32]}"


def _read(db: Connection, incident: str, system: str) -> _Job:
    found = find_incident(db, incident)
    assert found is not None, "rows of the outbox are put with their incident"
    mirrors, timeline = tables.mirrors, tables.timeline
    mirror = db.execute(
        select(mirrors).where(mirrors.c.incident == incident, mirrors.c.system == system).with_for_update()
    ).one()
    last = select(timeline.c.id).where(timeline.c.incident == incident).order_by(timeline.c.id.desc()).limit(1)
    return _Job(found, mirror, db.execute(last).scalar() or 0)


def _set(db: Connection, incident: str, system: str, **values: Any) -> None:
    table = tables.mirrors
    db.execute(update(table).where(table.c.incident == incident, table.c.system == system).values(**values))
