"""What the log keeps of an event: an entry, and the fields that it is found by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from brain.charter import Event
from brain.errors import EnvelopeError
from brain.text import clip_text

WIDTH = 255
"""Characters of a search field that are kept; the payload has them all."""


@dataclass(frozen=True)
class AuditEntry:
    """One entry of the log. Times are Unix seconds; `at` is the event's own, `appended_at` the log's."""

    index: int
    leaf_hash: bytes
    appended_at: float
    at: float
    type: str
    """Empty for bytes that are no event."""
    event_id: str | None
    agent: str | None
    threat: str | None
    correlation_id: str | None
    data: bytes | None
    """The exact bytes; None once retention has deleted them."""

    @cached_property
    def event(self) -> Event | None:
        """The event in the bytes; None when they are deleted or no valid event."""
        if self.data is None:
            return None
        try:
            return Event.decode(self.data)
        except EnvelopeError:
            return None


class SearchFields(NamedTuple):
    """What an entry is found by, as it was when the entry was made."""

    appended_at: float
    at: float
    type: str
    event_id: str | None
    agent: str | None
    threat: str | None
    correlation_id: str | None


def fields_of(event: Event | None, appended_at: float) -> SearchFields:
    """The search fields of an event, or of bytes that are none: those have an empty type."""
    if event is None:
        return SearchFields(appended_at, appended_at, "", None, None, None, None)
    agent, threat = _subjects(event)
    return SearchFields(
        appended_at,
        event.timestamp,
        event.type[:WIDTH],
        event.id[:WIDTH],
        _searchable(agent),
        _searchable(threat),
        _searchable(event.meta["correlation_id"]),
    )


def cause_of(event: Event) -> str | None:
    """The id of the event that caused this one, as far as it is kept; None where it names none."""
    cause = event.meta.get("causation_id")
    return _searchable(cause) if cause else None


def _subjects(event: Event) -> tuple[object, object]:
    """The agent and the threat that an event is about; None where it names none."""
    payload: Mapping[str, Any] = event.payload
    agent = payload.get("agent_id")
    if agent is None:
        agent = payload.get("agent")
    if agent is None and event.type.startswith("immune."):
        agent = payload.get("module")
    return agent, payload.get("threat_id")


def clip_field(text: str) -> str:
    """The text as it is kept in a search field."""
    return clip_text(text, WIDTH, ellipsis="")


def _searchable(value: object) -> str | None:
    if value.__class__ is str and 0 < len(value) <= WIDTH and "\0" not in value:
        return value  # nearly all of them, and this is the hot path
    return clip_field(value) if isinstance(value, str) and value else None
