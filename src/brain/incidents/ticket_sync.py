"""The update of one ticket: created if it is not there, its state read, comments added, its state set.

The update is worked out from the incident as it is now, so it may run at any time and any number of times. Every call
of a TicketSystem may be repeated. What a repeated call must have in common with the first (up to which entry a comment
goes), and what a later read must not take for a person's doing (the state that is set), is committed before the first
call. So no ticket is created twice and no comment is added twice, whenever a process is killed. Comment, state and
severity are steps of their own: one that is refused holds up no other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, Row, select, update

from brain.charter import IncidentState
from brain.connectors.sender import NotYet, Refused, TryLater
from brain.connectors.tickets import GONE, NewTicket, Ticket, TicketSystem
from brain.errors import BrainError
from brain.incidents import tables, ticket_text
from brain.incidents.connections import note_found, note_lost
from brain.incidents.models import Incident, IncidentChange, next_state_from_ticket
from brain.incidents.repository import find_incident
from brain.incidents.settings import IncidentSettings
from brain.incidents.ticket_queue import enqueue
from brain.incidents.transaction import IncidentTransaction
from brain.kit.database_threads import for_tasks
from brain.lifecycle import INCIDENT_MOVES
from brain.logs import Log
from brain.times import due_after

log: Log = Log("brain.incidents")

T = TypeVar("T")

_ON_THE_WAY = (IncidentState.NEW, IncidentState.IN_PROGRESS)  # states that a workflow of several steps may pass


@dataclass(frozen=True, slots=True)
class TicketJob:
    """An incident and its ticket in one system, as they were read in one transaction."""

    incident: Incident
    mirror: Row[Any]
    last_entry: int
    """The newest entry of the incident's timeline."""

    @property
    def kind(self) -> str:
        """The kind of the ticket system."""
        return str(self.mirror.system)

    @property
    def is_shown(self) -> bool:
        """Whether the ticket shows the incident's state."""
        return IncidentState(self.mirror.shown) is self.incident.state

    def did_we(self, state: IncidentState) -> bool:
        """Whether the ticket may have this state by what we began to set: that state, or one on the way there."""
        return self.mirror.tried is not None and state in (self.mirror.tried, *_ON_THE_WAY)


