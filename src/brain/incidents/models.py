"""What an incident is, the one table of the moves it may make, and the rules that need no database."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from enum import StrEnum

import msgspec

from brain.charter import Event, Severity
from brain.charter import IncidentState as State
from brain.errors import InvalidInput
from brain.lifecycle import INCIDENT_MOVES as MOVES
from brain.lifecycle import OPEN_INCIDENT as OPEN

STORY = 500
"""Characters of a story's id that are kept; a longer one would not fit the databases' indexes."""


SEVERITIES = tuple(Severity)
"""From the mildest to the worst."""


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """One incident. Times are in Unix seconds.

    `story` is the correlation id of its events; `episode` counts the incidents of one story from 1, and `previous` is
    the id of the one before. `version` counts its changes.
    """

    id: str
    number: int
    story: str
    episode: int
    title: str
    severity: Severity
    state: State = State.NEW
    owner: str | None = None
    opened_at: float
    updated_at: float
    resolved_at: float | None = None
    previous: str | None = None
    version: int = 1

    @property
    def open(self) -> bool:
        """Whether it still asks for work."""
        return self.state in OPEN

    @property
    def allowed_states(self) -> tuple[State, ...]:
        """The states it may move to now."""
        return MOVES[self.state]


def incident_id(story: str, episode: int) -> str:
    """The id of a story's incident: the same whenever it is worked out, so that building anew makes no second one."""
    return f"inc_{hashlib.sha256(f'{episode} {story}'.encode(errors='surrogatepass')).hexdigest()[:16]}"


def moved(incident: Incident, state: State, now: float) -> Incident:
    """The incident after a move. Raises Conflict, listing the allowed moves, for one that is not in the table."""
    MOVES.check(incident.id, incident.state, state)
    at = max(now, incident.opened_at)  # a clock set back must not give a negative duration
    resolved_at = at if state is State.RESOLVED else incident.resolved_at if state is State.CLOSED else None
    return msgspec.structs.replace(
        incident, state=state, updated_at=at, resolved_at=resolved_at, version=incident.version + 1
    )


def parse_state(value: str) -> State:
    """The state of that name, in any case. Raises InvalidInput listing the names."""
    try:
        return State(value.upper())
    except ValueError as error:
        raise InvalidInput(f"state: {value!r} is not one of {', '.join(State)}") from error


def parse_severity(value: str) -> Severity:
    """The severity of that name, in any case. Raises InvalidInput listing the names."""
    try:
        return Severity(value.upper())
    except ValueError as error:
        raise InvalidInput(f"severity: {value!r} is not one of {', '.join(Severity)}") from error


def worst(one: Severity, other: Severity) -> Severity:
    """The worse of two."""
    return max(one, other, key=SEVERITIES.index)


class Return(StrEnum):
    """What a story that comes back means for the incident it had."""

    GOES_ON = "goes on"
    REOPENS = "reopens"
    STARTS_ANEW = "starts anew"


def comes_back(incident: Incident, at: float, window: float) -> Return:
    """Whether the story's incident goes on, reopens (resolved at most `window` seconds before), or a new one starts."""
    if incident.open:
        return Return.GOES_ON
    if incident.state is State.RESOLVED and incident.resolved_at is not None and at - incident.resolved_at <= window:
        return Return.REOPENS
    return Return.STARTS_ANEW


def heeded(state: State, shown: State, told: State) -> State | None:
    """Where an incident in `state` goes when its ticket, which showed the state `shown`, is found in `told`.

    None: nowhere. While the incident has changed and its ticket does not show it yet, what is further on counts; but$
    the closing of a ticket that was resolved does not close an incident that is open again.
    """
    if told is state:
        return None
    if state is not shown:
        reopened = shown is State.RESOLVED and state in OPEN
        if reopened or _PROGRESS[told] <= _PROGRESS[state]:
            return None
    if told is State.NEW:
        return State.IN_PROGRESS if state is State.RESOLVED else None
    return told


_PROGRESS = {State.NEW: 0, State.IN_PROGRESS: 1, State.ON_HOLD: 1, State.RESOLVED: 2, State.CLOSED: 3}


def story_of(event: Event, causes: Mapping[str, str]) -> str:
    """The story an event belongs to: its correlation id; else that of the event that caused it; else it starts its own.

    `causes` maps ids of earlier events to their stories. An event without a correlation id lends its own id to those it
    causes, so that an unknown cause still names the story.
    """
    if event.correlation_id:
        return event.correlation_id
    cause = event.meta.get("causation_id")
    return causes.get(cause, cause) if isinstance(cause, str) and cause else event.id


def plain(value: object, most: int = 1000) -> str:
    """Text from somebody's payload, at most `most` characters, that every database takes; empty for null."""
    text = "" if value is None else value if isinstance(value, str) else str(value)
    text = text.replace("\0", "\N{REPLACEMENT CHARACTER}")
    return text if len(text) <= most else f"{text[: most - 1]}…"
