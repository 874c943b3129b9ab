"""What the ticket systems have in common, as incidents need it; the two there are follow below."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from brain.connectors.sender import Sender
from brain.consumers.incidents.models import Severity, State
from brain.consumers.incidents.settings import IncidentSettings


@dataclass(frozen=True, slots=True)
class Ticket:
    """A ticket: its key for people, what the API calls it by, and its page."""

    key: str
    handle: str
    url: str


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a ticket stands: in the system's own words, and as a state of ours. A CLOSED one is never touched again."""

    words: str
    state: State


@dataclass(frozen=True, slots=True)
class Draft:
    """A ticket to be created. `reference` is the same at every try, and is searched for before each."""

    reference: str
    title: str
    text: str
    severity: Severity


class System(Protocol):
    """A ticket system over its HTTP API. Every method raises connectors' Refused and TryLater."""

    name: str
    settle_seconds: float
    """How long after a create the search may not show it yet."""

    async def find(self, reference: str) -> Ticket | None:
        """The ticket created with that reference."""

    async def create(self, draft: Draft) -> Ticket:
        """Create it; the caller has searched before."""

    async def look(self, ticket: Ticket) -> Standing | None:
        """Where it stands; None when there is no such ticket any more."""

    async def has_comment(self, ticket: Ticket, marker: str) -> bool:
        """Whether one of its comments holds the marker."""

    async def comment(self, ticket: Ticket, text: str) -> None:
        """Add a comment."""

    async def move(self, ticket: Ticket, state: State, text: str) -> Standing:
        """Bring it where it shows the incident's state; where it stands then."""


def open_systems(settings: IncidentSettings, sender: Sender) -> Mapping[str, System]:
    """The systems that are set up, by name, all over one sender."""
    return {}
