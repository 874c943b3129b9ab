"""Ticket systems: services in which each incident has a ticket, registered by kind in the entry points
`brain.ticket_systems`:

    [project.entry-points."brain.ticket_systems"]
    tracker = "brain_tracker:Tracker"

The table `[incidents.tracker]` is then checked by the model that the class names. Jira and ServiceNow are registered
the same way. docs/connectors.md shows how to write one.
"""

from __future__ import annotations

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Generic, Literal, NotRequired, TypedDict, TypeVar

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from brain.charter import IncidentState
from brain.connectors.registry import Registry
from brain.connectors.sender import Sender, TryLater
from brain.errors import InvalidInput, NotFound
from brain.json_text import JSON_FAULTS
from brain.secret import Secret
from brain.text import clip_units, plain_key

KEY_CHARACTERS = 200
"""Most characters of a ticket's key in a webhook."""
_KIND = re.compile(r"[a-z][a-z0-9_]{0,19}").fullmatch


class TicketSettings(BaseModel):
    """The settings that every ticket system has; each one's own model extends it."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True)

    settle_seconds: float = Field(
        default=20.0,
        ge=0,
        description="Seconds within which a search shows a new ticket, and a request whose answer was lost is done",
    )
    webhook_secret: Secret | None = Field(
        default=None, description="Secret that the system's webhooks are signed with; none: webhooks are refused"
    )
    when_gone: Literal["end", "again"] = Field(
        default="end",
        description="When a ticket was deleted, hidden or cancelled there: end its mirror, or make another one (again)",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTicket:
    """The texts and the key that a ticket is made from."""

    incident_id: str
    """The incident's id; never empty. The ticket is found again by it, so that there is never a second one."""
    title: str
    description: str
    """Plain text; an empty line begins a paragraph."""
    severity: str = ""
    """CRITICAL, HIGH, MEDIUM or LOW."""
    url: str = ""
    """The incident's page."""
    labels: Sequence[str] = ()


class Ticket(TypedDict):
    """A ticket as its system has it, in JSON values."""

    id: str
    """The id in the system's API."""
    key: str
    """The key that people use: OPS-17, INC0010017."""
    url: str
    status: str
    """The status in the system's own words."""
    state: IncidentState
    """The incident's state that this status stands for."""
    changed: bool
    """Whether this call made or moved the ticket."""
    carries: NotRequired[list[str]]
    """The keys of incidents that it carries, where its system can say: see `TicketSystem.is_of`."""
    cancelled: NotRequired[bool]
    """Whether it was ended without a solution: that settles nothing here."""
    archived: NotRequired[bool]
    """Whether it may only be read from now on."""
    warning: NotRequired[str]
    """What the system did not store of what was asked."""


GONE = frozenset({404, 410})
"""The statuses of Refused with which `read` says that there is no such ticket: it was deleted, or is hidden."""


S = TypeVar("S", bound=TicketSettings)


class TicketSystem(ABC, Generic[S]):
    """A system in which each incident has a ticket. Subclasses set `settings_model` and define the abstract methods.

    These may be repeated: the same call a second time changes nothing. They raise Refused when the system will never do
    what is asked, and TryLater when a later try may succeed.
    """

    settings_model: ClassVar[type[TicketSettings]]
    """The model of the table `[incidents.KIND]` in brain.toml."""
    webhook_example: ClassVar[Mapping[str, Any]] = {}
    """A body of its webhooks, for the API's documentation."""

    def __init__(self, settings: S, sender: Sender) -> None:
        """`sender` makes HTTP requests with retries."""
        self._settings = settings
        self._sender = sender

    @property
    def _webhook_secret(self) -> Secret:
        """What its webhooks are signed with, for `read_webhook`, which is called only where it is set."""
        if self._settings.webhook_secret is None:
            raise NotFound(f"{type(self).__name__} has no webhook_secret, so that no webhooks are received")
        return self._settings.webhook_secret

    @abstractmethod
    async def ensure(self, ticket: NewTicket) -> Ticket:
        """The ticket of this incident; made when there is none.

        The other calls take the ticket's id, because the system's search may show a new ticket late.
        """

    @abstractmethod
    async def comment(self, id: str, text: str, reference: str) -> bool:
        """Add a comment, unless the ticket has one with this reference or is closed; whether it was added."""

    @abstractmethod
    async def move(self, id: str, state: IncidentState, reason: str = "") -> Ticket:
        """Set the ticket's status to the one for this state; a ticket that has it, or is closed, stays as it is.

        `reason` is for systems that require one with the status. The comments have it already.
        """

    @abstractmethod
    async def read(self, id: str) -> Ticket:
        """The ticket as it is now. Raises Refused (GONE) when there is none for the account that asks."""

    def is_of(self, ticket: Ticket, incident_id: str) -> bool:
        """Whether a ticket that was read is this incident's: one that was set up again gives the same keys."""
        return True

    async def set_severity(self, id: str, severity: str) -> bool:
        """Give the ticket another severity; whether it was changed. A system without severities changes nothing."""
        return False

    def read_webhook(self, headers: Mapping[str, str], body: bytes, now: float) -> str:
        """Check the signature of a webhook that came at the Unix time `now`, and give the key of the ticket it names.

        `headers` by lower-case name. Called only with a `webhook_secret`. Raises BadSignature, InvalidInput for a body
        that names no ticket, and NotFound for a system that sends no webhooks.
        """
        raise NotFound(f"{type(self).__name__} sends no webhooks; its tickets are polled")

    def webhook_id(self, body: bytes) -> str | None:
        """The id of the ticket in a webhook's body, where that has it besides the key, which may have changed."""
        return None


