"""Incidents in one transaction: read with a lock, changed, noted in their timeline, announced, and queued for tickets.

The projector and the commands of people both work through an IncidentTransaction. So nothing changes an incident
without its timeline, its event and its tickets following in the same commit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, Table, func, insert, select, update

from brain.charter import Event, IncidentState, Severity
from brain.incidents import tables
from brain.incidents.announce import Announcement
from brain.incidents.models import Incident, IncidentChange, incident_id, moved, worst
from brain.incidents.repository import incident_of
from brain.incidents.settings import IncidentSettings
from brain.incidents.threat_moves import put_threat_moves
from brain.incidents.ticket_queue import add_tickets, enqueue
from brain.kit.sql import insert_into, one_of
from brain.text import clip_text

MOST_ENTRIES = 500
"""Entries of one timeline; beyond them, repetitions are counted in the entries there are."""
MOST_EVENTS = 1000
"""Events that are linked to one incident."""
_MOST_THREATS = 20  # ids of threats in an event about an incident
_ALIKE_WITHIN = 60.0  # seconds
_OVERFLOW = "further events"


class IncidentTransaction:
    """Reads and changes incidents inside the transaction of `db`. `now` is the Unix time of the transaction."""

    def __init__(self, db: Connection, settings: IncidentSettings, now: float) -> None:
        self.db = db
        self.now = now
        self._settings = settings
        self._current: dict[str, Incident | None] = {}
        self._entries: dict[str, int] = {}
        self._links: dict[str, int] = {}

    # reading

    def load(self, correlation_ids: Iterable[str]) -> None:
        """Read and lock the last incident of each of these correlation ids, all at once."""
        wanted = [one for one in dict.fromkeys(correlation_ids) if one not in self._current]
        if not wanted:
            return
        self._current.update(dict.fromkeys(wanted))
        table = tables.incidents
        rows = self.db.execute(
            select(table)
            .where(one_of(self.db, table.c.correlation_id, wanted))
            .order_by(table.c.correlation_id, table.c.episode)
            .with_for_update()
        )
        for row in rows:  # the last episode of a correlation id comes last, and stays
            self._current[row.correlation_id] = incident_of(row)

    def current(self, correlation_id: str) -> Incident | None:
        """The last incident of this correlation id, if it has had one."""
        if correlation_id not in self._current:
            self.load([correlation_id])
        return self._current[correlation_id]

    def threats(self, correlation_id: str) -> Sequence[Row[Any]]:
        """The threats of this correlation id, the first detected first."""
        table = tables.threats
        mine = select(table).where(table.c.correlation_id == correlation_id)
        return self.db.execute(mine.order_by(table.c.detected_at, table.c.threat)).all()

    def health(self, correlation_id: str) -> Sequence[Row[Any]]:
        """The critical health events of this correlation id."""
        table = tables.health
        mine = select(table).where(table.c.correlation_id == correlation_id)
        return self.db.execute(mine.order_by(table.c.at, table.c.number)).all()

    # changing

    def open(
        self,
        correlation_id: str,
        title: str,
        severity: Severity,
        change: IncidentChange,
        owner: str | None = None,
    ) -> Incident:
        """Open a new incident, linked to the one that this correlation id had before."""
        before = self.current(correlation_id)
        episode = 1 if before is None else before.episode + 1
        incident = Incident(
            id=incident_id(correlation_id, episode),
            number=self._next_number(),
            correlation_id=correlation_id,
            episode=episode,
            title=clip_text(title, 250),
            severity=severity,
            owner=owner,
            opened_at=change.at,
            updated_at=change.at,
            previous=None if before is None else before.id,
        )
        self.db.execute(insert(tables.incidents).values(**msgspec.structs.asdict(incident)))
        self._current[correlation_id] = incident
        add_tickets(self.db, incident.id, self._settings.systems)
        self._add_entry(incident.id, "opened", change)
        self._announcement(incident, change).opened(incident)
        self._queue_tickets(incident, urgent=True)
        return incident

    def move(self, incident: Incident, state: IncidentState, change: IncidentChange) -> Incident:
        """Move the incident, and its threats with it unless the stream moved it. Raises Conflict."""
        after = moved(incident, state, max(change.at, incident.updated_at))
        self._save(after)
        self._note_change(after, "state", incident.state, state, change)
        if change.by is not None:
            put_threat_moves(self.db, after, self.threats(after.correlation_id), change.reason, self.now)
            if state is IncidentState.RESOLVED:
                self._dismiss_health(after.correlation_id)
        self._announcement(after, change).moved(incident, after)
        self._queue_tickets(after, urgent=True)
        return after

    def raise_severity(self, incident: Incident, severity: Severity, change: IncidentChange) -> Incident:
        """Raise the severity; a severity that is not worse changes nothing."""
        if worst(incident.severity, severity) is incident.severity:
            return incident
        after = self._changed(incident, change.at, severity=severity)
        self._note_change(after, "severity", incident.severity, severity, change)
        self._announcement(after, change).updated(after, "severity", incident.severity, severity)
        self._queue_tickets(after)
        return after

    def assign(self, incident: Incident, owner: str | None, by: str | None) -> Incident:
        """Give the incident to `owner`, or to nobody; the same owner again changes nothing."""
        if owner == incident.owner:
            return incident
        after = self._changed(incident, self.now, owner=owner)
        reason = f"assigned to {owner}" if owner else f"no longer assigned to {incident.owner}"
        change = IncidentChange(after.updated_at, reason, by)
        self._add_entry(after.id, "owner", change)
        self._announcement(after, change).updated(after, "owner", incident.owner, owner)
        self._queue_tickets(after)
        return after

    def note(self, incident: Incident, text: str, by: str | None) -> Incident:
        """Add what a person has to say to the timeline, and to the tickets."""
        after = self._changed(incident, self.now)
        change = IncidentChange(after.updated_at, text, by)
        self._add_entry(after.id, "note", change)
        self._announcement(after, change).updated(after, "note", None, text)
        self._queue_tickets(after)
        return after

    def add(
        self, incident: Incident, kind: str, change: IncidentChange, dedup_key: str = "", *, comment: bool = True
    ) -> Incident:
        """Add an entry to the timeline; entries of one `dedup_key` that follow within a minute are counted as one.

        `comment`: the tickets get it as a comment.
        """
        if self._add_entry(incident.id, kind, change, dedup_key) and comment:
            self._queue_tickets(incident)
        return incident

    def link(self, incident: Incident, event: Event) -> None:
        """Record that the event belongs to the incident."""
        if self._count(self._links, tables.links, incident.id) >= MOST_EVENTS:
            return
        values = {"event_id": event.id, "incident": incident.id, "type": event.type, "at": event.timestamp}
        self._links[incident.id] += self.db.execute(
            insert_into(self.db, tables.links).on_conflict_do_nothing(), values
        ).rowcount

    def _changed(self, incident: Incident, at: float, **values: Any) -> Incident:
        after = msgspec.structs.replace(
            incident, updated_at=max(at, incident.updated_at), version=incident.version + 1, **values
        )
        self._save(after)
        return after

    def _save(self, incident: Incident) -> None:
        table = tables.incidents
        self.db.execute(update(table).where(table.c.id == incident.id).values(**msgspec.structs.asdict(incident)))
        self._current[incident.correlation_id] = incident

    def _note_change(self, after: Incident, kind: str, old: str, new: str, change: IncidentChange) -> None:
        text = f"{old} -> {new}: {change.reason}" if change.reason else f"{old} -> {new}"
        self._add_entry(after.id, kind, replace(change, at=after.updated_at, reason=text))

    def _add_entry(self, incident: str, kind: str, change: IncidentChange, dedup_key: str = "") -> bool:
        """Whether the change became an entry of its own, and was not counted in another."""
        text, dedup_key = change.reason, clip_text(dedup_key, 300)
        full = self._count(self._entries, tables.timeline, incident) >= MOST_ENTRIES
        if dedup_key and self._count_in(incident, dedup_key, change.at, ever=full):
            return False
        if dedup_key and full:
            text = dedup_key = _OVERFLOW
            if self._count_in(incident, dedup_key, change.at, ever=True):
                return False
        self.db.execute(
            insert(tables.timeline).values(
                incident=incident,
                at=change.at,
                last_at=change.at,
                kind=kind,
                text=clip_text(text, 2000),
                by=change.by,
                event_id=change.event_id,
                dedup_key=dedup_key,
                count=1,
            )
        )
        self._entries[incident] += 1
        return True

    def _count_in(self, incident: str, dedup_key: str, at: float, *, ever: bool) -> bool:
        """Count an event in the entry of this key of the last minute (`ever`: of any time); False without one."""
        table = tables.timeline
        alike = select(table.c.id, table.c.last_at).where(table.c.incident == incident, table.c.dedup_key == dedup_key)
        if not ever:
            alike = alike.where(table.c.last_at >= at - _ALIKE_WITHIN)
        found = self.db.execute(alike.order_by(table.c.last_at.desc()).limit(1)).first()
        if found is None:
            return False
        self.db.execute(
            update(table).where(table.c.id == found.id).values(count=table.c.count + 1, last_at=max(at, found.last_at))
        )
        return True

    def _announcement(self, incident: Incident, change: IncidentChange) -> Announcement:
        threats = [row.threat for row in self.threats(incident.correlation_id)[:_MOST_THREATS]]
        return Announcement(self.db, self.now, change, threats)

    def _queue_tickets(self, incident: Incident, *, urgent: bool = False) -> None:
        enqueue(self.db, incident.id, self.now, self._settings.comment_seconds, urgent=urgent)

    def _dismiss_health(self, correlation_id: str) -> None:
        table = tables.health
        still = table.c.state.in_(("open", "failed"))
        mine = update(table).where(table.c.correlation_id == correlation_id, still)
        self.db.execute(mine.values(state="dismissed"))

    def _count(self, counts: dict[str, int], table: Table, incident: str) -> int:
        if incident not in counts:
            count = self.db.execute(select(func.count()).select_from(table).where(table.c.incident == incident))
            counts[incident] = count.scalar_one()
        return counts[incident]

    def _next_number(self) -> int:
        table = tables.numbers
        self.db.execute(insert_into(self.db, table).on_conflict_do_nothing(), {"name": "incidents", "last": 0})
        number: int = self.db.execute(
            update(table).where(table.c.name == "incidents").values(last=table.c.last + 1).returning(table.c.last)
        ).scalar_one()
        return number
