"""Incidents in one transaction: read with a lock, changed, noted in their timeline, announced, and mirrored.

The projection and the commands of people both work through a Ledger, so that nothing changes an incident without its
timeline, its event and its tickets following in the same commit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, Table, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from brain.charter import IncidentState as State
from brain.charter import Severity
from brain.incidents import announcing, tables
from brain.incidents.mirroring import enqueue, new_mirrors
from brain.incidents.models import Incident, incident_id, moved, plain, worst
from brain.incidents.settings import IncidentSettings
from brain.incidents.threat_moves import follow

MOST_ENTRIES = 500
"""Entries of one timeline; what repeats itself beyond them is counted in those there are."""
MOST_EVENTS = 1000
"""Links from one incident to events of its story."""
_ALIKE_WITHIN = 60.0  # seconds
_AT_ONCE = 500  # parameters of one statement
_OVERFLOW = "further events of the story"


@dataclass(frozen=True, slots=True)
class Why:
    """Why something changes: in words, by whom (None: by itself), and the event that caused it."""

    text: str
    by: str | None = None
    event_id: str | None = None


class Ledger:
    """What is known and done of incidents inside the transaction of `db`. `now` is the Unix time of the doing."""

    def __init__(self, db: Connection, settings: IncidentSettings, now: float) -> None:
        self.db = db
        self.settings = settings
        self.now = now
        self._current: dict[str, Incident | None] = {}
        self._entries: dict[str, int] = {}
        self._links: dict[str, int] = {}

    # reading

    def load(self, stories: Iterable[str]) -> None:
        """Read and lock the last incident of each of these stories, all at once."""
        wanted = [story for story in dict.fromkeys(stories) if story not in self._current]
        for start in range(0, len(wanted), _AT_ONCE):
            some = wanted[start : start + _AT_ONCE]
            self._current.update(dict.fromkeys(some))
            rows = self.db.execute(
                select(tables.incidents)
                .where(tables.incidents.c.story.in_(some))
                .order_by(tables.incidents.c.story, tables.incidents.c.episode)
                .with_for_update()
            )
            for row in rows:  # the last episode of a story comes last, and stays
                self._current[row.story] = incident_of(row)

    def current(self, story: str) -> Incident | None:
        """The story's last incident, if it has had one."""
        if story not in self._current:
            self.load([story])
        return self._current[story]

    def threats(self, story: str) -> Sequence[Row[Any]]:
        """The story's threats, the first detected first."""
        table = tables.threats
        return self.db.execute(
            select(table).where(table.c.story == story).order_by(table.c.detected_at, table.c.threat)
        ).all()

    def health(self, story: str) -> Sequence[Row[Any]]:
        """The story's critical health events."""
        table = tables.health
        return self.db.execute(select(table).where(table.c.story == story).order_by(table.c.at, table.c.number)).all()

    # changing

    def open(
        self, story: str, title: str, severity: Severity, at: float, why: Why, owner: str | None = None
    ) -> Incident:
        """A new incident of the story, linked to the one it had before."""
        before = self.current(story)
        episode = 1 if before is None else before.episode + 1
        incident = Incident(
            id=incident_id(story, episode),
            number=self._next_number(),
            story=story,
            episode=episode,
            title=plain(title, 250),
            severity=severity,
            owner=owner,
            opened_at=at,
            updated_at=at,
            previous=None if before is None else before.id,
        )
        self.db.execute(insert(tables.incidents).values(**msgspec.structs.asdict(incident)))
        self._current[story] = incident
        new_mirrors(self.db, incident.id, self.settings.systems)
        self._note(incident.id, at, "opened", why.text, why)
        announcing.announce_opened(self.db, self.now, incident, self._threat_ids(story), why.text, why.event_id)
        self._mirror(incident, urgent=True)
        return incident

    def move(self, incident: Incident, state: State, at: float, why: Why) -> Incident:
        """Move it, and its threats with it when somebody (not the stream) moved it. Raises Conflict."""
        after = moved(incident, state, max(at, incident.updated_at))
        self._save(after)
        text = f"{incident.state} -> {state}: {why.text}" if why.text else f"{incident.state} -> {state}"
        self._note(after.id, after.updated_at, "state", text, why)
        threats = self.threats(after.story)
        if why.by is not None:
            follow(self.db, after, threats, why.text, self.now)
            if state is State.RESOLVED:
                self._dismiss_health(after.story)
        ids = [row.threat for row in threats[:20]]
        announcing.announce_move(self.db, self.now, incident, after, ids, why.text, why.by, why.event_id)
        self._mirror(after, urgent=True)
        return after

    def worsen(self, incident: Incident, severity: Severity, at: float, why: Why) -> Incident:
        """Raise the severity; one that is not worse changes nothing, since severity only rises."""
        if worst(incident.severity, severity) is incident.severity:
            return incident
        after = self._changed(incident, at, severity=severity)
        self._note(after.id, after.updated_at, "severity", f"{incident.severity} -> {severity}: {why.text}", why)
        self._announce_update(after, "severity", incident.severity, severity, why)
        self._mirror(after)
        return after

    def assign(self, incident: Incident, owner: str | None, at: float, by: str | None) -> Incident:
        """Give it to `owner`, or to nobody; the same owner again changes nothing."""
        if owner == incident.owner:
            return incident
        after = self._changed(incident, at, owner=owner)
        why = Why(f"given to {owner}" if owner else f"{incident.owner} no longer looks after it", by)
        self._note(after.id, after.updated_at, "owner", why.text, why)
        self._announce_update(after, "owner", incident.owner, owner, why)
        self._mirror(after)
        return after

    def add(
        self, incident: Incident, at: float, kind: str, why: Why, likeness: str = "", *, tell: bool = True
    ) -> Incident:
        """Add an entry to the timeline; entries of one `likeness` that follow within a minute are counted as one.

        `tell`: the tickets get it as a comment.
        """
        if self._note(incident.id, at, kind, why.text, why, likeness) and tell:
            self._mirror(incident)
        return incident

    def link(self, incident: Incident, event_id: str, type: str, at: float) -> None:
        """Remember that the event belongs to the incident."""
        if self._count(self._links, tables.links, incident.id) >= MOST_EVENTS:
            return
        statement = insert_or_ignore(self.db, tables.links)
        values = {"event_id": event_id, "incident": incident.id, "type": type, "at": at}
        self._links[incident.id] += self.db.execute(statement, values).rowcount

    def _changed(self, incident: Incident, at: float, **values: Any) -> Incident:
        after = msgspec.structs.replace(
            incident, updated_at=max(at, incident.updated_at), version=incident.version + 1, **values
        )
        self._save(after)
        return after

    def _save(self, incident: Incident) -> None:
        self.db.execute(
            update(tables.incidents)
            .where(tables.incidents.c.id == incident.id)
            .values(**msgspec.structs.asdict(incident))
        )
        self._current[incident.story] = incident

    def _note(self, incident: str, at: float, kind: str, text: str, why: Why, likeness: str = "") -> bool:
        """Whether it became an entry of its own."""
        likeness = plain(likeness, 300)
        full = self._count(self._entries, tables.timeline, incident) >= MOST_ENTRIES
        if likeness and self._counted_in(incident, likeness, at, ever=full):
            return False
        if likeness and full:
            text, likeness = _OVERFLOW, _OVERFLOW
            if self._counted_in(incident, likeness, at, ever=True):
                return False
        self.db.execute(
            insert(tables.timeline).values(
                incident=incident,
                at=at,
                last_at=at,
                kind=kind,
                text=plain(text, 2000),
                by=why.by,
                event_id=why.event_id,
                likeness=likeness,
                count=1,
            )
        )
        self._entries[incident] += 1
        return True

    def _counted_in(self, incident: str, likeness: str, at: float, *, ever: bool) -> bool:
        """Count it in a like entry of the last minute (`ever`: of any time); False when there is none."""
        table = tables.timeline
        like = select(table.c.id, table.c.last_at).where(table.c.incident == incident, table.c.likeness == likeness)
        if not ever:
            like = like.where(table.c.last_at >= at - _ALIKE_WITHIN)
        found = self.db.execute(like.order_by(table.c.last_at.desc()).limit(1)).first()
        if found is None:
            return False
        self.db.execute(
            update(table).where(table.c.id == found.id).values(count=table.c.count + 1, last_at=max(at, found.last_at))
        )
        return True

    def _announce_update(self, incident: Incident, field: str, old: str | None, new: str | None, why: Why) -> None:
        ids = self._threat_ids(incident.story)
        announcing.announce_update(
            self.db, self.now, incident, ids, {field: (old, new)}, why.text, why.by, why.event_id
        )

    def _mirror(self, incident: Incident, *, urgent: bool = False) -> None:
        enqueue(self.db, incident.id, self.now, self.settings.comment_seconds, urgent=urgent)

    def _threat_ids(self, story: str) -> list[str]:
        return [row.threat for row in self.threats(story)[:20]]

    def _dismiss_health(self, story: str) -> None:
        table = tables.health
        still = table.c.state.in_(("open", "failed"))
        self.db.execute(update(table).where(table.c.story == story, still).values(state="dismissed"))

    def _count(self, counts: dict[str, int], table: Table, incident: str) -> int:
        if incident not in counts:
            count = self.db.execute(select(func.count()).select_from(table).where(table.c.incident == incident))
            counts[incident] = count.scalar_one()
        return counts[incident]

    def _next_number(self) -> int:
        table = tables.numbers
        self.db.execute(insert_or_ignore(self.db, table), {"name": "incidents", "last": 0})
        number: int = self.db.execute(
            update(table).where(table.c.name == "incidents").values(last=table.c.last + 1).returning(table.c.last)
        ).scalar_one()
        return number


def find_incident(db: Connection, id: str) -> Incident | None:
    """The incident with that id, locked until the transaction ends."""
    row = db.execute(select(tables.incidents).where(tables.incidents.c.id == id).with_for_update()).first()
    return None if row is None else incident_of(row)


def incident_of(row: Row[Any]) -> Incident:
    """The incident in a row of its table."""
    return msgspec.convert({str(name): value for name, value in row._mapping.items()}, Incident)


def insert_or_ignore(db: Connection, table: Table) -> postgresql.Insert | sqlite.Insert:
    """An insert that leaves a row with the same key as it is; for one set of values or many."""
    if db.dialect.name == "postgresql":
        return postgresql.insert(table).on_conflict_do_nothing()
    return sqlite.insert(table).on_conflict_do_nothing()
