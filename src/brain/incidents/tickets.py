"""Bringing one ticket up to date: made if it is not there, its state heard, comments added, its state set.

What is to be sent is worked out from the incident as it is now, so that this may be done at any time and any number of
times. Every call of a Desk is safe to repeat; what a repeated call must be the same in (which note, from where) is
committed before it is first made. So no issue is created twice, and no comment added twice, whoever is killed when.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, Row, select, update

from brain.charter import IncidentState as State
from brain.connectors.sender import Refused, TryLater
from brain.connectors.tickets import Desk, NewTicket, Ticket
from brain.errors import BrainError
from brain.incidents import tables, texts
from brain.incidents.mirroring import enqueue
from brain.incidents.models import Incident, heeded
from brain.incidents.settings import IncidentSettings
from brain.incidents.transaction import Ledger, Why, find_incident
from brain.lifecycle import INCIDENT_MOVES as MOVES
from brain.logs import Log

log = Log("brain.incidents")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Job:
    """An incident and its ticket in one system, as they were read in one transaction."""

    incident: Incident
    mirror: Row[Any]
    last_entry: int
    """The newest entry of the incident's timeline."""

    @property
    def system(self) -> str:
        """The system's name."""
        return str(self.mirror.system)


class Tickets:
    """Brings tickets up to date. `clock` gives Unix seconds; `changed` is called when the outbox may have new rows."""

    def __init__(
        self,
        database: Engine,
        settings: IncidentSettings,
        desks: Mapping[str, Desk],
        clock: Callable[[], float],
        changed: Callable[[], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._database = database
        self._settings = settings
        self._desks = desks
        self._clock = clock
        self._changed = changed
        self._sleep = sleep

    async def bring_up_to_date(self, incident: str, system: str) -> Mapping[str, Any]:
        """Do all that the ticket of this incident in this system needs; what was done, for the outbox's row.

        Raises Refused, TryLater, and InvalidInput for a secret that is not there, after noting it at the mirror.
        """
        desk = self._desks.get(system)
        if desk is None:
            return {"note": f"{system} is not set up any more"}
        job = await self._begin(incident, system)
        try:
            done = await self._work(job, desk)
        except BrainError as error:
            await self._note(job, error=str(error)[:1000])
            raise
        await self._note(job, error=None)
        self._changed()
        return done

    async def look(self, incident: str, system: str) -> None:
        """Hear where the ticket stands, and nothing else. Raises Refused and TryLater."""
        job = await self._in_transaction(lambda db: _read(db, incident, system))
        if job.mirror.handle is not None:
            await self._hear(job, await self._desks[system].read(job.mirror.handle))
            self._changed()

    async def _work(self, job: Job, desk: Desk) -> Mapping[str, Any]:
        done: list[str] = []
        if job.mirror.handle is None:
            job = await self._make(job, desk)
            done.append("made")
        ticket = await desk.read(job.mirror.handle)
        job = await self._hear(job, ticket)
        if ticket["state"] == State.CLOSED:
            if not job.incident.open:
                return {"key": ticket["key"], "done": done}
            # It was closed there while the incident was open again here: a closed ticket is never touched.
            return await self._work(await self._start_anew(job), desk)
        if await self._comment(job, desk):
            done.append("commented")
        if State(job.mirror.shown) is not job.incident.state:
            await self._show_state(job, desk)
            done.append(job.incident.state)
        return {"key": ticket["key"], "done": done}

    # making the ticket

    async def _make(self, job: Job, desk: Desk) -> Job:
        incident, mirror = job.incident, job.mirror
        if mirror.making_since is not None:
            # A process died while it made the ticket, and the system's search may not show it yet.
            left = mirror.making_since + self._settings.settle_seconds(job.system) - self._clock()
            await self._sleep(max(0.0, left))
        noted = job.last_entry if mirror.noting is None else mirror.noting
        await self._note(job, making_since=self._clock(), noting=noted)
        text = await self._in_transaction(lambda db: texts.description(db, incident, noted))
        wanted = NewTicket(
            incident_id=incident.id if mirror.generation == 1 else f"{incident.id}.{mirror.generation}",
            title=texts.title(incident),
            description=text,
            severity=incident.severity,
        )
        try:
            ticket = await desk.ensure(wanted)
        except (Refused, TryLater):
            await self._note(job, making_since=None)  # the desk has asked for the time it needs
            raise
        return await self._in_transaction(lambda db: self._keep(db, job, ticket, noted))

    def _keep(self, db: Connection, job: Job, ticket: Ticket, noted: int) -> Job:
        """Note which ticket it is; `noted` is the last entry of the timeline in its description."""
        incident = _read(db, job.incident.id, job.system).incident
        now = self._clock()
        _set(
            db,
            job,
            key=ticket["key"],
            handle=ticket["id"],
            url=ticket["url"],
            making_since=None,
            noting=None,
            noted=noted,
            noted_at=now,
            polled_at=now,
        )
        what = Why(f"{ticket['key']} was {'made' if ticket['changed'] else 'found'} in {job.system}", job.system)
        Ledger(db, self._settings, now).add(incident, now, "ticket", what, tell=False)
        return _read(db, job.incident.id, job.system)

    async def _start_anew(self, job: Job) -> Job:
        """Forget the ticket; the next one is found by a key of its own."""
        log.info("a ticket was closed elsewhere; making another", incident=job.incident.id, ticket=job.mirror.key)
        empty = dict.fromkeys(("key", "handle", "url", "remote", "making_since", "noting"))
        await self._note(job, generation=job.mirror.generation + 1, shown=State.NEW.value, **empty)
        return await self._again(job)

    # hearing

    async def _hear(self, job: Job, ticket: Ticket) -> Job:
        """Take over where the ticket stands, unless it was set or heard by another since the job was read."""

        def hear(db: Connection) -> Job:
            now = _read(db, job.incident.id, job.system)
            before = now.mirror
            if (before.remote, before.shown, before.key) != (job.mirror.remote, job.mirror.shown, job.mirror.key):
                return now
            if before.remote == ticket["status"]:
                return now
            told = State(ticket["state"])
            # Where a workflow begins is no news; that a ticket is done already, when it is first looked at, is.
            news = before.remote is not None or told in (State.RESOLVED, State.CLOSED)
            shown = told if news else State.NEW
            if news:
                unsent = now.incident.state != before.shown
                state = self._heed(db, now, ticket)
                # What somebody did to the ticket is left as it is, also where the incident cannot follow.
                shown = told if unsent else state
            _set(db, now, remote=ticket["status"], shown=shown.value)
            return _read(db, job.incident.id, job.system)

        return await self._in_transaction(hear)

    def _heed(self, db: Connection, job: Job, ticket: Ticket) -> State:
        """Move the incident as its ticket asks; its state after that."""
        incident = job.incident
        target = heeded(incident.state, State(job.mirror.shown), State(ticket["state"]))
        if target is None:
            return incident.state
        ledger = Ledger(db, self._settings, self._clock())
        what = f"{ticket['key']} is {ticket['status']} in {job.system}"
        steps = MOVES.shortest_path(incident.state, target)
        if not steps:
            why = Why(f"{what}; the incident stays {incident.state}", job.system)
            ledger.add(incident, ledger.now, "ticket", why)
        for step in steps:
            incident = ledger.move(incident, step, ledger.now, Why(what, job.system))
        return incident.state

    # telling

    async def _comment(self, job: Job, desk: Desk) -> bool:
        """Add what the timeline has that the ticket has not, unless the last comment is too fresh."""
        if job.mirror.noting is not None:
            job = await self._add_comment(job, desk, job.mirror.noting)  # perhaps added, and not noted
        text = await self._text(job, job.last_entry)
        if text is None:
            return False
        early = self._clock() < job.mirror.noted_at + self._settings.comment_seconds
        if early and State(job.mirror.shown) is job.incident.state:
            await self._in_transaction(
                lambda db: enqueue(
                    db,
                    job.incident.id,
                    self._clock(),
                    self._settings.comment_seconds,
                    urgent=False,
                    system=job.system,
                )
            )
            return False
        await self._note(job, noting=job.last_entry)
        await self._add_comment(job, desk, job.last_entry)
        return True

    async def _add_comment(self, job: Job, desk: Desk, upto: int) -> Job:
        text = await self._text(job, upto)
        if text is not None:
            await desk.note(job.mirror.handle, text, f"{job.incident.id}:{upto}")
        await self._note(job, noting=None, noted=upto, noted_at=self._clock())
        return await self._again(job)

    async def _text(self, job: Job, upto: int) -> str | None:
        return await self._in_transaction(
            lambda db: texts.comment(db, job.incident, job.mirror.noted, upto, without_by=job.system)
        )

    async def _show_state(self, job: Job, desk: Desk) -> None:
        incident = job.incident
        # Jira has the reason as a comment by now; ServiceNow wants it as the close notes.
        reason = await self._in_transaction(lambda db: texts.last_reason(db, incident))
        note = reason if job.system == "servicenow" and not incident.open else ""
        ticket = await desk.move(job.mirror.handle, incident.state.value, note)
        await self._note(job, remote=ticket["status"], shown=incident.state.value)

    # the database

    async def _begin(self, incident: str, system: str) -> Job:
        """The job; changes made from now on put up a row of their own."""

        def begin(db: Connection) -> Job:
            job = _read(db, incident, system)
            _set(db, job, pending=False)
            return job

        return await self._in_transaction(begin)

    async def _again(self, job: Job) -> Job:
        return await self._in_transaction(lambda db: _read(db, job.incident.id, job.system))

    async def _note(self, job: Job, **values: Any) -> None:
        await self._in_transaction(lambda db: _set(db, job, **values))

    async def _in_transaction(self, work: Callable[[Connection], T]) -> T:
        def transaction() -> T:
            with self._database.begin() as db:
                return work(db)

        return await asyncio.to_thread(transaction)


def _read(db: Connection, incident: str, system: str) -> Job:
    found = find_incident(db, incident)
    assert found is not None, "a row of the outbox is put with its incident"
    mirrors, timeline = tables.mirrors, tables.timeline
    mine = (mirrors.c.incident == incident) & (mirrors.c.system == system)
    last = select(timeline.c.id).where(timeline.c.incident == incident).order_by(timeline.c.id.desc()).limit(1)
    return Job(found, db.execute(select(mirrors).where(mine)).one(), db.execute(last).scalar() or 0)


def _set(db: Connection, job: Job, **values: Any) -> None:
    table = tables.mirrors
    mine = (table.c.incident == job.incident.id) & (table.c.system == job.system)
    db.execute(update(table).where(mine).values(**values))
