"""What ticket systems have in common: what a ticket is made of, and what is known of it.

Jira and ServiceNow are both a `Desk`, so that who mirrors incidents writes it once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypedDict

from brain.connectors.sender import TryLater
from brain.errors import InvalidInput
from brain.text import plain_key

State = Literal["NEW", "IN_PROGRESS", "ON_HOLD", "RESOLVED", "CLOSED"]
"""The states of an incident of ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTicket:
    """What a ticket is made from."""

    incident_id: str
    """Ours; never empty. By it the ticket is found again, so that there is never a second one."""
    title: str
    description: str
    """Plain text; an empty line begins a paragraph."""
    severity: str = ""
    """One of ours: CRITICAL, HIGH, MEDIUM, LOW, INFO."""
    url: str = ""
    """Our page of the incident."""
    labels: Sequence[str] = ()


class Ticket(TypedDict):
    """A ticket as its system has it; JSON, so that it may be kept as it is."""

    system: str
    """jira or servicenow."""
    id: str
    """What the system's API knows it by."""
    key: str
    """What people know it by: OPS-17, INC0010017."""
    url: str
    status: str
    """In the system's own words."""
    state: State
    """The same in ours."""
    changed: bool
    """Whether this call made or moved it."""


class Noted(TypedDict):
    """What became of a note."""

    added: bool
    """False when it had been added before, or the ticket is closed."""
    why: str


class Desk(Protocol):
    """A ticket system. All of these raise Refused and TryLater."""

    async def ensure(self, ticket: NewTicket) -> Ticket:
        """The ticket of this incident; made when there is none. Safe to repeat.

        Keep the id: it, and not the search of a system that lags behind, is what the other calls want.
        """
        ...

    async def note(self, id: str, text: str, reference: str) -> Noted:
        """Add a note, unless one with this reference is there. Safe to repeat."""
        ...

    async def move(self, id: str, state: State, note: str = "", reference: str = "") -> Ticket:
        """Bring the ticket to a state of ours, with a note; one that is there, or is closed, stays. Safe to repeat."""
        ...

    async def read(self, id: str) -> Ticket:
        """The ticket as it is now."""
        ...


def ticket_key(incident_id: str, longest: int, prefix: str = "brain-") -> str:
    """The key that a ticket of this incident carries. Raises InvalidInput for an empty id, which would find all."""
    if not incident_id.strip():
        raise InvalidInput("incident_id: is empty; a ticket cannot be found again by it")
    return plain_key(f"{prefix}{incident_id}", longest)


def unsure(error: TryLater, settle_seconds: float) -> TryLater:
    """The error of a request whose answer was lost: it may have been carried out, or still be, and must not be repeated
    before the service's own search shows what it did."""
    if error.service_status in (401, 407, 408, 429):  # these say that it was not
        return error
    wait = max(error.retry_after or 0.0, settle_seconds)
    return TryLater(f"{error}; it may have been carried out all the same", wait, error.service_status)


def note_mark(reference: str) -> str:
    """What a note ends with, by which it is found again before it is added a second time."""
    whole = f"brain:{reference}"
    is_plain = plain_key(whole, 60) == whole
    return f"[{whole}]" if is_plain else f"[brain:{hashlib.sha256(reference.encode()).hexdigest()[:16]}]"
