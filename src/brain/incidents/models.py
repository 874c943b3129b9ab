"""What an incident is, and the rules for incidents that need no database."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from brain.charter import Event, IncidentState, Severity
from brain.errors import InvalidInput
from brain.lifecycle import INCIDENT_MOVES, OPEN_INCIDENT

CORRELATION_CHARACTERS = 500
"""Characters of a correlation id that are kept; a longer one would not fit the databases' indexes."""

CONSUMER = "incidents"
"""The name of this plug-in in the outbox."""
THREATS_CHANNEL = "threats"
"""The channel of the outbox whose rows are moves of threats. Every other channel is the kind of a ticket system."""

SEVERITIES = tuple(Severity)
"""From the mildest to the worst."""

_PROGRESS = {
    IncidentState.NEW: 0,
    IncidentState.IN_PROGRESS: 1,
    IncidentState.ON_HOLD: 1,
    IncidentState.RESOLVED: 2,
    IncidentState.CLOSED: 3,
}


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """One incident. Times are in Unix seconds.

    `episode` counts the incidents of one correlation id from 1, and `previous` is the id of the one before. `version`
    counts the incident's changes.
    """

    id: str
    number: int
    correlation_id: str
    episode: int
    title: str
    severity: Severity
    state: IncidentState = IncidentState.NEW
    owner: str | None = None
    opened_at: float
    updated_at: float
    resolved_at: float | None = None
    previous: str | None = None
    version: int = 1

    @property
    def open(self) -> bool:
        """Whether it still needs work."""
        return self.state in OPEN_INCIDENT

    @property
    def allowed_states(self) -> tuple[IncidentState, ...]:
        """The states it may move to now."""
        return INCIDENT_MOVES[self.state]


@dataclass(frozen=True, slots=True)
class IncidentChange:
    """A change of an incident at a Unix time: the reason in words, the person or system that made it (None: the
    stream), and the id of the event that caused it."""

    at: float
    reason: str
    by: str | None = None
    event_id: str | None = None


def incident_id(correlation_id: str, episode: int) -> str:
    """The id of an incident: always the same, so that tables rebuilt from the stream have the same incidents."""
    name = f"{episode} {correlation_id}".encode(errors="surrogatepass")
    return f"inc_{hashlib.sha256(name).hexdigest()[:16]}"


def moved(incident: Incident, state: IncidentState, now: float) -> Incident:
    """The incident after a move. Raises Conflict, listing the allowed moves, for one that is not allowed."""
    INCIDENT_MOVES.check(incident.id, incident.state, state)
    at = max(now, incident.opened_at)  # a clock set back must not give a negative duration
    resolved_at = (
        at if state is IncidentState.RESOLVED else incident.resolved_at if state is IncidentState.CLOSED else None
    )
    return msgspec.structs.replace(
        incident, state=state, updated_at=at, resolved_at=resolved_at, version=incident.version + 1
    )


def parse_state(value: str) -> IncidentState:
    """The state of that name, in any case. Raises InvalidInput listing the names."""
    try:
        return IncidentState(value.upper())
    except ValueError as error:
        raise InvalidInput(f"state: {value!r} is not one of {', '.join(IncidentState)}") from error


def parse_severity(value: str) -> Severity:
    """The severity of that name, in any case. Raises InvalidInput listing the names."""
    try:
        return Severity(value.upper())
    except ValueError as error:
        raise InvalidInput(f"severity: {value!r} is not one of {', '.join(Severity)}") from error


def worst(one: Severity, other: Severity) -> Severity:
    """The worse of two."""
    return max(one, other, key=SEVERITIES.index)


class Recurrence(StrEnum):
    """What another event of the same correlation id means for the incident that was opened for it."""

    CONTINUES = "continues"
    """The incident is open: the event joins it."""
    REOPENS = "reopens"
    OPENS_ANOTHER = "opens another"


def recurrence(incident: Incident, at: float, window: float) -> Recurrence:
    """What an event at this time means for the incident; one resolved at most `window` seconds before reopens."""
    if incident.open:
        return Recurrence.CONTINUES
    resolved_at = incident.resolved_at
    if incident.state is IncidentState.RESOLVED and resolved_at is not None and at - resolved_at <= window:
        return Recurrence.REOPENS
    return Recurrence.OPENS_ANOTHER


def next_state_from_ticket(
    state: IncidentState, shown: IncidentState, ticket_state: IncidentState
) -> IncidentState | None:
    """The state that an incident in `state` moves to when its ticket, which showed `shown`, is now in `ticket_state`.

    None: it stays. While the ticket does not show the incident's last change yet, the further of the two counts. But
    closing a ticket that was resolved does not close an incident that is open again.
    """
    if ticket_state is state:
        return None
    if state is not shown:
        reopened = shown is IncidentState.RESOLVED and state in OPEN_INCIDENT
        if reopened or _PROGRESS[ticket_state] <= _PROGRESS[state]:
            return None
    if ticket_state is IncidentState.NEW:
        return IncidentState.IN_PROGRESS if state is IncidentState.RESOLVED else None
    return ticket_state


def correlation_of(event: Event, causes: Mapping[str, str]) -> str:
    """The correlation id that an event belongs to: its own; else that of the event that caused it; else its own id.

    `causes` maps the ids of earlier events to their correlation ids. An event without a correlation id gives its id to
    the events that it causes, so that an unknown cause still names the correlation id.
    """
    if event.correlation_id:
        return event.correlation_id
    cause = event.meta.get("causation_id")
    return causes.get(cause, cause) if isinstance(cause, str) and cause else event.id
