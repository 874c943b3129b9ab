"""The events of incidents, written to the outbox in the transaction of the change and published after its commit.

An event's id follows from the incident, its version and the event's type: an event published again after a crash is the
same event, and readers drop it as a duplicate.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import Connection

from brain.charter import VERSION, Event, EventType, IncidentState
from brain.charter.principal import whose
from brain.incidents.events import CLOSED, OPENED, REOPENED, RESOLVED, UPDATED, AboutIncident
from brain.incidents.models import CONSUMER, Incident, IncidentChange
from brain.kit.outbox import put_event


@dataclass(frozen=True, slots=True)
class Announcement:
    """Announces one change of an incident in the transaction of `db`; `now` is the Unix time to publish it at.

    `threats` are the ids of the incident's threats.
    """

    db: Connection
    now: float
    change: IncidentChange
    threats: Sequence[str]

    def opened(self, incident: Incident) -> None:
        """Publish `incident.opened`."""
        payload = {"reason": self.change.reason, "previous": incident.previous, "opened_at": incident.opened_at}
        self._publish(OPENED, incident, payload, incident.opened_at)

    def moved(self, old: Incident, new: Incident) -> None:
        """Publish the event for this move: `incident.resolved`, `.reopened`, `.closed` or `.updated`."""
        at, why = new.updated_at, {"reason": self.change.reason, "by": self.change.by}
        if new.state is IncidentState.RESOLVED:
            duration = at - new.opened_at
            self._publish(RESOLVED, new, {**why, "resolved_at": at, "duration_seconds": duration}, at)
        elif old.state is IncidentState.RESOLVED and new.open:
            self._publish(REOPENED, new, {**why, "reopened_at": at}, at)
        elif new.state is IncidentState.CLOSED:
            self._publish(CLOSED, new, {**why, "closed_at": at}, at)
        else:
            self.updated(new, "state", old.state, new.state)

    def updated(self, incident: Incident, field: str, old: str | None, new: str | None) -> None:
        """Publish `incident.updated` for a field that changed."""
        payload = {
            "changes": {field: {"old": old, "new": new}},
            "reason": self.change.reason,
            "by": self.change.by,
            "updated_at": incident.updated_at,
        }
        self._publish(UPDATED, incident, payload, incident.updated_at)

    def _publish(self, declared: EventType[Any], incident: Incident, more: Mapping[str, Any], at: float) -> None:
        about: AboutIncident = {
            "incident_id": incident.id,
            "number": incident.number,
            "title": incident.title,
            "severity": incident.severity,
            "state": incident.state,
            "owner": incident.owner,
            "threats": list(self.threats),
            "summary": f"incident {incident.number} is {incident.state}: {incident.title}",
        }
        name = hashlib.sha256(f"{incident.id} {incident.version} {declared.name}".encode()).hexdigest()[:16]
        meta: dict[str, Any] = {"correlation_id": incident.correlation_id, "version": VERSION, **whose()}
        if self.change.event_id:
            meta["causation_id"] = self.change.event_id
        event = Event(
            id=f"evt_{declared.module}_{int(at * 1000)}_{name}",
            type=declared.name,
            source=declared.source,
            target=incident.id,
            timestamp=at,
            payload=declared.check(cast("dict[str, Any]", {**about, **more})),
            meta=meta,
        )
        put_event(self.db, CONSUMER, event, self.now)
