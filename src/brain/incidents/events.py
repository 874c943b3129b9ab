"""The events of incidents, from the opening of one to its end."""

from __future__ import annotations

from typing import Annotated, Any, TypedDict

from msgspec import Meta

from brain.charter import EventType, Frequency, Priority

Moment = Annotated[float, Meta(description="When it happened, in Unix seconds.")]
Reason = Annotated[str, Meta(description="The reason in words; empty when none was given.")]
By = Annotated[
    str | None,
    Meta(description="The person who did it, or the kind of the ticket system, such as `jira`; null: the stream."),
]


class AboutIncident(TypedDict):
    """The keys that every event about an incident has."""

    incident_id: Annotated[str, Meta(description="The incident's id, `inc_<16 hex digits>`; it never changes.")]
    number: Annotated[int, Meta(ge=1, description="The number for people: 1, 2, 3, ... in order of opening.")]
    title: Annotated[str, Meta(description="The subject, in one line.")]
    severity: Annotated[str, Meta(description="LOW, MEDIUM, HIGH or CRITICAL: that of the worst that belongs to it.")]
    state: Annotated[str, Meta(description="NEW, IN_PROGRESS, ON_HOLD, RESOLVED or CLOSED, after this event.")]
    owner: Annotated[str | None, Meta(description="The person who is responsible; null for nobody.")]
    threats: Annotated[list[str], Meta(description="The ids of its threats, at most 20.")]
    summary: Annotated[str, Meta(description="Number, state and title in one line, for a page.")]


class IncidentOpened(AboutIncident):
    """A new incident."""

    reason: Annotated[str, Meta(description="The cause, in words.")]
    previous: Annotated[
        str | None, Meta(description="The previous incident of the same correlation id; null for none.")
    ]
    opened_at: Moment


class IncidentUpdated(AboutIncident):
    """A change of state, severity or owner that no other event reports."""

    changes: Annotated[
        dict[str, dict[str, Any]],
        Meta(description="The old and the new value of the changed field: state, severity, owner, note."),
    ]
    reason: Reason
    by: By
    updated_at: Moment


class IncidentResolved(AboutIncident):
    """The end of the work on an incident."""

    reason: Reason
    by: By
    resolved_at: Moment
    duration_seconds: Annotated[float, Meta(ge=0, description="Seconds from its opening to this resolution.")]


class IncidentReopened(AboutIncident):
    """A resolved incident that is open again: another event of its correlation id came, or a person reopened it."""

    reason: Reason
    by: By
    reopened_at: Moment


class IncidentClosed(AboutIncident):
    """A resolved incident that is closed for good: another event of its correlation id opens a new one."""

    reason: Reason
    by: By
    closed_at: Moment


class ConnectionLost(TypedDict):
    """A ticket system that does not accept our login."""

    system: Annotated[str, Meta(description="The kind of the ticket system, such as `jira`.")]
    message: Annotated[str, Meta(description="What it said, and what to do.")]
    severity: Annotated[str, Meta(description="HIGH: no ticket follows its incident meanwhile.")]


class ConnectionRestored(TypedDict):
    """A ticket system that accepts our login again."""

    system: Annotated[str, Meta(description="The kind of the ticket system, such as `jira`.")]
    duration_seconds: Annotated[float, Meta(ge=0, description="For how many seconds it did not.")]