TICKET_SYSTEMS: Registry[TicketSystem[Any]] = Registry("brain.ticket_systems", TicketSystem, "ticket system")
"""The installed ticket systems by kind."""


@cache
def ticket_systems() -> Mapping[str, type[TicketSystem[Any]]]:
    """The classes of all installed ticket systems by kind.

    Raises InvalidInput for a class that cannot be loaded or names no settings, and for a kind that can be no table.
    """
    return {kind: _find(kind) for kind in TICKET_SYSTEMS.kinds()}


def _find(kind: str) -> type[TicketSystem[Any]]:
    if not _KIND(kind):
        raise InvalidInput(f"ticket system kind {kind!r}: must be lower-case letters, digits and _, at most 20")
    found = TICKET_SYSTEMS.find(kind)
    model = getattr(found, "settings_model", None)
    if not (isinstance(model, type) and issubclass(model, TicketSettings)):
        raise InvalidInput(
            f"ticket system kind {kind!r}: {found.__module__}.{found.__qualname__} needs settings_model, a subclass of "
            f"{TicketSettings.__module__}.{TicketSettings.__name__}"
        )
    return found


def ticket_key(incident_id: str, longest: int, prefix: str = "brain-") -> str:
    """The key that a ticket of this incident carries. Raises InvalidInput for an empty id, which would find all."""
    if not incident_id.strip():
        raise InvalidInput("incident_id: is empty; a ticket cannot be found again by it")
    return plain_key(f"{prefix}{incident_id}", longest)


def webhook_ticket(body: bytes, *path: str) -> str:
    """The ticket's key at this path of a webhook's JSON body. Raises InvalidInput when there is none."""
    try:
        value: object = msgspec.json.decode(body)
    except JSON_FAULTS as error:
        raise InvalidInput(f"body: is not JSON: {error}") from error
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    if not isinstance(value, str) or not 1 <= len(value) <= KEY_CHARACTERS or "\0" in value:
        raise InvalidInput(f"{'.'.join(path)}: must be the key of the ticket that changed")
    return value


def with_settle_time(error: TryLater, settle_seconds: float) -> TryLater:
    """The error of a request whose answer was lost, with the time to wait before it is tried again.

    The system may have done what was asked, or may still do it. Its search must show that first.
    """
    if error.service_status in (401, 407, 408, 429):  # these say that nothing was done
        return error
    wait = max(error.retry_after or 0.0, settle_seconds)
    return TryLater(f"{error}; it may have been carried out all the same", wait, error.service_status)


def comment_mark(reference: str) -> str:
    """The end of a comment with this reference: a comment is looked for by it before it is added."""
    whole = f"brain:{reference}"
    is_plain = plain_key(whole, 60) == whole
    return f"[{whole}]" if is_plain else f"[brain:{hashlib.sha256(reference.encode()).hexdigest()[:16]}]"


def with_mark(text: str, mark: str, longest: int) -> str:
    """The comment with its mark, of at most `longest` UTF-16 units; a mark that was cut off would not be found."""
    return f"{clip_units(text, longest - len(mark) - 2)}\n\n{mark}"