class TicketSync:
    """Updates tickets. `clock` gives Unix seconds."""

    def __init__(
        self,
        database: Engine,
        settings: IncidentSettings,
        systems: Mapping[str, TicketSystem[Any]],
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._database = database
        self._settings = settings
        self._systems = systems
        self._clock = clock
        self._sleep = sleep

    async def update(self, incident: str, kind: str) -> Mapping[str, Any]:
        """Do all that the incident's ticket in this system needs; what was done, for the outbox's row.

        Raises Refused, TryLater, and InvalidInput for a secret that is not there, and stores it at the ticket.
        """
        system = self._systems.get(kind)
        if system is None:
            return {"note": f"the ticket system {kind} is no longer set up"}
        job = await self._begin(incident, kind)
        if job.mirror.ended:
            return {"note": "the mirror has ended"}
        try:
            done = await self._bring_up_to_date(job, system)
        except BrainError as error:
            failed = error
            await self._in_transaction(lambda db: self._note_failure(db, job, failed))
            raise
        await self._in_transaction(lambda db: self._note_success(db, job, done.get("warning")))
        return done

    def _note_failure(self, db: Connection, job: TicketJob, error: BrainError) -> None:
        _set(db, job, error=str(error)[:1000])
        note_lost(db, job.kind, error, self._clock())

    def _note_success(self, db: Connection, job: TicketJob, warning: str | None) -> None:
        _set(db, job, error=warning)
        note_found(db, job.kind, self._clock())

    async def poll(self, incident: str, kind: str) -> None:
        """Read the ticket's state and let the incident follow it, and nothing else.

        A ticket that is gone is left to `update`. Raises Refused and TryLater.
        """
        job = await self._in_transaction(lambda db: _read(db, incident, kind))
        if job.mirror.ticket_id is None or job.mirror.ended:
            return
        system = self._systems[kind]
        asked_at = self._clock()
        try:
            ticket, why = await self._read_ticket(job, system)
        except TryLater as error:
            failed = error
            await self._in_transaction(lambda db: note_lost(db, kind, failed, self._clock()))
            raise
        if why is not None:
            wait = self._settings.comment_seconds
            await self._in_transaction(lambda db: enqueue(db, incident, self._clock(), wait, urgent=True, system=kind))
        elif ticket is not None:
            after = await self._follow(job, ticket, asked_at)
            if after.mirror.shown != job.mirror.shown and not after.is_shown:
                await self._in_transaction(
                    lambda db: enqueue(db, incident, self._clock(), 0.0, urgent=False, system=kind)
                )
        await self._in_transaction(lambda db: note_found(db, kind, self._clock()))

    async def _read_ticket(self, job: TicketJob, system: TicketSystem[Any]) -> tuple[Ticket | None, str | None]:
        """The incident's ticket as it is now, and why it is one no more: gone, somebody else's, or cancelled."""
        key, kind = job.mirror.ticket_key, job.kind
        try:
            ticket = await system.read(job.mirror.ticket_id)
        except Refused as error:
            if error.service_status not in GONE:
                raise
            return None, f"{key} is gone from {kind}: it was deleted, or is hidden from the account ({error.words})"
        if not system.is_of(ticket, _name(job)):
            return None, f"{key} in {kind} is not this incident's: it does not carry its key"
        if ticket.get("archived"):
            return ticket, f"{key} was archived in {kind}, and can only be read there"
        if ticket.get("cancelled"):
            return ticket, f"{key} was cancelled in {kind} ({ticket['status']}), which settles nothing here"
        return ticket, None

    async def _bring_up_to_date(self, job: TicketJob, system: TicketSystem[Any]) -> Mapping[str, Any]:
        done: list[str] = []
        warning: str | None = None
        if was_made := job.mirror.ticket_id is None:
            job, warning = await self._create(job, system)
            done.append("made")
        asked_at = self._clock()
        ticket, why = await self._read_ticket(job, system)
        if ticket is None or why is not None:
            if was_made:
                raise Refused(job.kind, 404, f"{why}; it was just made, so no other one is made")
            return await self._go_on_without(job, system, why or "")
        job = await self._follow(job, ticket, asked_at)
        if ticket["state"] == IncidentState.CLOSED:
            if not job.incident.open:
                return {"key": ticket["key"], "done": done}
            # It was closed there while the incident was open again here: a closed ticket is never changed.
            return await self._bring_up_to_date(await self._replace(job), system)
        done += await self._take_steps(job, system)
        return {"key": ticket["key"], "done": done, **({"warning": warning} if warning else {})}

    async def _take_steps(self, job: TicketJob, system: TicketSystem[Any]) -> list[str]:
        """Comment, set the state, set the severity: each by itself, so that one that is refused holds up no other.

        A comment that was refused is tried again after the state was set: a ticket that is done may take none. Raises
        the first refusal when all was tried.
        """
        done: list[str] = []
        faults: dict[str, Refused | NotYet] = {}

        async def take(name: str, step: Callable[[], Awaitable[bool]]) -> None:
            try:
                if await step():
                    done.append(name)
                faults.pop(name, None)
            except (Refused, NotYet) as error:
                faults.setdefault(name, error)

        await take("commented", lambda: self._comment(job, system))
        if not job.is_shown:
            await take(job.incident.state, lambda: self._show_state(job, system))
            if "commented" in faults and job.incident.state in done:
                after = await self._reread(job)
                await take("commented", lambda: self._comment(after, system))
        await take("severity", lambda: self._show_severity(job, system))
        if faults:
            raise next(iter(faults.values()))
        return done

    # a ticket that is gone

    async def _go_on_without(self, job: TicketJob, system: TicketSystem[Any], why: str) -> Mapping[str, Any]:
        """Make another ticket, or end the mirror, as the settings say; the incident's timeline says it."""
        again = job.incident.open and self._settings.systems[job.kind].when_gone == "again"
        what = "another one is made" if again else f"the incident is no longer mirrored in {job.kind}"
        log.warning("a ticket is gone", incident=job.incident.id, ticket=job.mirror.ticket_key, why=why, what=what)

        def note(db: Connection) -> None:
            now = self._clock()
            incident = _read(db, job.incident.id, job.kind).incident
            transaction = IncidentTransaction(db, self._settings, now)
            transaction.add(incident, "ticket", IncidentChange(now, f"{why}; {what}", job.kind), comment=False)
            if not again:
                _set(db, job, ended=True)

        await self._in_transaction(note)
        if again:
            return await self._bring_up_to_date(await self._replace(job), system)
        return {"done": ["ended"], "warning": f"{why}; {what}"}

    # creating the ticket

    async def _create(self, job: TicketJob, system: TicketSystem[Any]) -> tuple[TicketJob, str | None]:
        incident, mirror = job.incident, job.mirror
        if mirror.creating_since is not None:
            # A process died while it created the ticket, and the system's search may not show it yet.
            now, settle = self._clock(), self._settings.systems[job.kind].settle_seconds
            await self._sleep(max(0.0, min(mirror.creating_since, now) + settle - now))  # the clock may be set back
        upto = job.last_entry if mirror.comment_begun is None else mirror.comment_begun
        await self._store(job, creating_since=self._clock(), comment_begun=upto)
        text = await self._in_transaction(lambda db: ticket_text.description(db, incident, upto))
        wanted = NewTicket(
            incident_id=_name(job),
            title=ticket_text.title(incident),
            description=text,
            severity=incident.severity,
        )
        try:
            ticket = await system.ensure(wanted)
        except (Refused, TryLater):
            await self._store(job, creating_since=None)  # the error has the time that the system needs
            raise
        created = await self._in_transaction(lambda db: self._store_created(db, job, ticket, upto))
        return created, ticket.get("warning")

    def _store_created(self, db: Connection, job: TicketJob, ticket: Ticket, upto: int) -> TicketJob:
        """Store which ticket it is; `upto` is the last entry of the timeline in its description."""
        incident = _read(db, job.incident.id, job.kind).incident
        now = self._clock()
        _set(
            db,
            job,
            ticket_key=ticket["key"],
            ticket_id=ticket["id"],
            url=ticket["url"],
            creating_since=None,
            comment_begun=None,
            commented=upto,
            commented_at=now,
            polled_at=now,
            severity=job.incident.severity.value if ticket["changed"] else None,
        )
        text = f"{ticket['key']} was {'created' if ticket['changed'] else 'found'} in {job.kind}"
        transaction = IncidentTransaction(db, self._settings, now)
        transaction.add(incident, "ticket", IncidentChange(now, text, job.kind), comment=False)
        return _read(db, job.incident.id, job.kind)

    async def _replace(self, job: TicketJob) -> TicketJob:
        """Forget a ticket that is closed; the next one is found by a key of its own."""
        log.info(
            "a ticket was closed in its system while its incident is open; another is created",
            incident=job.incident.id,
            ticket=job.mirror.ticket_key,
        )
        empty = dict.fromkeys(
            (
                *("ticket_key", "ticket_id", "url", "status", "creating_since", "comment_begun", "severity"),
                *("tried", "tried_at"),
            )
        )
        shown = IncidentState.NEW.value
        await self._store(job, generation=job.mirror.generation + 1, shown=shown, **empty)
        return await self._reread(job)

    # following the ticket's state

    async def _follow(self, job: TicketJob, ticket: Ticket, asked_at: float) -> TicketJob:
        """Let the incident follow the ticket's state, unless another process set or read it since the job was read.

        `asked_at`: the Unix time before the ticket was read.
        """

        def follow(db: Connection) -> TicketJob:
            now = _read(db, job.incident.id, job.kind)
            mirror, before = now.mirror, job.mirror
            known = (before.status, before.shown, before.ticket_key)
            if (mirror.status, mirror.shown, mirror.ticket_key) != known:
                return now
            if mirror.ticket_key != ticket["key"]:
                self._note_key(db, now, ticket)
            if mirror.status != ticket["status"]:
                _set(db, now, status=ticket["status"], shown=self._shown_after(db, now, ticket).value)
            if mirror.tried is not None and self._is_settled(now, asked_at):
                _set(db, now, tried=None, tried_at=None)
            return _read(db, job.incident.id, job.kind)

        return await self._in_transaction(follow)

    def _is_settled(self, job: TicketJob, asked_at: float) -> bool:
        """Whether a ticket that was read at that time shows what came of the state that we began to set last."""
        settle = self._settings.systems[job.kind].settle_seconds
        since: float = abs(asked_at - job.mirror.tried_at)  # either way: clocks are set back, too
        return since >= settle

    def _note_key(self, db: Connection, job: TicketJob, ticket: Ticket) -> None:
        """The ticket was moved to another project: it has another key, and another address."""
        _set(db, job, ticket_key=ticket["key"], url=ticket["url"])
        now = self._clock()
        change = IncidentChange(now, f"{job.mirror.ticket_key} is {ticket['key']} in {job.kind} now", job.kind)
        IncidentTransaction(db, self._settings, now).add(job.incident, "ticket", change, comment=False)

    def _shown_after(self, db: Connection, job: TicketJob, ticket: Ticket) -> IncidentState:
        """Move the incident where the ticket's state is news; the incident's state that the ticket then shows."""
        state = IncidentState(ticket["state"])
        if job.did_we(state):
            return state
        # The state that a workflow begins in is no news; that a ticket is done when it is first read, is.
        if job.mirror.status is None and state not in (IncidentState.RESOLVED, IncidentState.CLOSED):
            return IncidentState.NEW
        followed = self._move_incident(db, job, ticket)
        # A person's change of the ticket stays, also where the incident cannot follow it.
        return followed if job.is_shown else state

    def _move_incident(self, db: Connection, job: TicketJob, ticket: Ticket) -> IncidentState:
        """Move the incident as the ticket's state asks; the incident's state after that."""
        incident = job.incident
        target = next_state_from_ticket(incident.state, IncidentState(job.mirror.shown), IncidentState(ticket["state"]))
        if target is None:
            return incident.state
        transaction = IncidentTransaction(db, self._settings, self._clock())
        text = f"{ticket['key']} is {ticket['status']} in {job.kind}"
        steps = INCIDENT_MOVES.shortest_path(incident.state, target)
        if not steps:
            stays = IncidentChange(transaction.now, f"{text}; the incident stays {incident.state}", job.kind)
            transaction.add(incident, "ticket", stays)
        for step in steps:
            incident = transaction.move(incident, step, IncidentChange(transaction.now, text, job.kind))
        return incident.state

    # commenting, and setting the state

    async def _comment(self, job: TicketJob, system: TicketSystem[Any]) -> bool:
        """Add the entries that the ticket has not, unless its last comment is too recent."""
        if job.mirror.comment_begun is not None:
            job = await self._add_comment(job, system, job.mirror.comment_begun)  # perhaps added, and not recorded
        text = await self._text(job, job.last_entry)
        if text is None:
            return False
        now, wait = self._clock(), self._settings.comment_seconds
        if now < due_after(job.mirror.commented_at, wait, now) and job.is_shown:
            await self._in_transaction(
                lambda db: enqueue(db, job.incident.id, now, wait, urgent=False, system=job.kind)
            )
            return False
        await self._store(job, comment_begun=job.last_entry)
        await self._add_comment(job, system, job.last_entry)
        return True

    async def _add_comment(self, job: TicketJob, system: TicketSystem[Any], upto: int) -> TicketJob:
        text = await self._text(job, upto)
        if text is not None:
            await system.comment(job.mirror.ticket_id, text, f"{job.incident.id}:{upto}")
        await self._store(job, comment_begun=None, commented=upto, commented_at=self._clock())
        return await self._reread(job)

    async def _text(self, job: TicketJob, upto: int) -> str | None:
        return await self._in_transaction(
            lambda db: ticket_text.comment(db, job.incident, job.mirror.commented, upto, system=job.kind)
        )

    async def _show_state(self, job: TicketJob, system: TicketSystem[Any]) -> bool:
        incident = job.incident
        reason = await self._in_transaction(lambda db: ticket_text.last_reason(db, incident))
        await self._store(job, tried=incident.state.value, tried_at=self._clock())
        ticket = await system.move(job.mirror.ticket_id, incident.state, reason)
        await self._store(job, status=ticket["status"], shown=incident.state.value, tried=None, tried_at=None)
        return True

    async def _show_severity(self, job: TicketJob, system: TicketSystem[Any]) -> bool:
        """Let the ticket have the incident's severity, where that has changed since."""
        severity = job.incident.severity
        if job.mirror.severity == severity:
            return False
        changed = await system.set_severity(job.mirror.ticket_id, severity)
        await self._store(job, severity=severity.value)
        return changed

    # the database

    async def _begin(self, incident: str, kind: str) -> TicketJob:
        """The job; changes made from now on queue an update of their own."""

        def begin(db: Connection) -> TicketJob:
            job = _read(db, incident, kind)
            _set(db, job, queued=False)
            return job

        return await self._in_transaction(begin)

    async def _reread(self, job: TicketJob) -> TicketJob:
        return await self._in_transaction(lambda db: _read(db, job.incident.id, job.kind))

    async def _store(self, job: TicketJob, **values: Any) -> None:
        await self._in_transaction(lambda db: _set(db, job, **values))

    async def _in_transaction(self, work: Callable[[Connection], T]) -> T:
        def transaction() -> T:
            with self._database.begin() as db:
                return work(db)

        return await for_tasks(self._database, transaction)


def _name(job: TicketJob) -> str:
    """The id that the ticket is made and found with: the incident's, with a number for each further ticket."""
    generation = job.mirror.generation
    return job.incident.id if generation == 1 else f"{job.incident.id}.{generation}"


def _read(db: Connection, incident: str, kind: str) -> TicketJob:
    found = find_incident(db, incident)
    assert found is not None, "a row of the outbox is put with its incident"
    mirrors, timeline = tables.mirrors, tables.timeline
    mine = (mirrors.c.incident == incident) & (mirrors.c.system == kind)
    last = select(timeline.c.id).where(timeline.c.incident == incident).order_by(timeline.c.id.desc()).limit(1)
    return TicketJob(found, db.execute(select(mirrors).where(mine)).one(), db.execute(last).scalar() or 0)


def _set(db: Connection, job: TicketJob, **values: Any) -> None:
    table = tables.mirrors
    mine = (table.c.incident == job.incident.id) & (table.c.system == job.kind)
    db.execute(update(table).where(mine).values(**values))