_ABOUT: AboutIncident = {
    "incident_id": "inc_5d0c1f27a9b34e86",
    "number": 17,
    "title": "ssh_brute_force from 203.0.113.77",
    "severity": "HIGH",
    "state": "NEW",
    "owner": None,
    "threats": ["thr_4f1a09be27c3d815"],
    "summary": "incident 17 is NEW: ssh_brute_force from 203.0.113.77",
}
_OPENED: IncidentOpened = {
    **_ABOUT,
    "reason": "threat thr_4f1a09be27c3d815 was escalated: a login succeeded",
    "previous": None,
    "opened_at": 1703001420.9,
}
_UPDATED: IncidentUpdated = {
    **_ABOUT,
    "state": "IN_PROGRESS",
    "owner": "ann",
    "summary": "incident 17 is IN_PROGRESS: ssh_brute_force from 203.0.113.77",
    "changes": {"state": {"old": "NEW", "new": "IN_PROGRESS"}},
    "reason": "looking at the logins of that night",
    "by": "ann",
    "updated_at": 1703001502.3,
}
_RESOLVED: IncidentResolved = {
    **_ABOUT,
    "state": "RESOLVED",
    "owner": "ann",
    "summary": "incident 17 is RESOLVED: ssh_brute_force from 203.0.113.77",
    "reason": "all its threats are mitigated",
    "by": None,
    "resolved_at": 1703001834.6,
    "duration_seconds": 413.7,
}
_REOPENED: IncidentReopened = {
    **_ABOUT,
    "state": "IN_PROGRESS",
    "owner": "ann",
    "summary": "incident 17 is IN_PROGRESS: ssh_brute_force from 203.0.113.77",
    "reason": "threat thr_4f1a09be27c3d815 was escalated: it logs in again",
    "by": None,
    "reopened_at": 1703005434.6,
}
_CLOSED: IncidentClosed = {
    **_ABOUT,
    "state": "CLOSED",
    "owner": "ann",
    "summary": "incident 17 is CLOSED: ssh_brute_force from 203.0.113.77",
    "reason": "closed in servicenow (INC0010023)",
    "by": "servicenow",
    "closed_at": 1703091834.6,
}

OPENED = EventType(
    name="incident.opened",
    module="incidents",
    payload=IncidentOpened,
    priority=Priority.CRITICAL,
    frequency=Frequency.LOW,
    purpose="An incident was opened: by an escalated threat, a critical health event, or by hand.",
    example=_OPENED,
)
UPDATED = EventType(
    name="incident.updated",
    module="incidents",
    payload=IncidentUpdated,
    priority=Priority.MEDIUM,
    frequency=Frequency.LOW,
    purpose="An incident's state, severity or owner changed.",
    example=_UPDATED,
)
RESOLVED = EventType(
    name="incident.resolved",
    module="incidents",
    payload=IncidentResolved,
    priority=Priority.HIGH,
    frequency=Frequency.LOW,
    purpose="An incident was resolved; `duration_seconds` is the time since its opening.",
    example=_RESOLVED,
)
REOPENED = EventType(
    name="incident.reopened",
    module="incidents",
    payload=IncidentReopened,
    priority=Priority.CRITICAL,
    frequency=Frequency.LOW,
    purpose="A resolved incident is open again.",
    example=_REOPENED,
)
CLOSED = EventType(
    name="incident.closed",
    module="incidents",
    payload=IncidentClosed,
    priority=Priority.MEDIUM,
    frequency=Frequency.LOW,
    purpose="A resolved incident was closed for good.",
    example=_CLOSED,
)

CONNECTION_LOST = EventType(
    name="ticket.connection_lost",
    module="incidents",
    payload=ConnectionLost,
    priority=Priority.HIGH,
    frequency=Frequency.LOW,
    purpose="A ticket system does not know our account any more: its tickets wait until somebody renews the login.",
    example={
        "system": "jira",
        "message": "Jira does not know the account (X-Seraph-LoginReason is AUTHENTICATED_FAILED)",
        "severity": "HIGH",
    },
)
CONNECTION_RESTORED = EventType(
    name="ticket.connection_restored",
    module="incidents",
    payload=ConnectionRestored,
    priority=Priority.MEDIUM,
    frequency=Frequency.LOW,
    purpose="A ticket system knows our account again; what waited follows.",
    example={"system": "jira", "duration_seconds": 5400.2},
)

EVENTS: tuple[EventType[Any], ...] = (
    OPENED,
    UPDATED,
    RESOLVED,
    REOPENED,
    CLOSED,
    CONNECTION_LOST,
    CONNECTION_RESTORED,
)
