"""ServiceNow, through its Table API: records of the table `incident` that mirror incidents of ours.

Source: www.servicenow.com/docs, API reference, "Table API"; the states and what resolving needs from "Incident
management". There is no upsert: a record is found by its `correlation_id` (at most 100 characters) before one is
created. An instance ignores a term of a query that it does not understand, and then finds everything: what was found
is compared with what was asked for, an id is never empty, and a record that is closed or cancelled is never changed.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec
from pydantic import BaseModel, ConfigDict, Field, model_validator

from brain.connectors.sender import Request, Sender, TryLater, json_request, read_words
from brain.connectors.tickets import NewTicket, Noted, State, Ticket, note_mark, ticket_key, unsure
from brain.connectors.urls import BaseUrl
from brain.errors import InvalidInput
from brain.secret import Secret
from brain.text import clip_text, one_line

SERVICE = "ServiceNow"
CORRELATION_CHARACTERS = 100
_TITLE, _TEXT = 160, 4000
_CODES: Mapping[State, str] = {"NEW": "1", "IN_PROGRESS": "2", "ON_HOLD": "3", "RESOLVED": "6", "CLOSED": "7"}
_STATES: Mapping[str, State] = {**{code: state for state, code in _CODES.items()}, "8": "CLOSED"}
_NAMES = {"1": "New", "2": "In Progress", "3": "On Hold", "6": "Resolved", "7": "Closed", "8": "Canceled"}
_CLOSED = ("7", "8")
_FIELDS = "sys_id,number,state,correlation_id"
_URGENCY = {"CRITICAL": "1", "HIGH": "1", "ERROR": "1", "MEDIUM": "2", "WARNING": "2"}


class ServiceNowSettings(BaseModel):
    """One instance."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: BaseUrl = Field(description="The instance, such as https://example.service-now.com")
    user: str = Field(default="", description="User for basic authentication, with `password`")
    password: Secret | None = Field(default=None, description="Password of that user")
    token: Secret | None = Field(default=None, description="OAuth access token, in the place of user and password")
    fields: Mapping[str, str] = Field(
        default={}, description="More fields of a new record, such as assignment_group, caller_id or category"
    )
    close_code: str = Field(default="Solution provided", description="Resolution code; the instance lists its own")
    hold_reason: str = Field(
        default="", description="Value of hold_reason for a record put on hold, where one is needed"
    )
    settle_seconds: float = Field(
        default=20.0, ge=0, description="How long a request whose answer was lost may still be carried out"
    )

    @model_validator(mode="after")
    def _one_login(self) -> ServiceNowSettings:
        if (self.token is None) == (not self.user or self.password is None):
            raise ValueError("give either token, or user and password")
        return self


class ServiceNow:
    """A Desk (see tickets.py) over one instance."""

    def __init__(self, sender: Sender, settings: ServiceNowSettings) -> None:
        self._sender = sender
        self._settings = settings

    async def find(self, incident_id: str) -> Ticket | None:
        """The record of this incident, the oldest if there are several; None when there is none."""
        wanted = correlation_id(incident_id)
        found = await self._ask(find_request(self._settings, incident_id))
        ours = [record for record in found if isinstance(record, dict) and record.get("correlation_id") == wanted]
        return self._ticket(ours[0], changed=False) if ours else None

    async def ensure(self, ticket: NewTicket) -> Ticket:
        """The record of this incident; created when none is found. Raises Refused and TryLater."""
        if found := await self.find(ticket.incident_id):
            return found
        return self._ticket(await self._do(create_request(self._settings, ticket)), changed=True)

    async def note(self, id: str, text: str, reference: str) -> Noted:
        """Add a work note, unless the record has one with this reference or is closed. Raises Refused and TryLater."""
        record = await self._ask(notes_request(self._settings, id))
        state, notes = record["state"]["value"], record["work_notes"]["display_value"]
        mark = note_mark(reference)
        if mark in notes:
            return Noted(added=False, why="it was there")
        if state in _CLOSED:
            return Noted(added=False, why=f"the record is {_NAMES[state].lower()}")
        await self._do(change_request(self._settings, id, {"work_notes": _with_mark(text, mark)}))
        return Noted(added=True, why="")

    async def move(self, id: str, state: State, note: str = "", reference: str = "") -> Ticket:
        """Set the state; `note` becomes the close notes of a resolved record, else a work note.

        A record that is there already, or is closed or cancelled, stays as it is. Raises Refused and TryLater.
        """
        now = await self._ask(read_request(self._settings, id))
        code = _CODES[state]
        if now["state"] in (code, *_CLOSED):
            return self._ticket(now, changed=False)
        changes = state_changes(self._settings, state, note)
        return self._ticket(await self._do(change_request(self._settings, id, changes)), changed=True)

    async def read(self, id: str) -> Ticket:
        """The record as it is now. Raises Refused (404: deleted, or hidden from the user) and TryLater."""
        return self._ticket(await self._ask(read_request(self._settings, id)), changed=False)

    async def _do(self, request: Request) -> Any:
        """What a request that does something is answered with; tried once, since a second time could do it twice."""
        try:
            return await self._ask(request, retry=False)
        except TryLater as error:
            raise unsure(error, self._settings.settle_seconds) from error

    async def _ask(self, request: Request, retry: bool = True) -> Any:
        answer = await self._sender.send(SERVICE, request, words=_words, retry=retry)
        found = answer.json()
        if not isinstance(found, dict) or "result" not in found:  # as an instance answers that is asleep, with a page
            raise TryLater(f"{SERVICE} answered {answer.status} without a result")
        return found["result"]

    def _ticket(self, record: Mapping[str, Any], *, changed: bool) -> Ticket:
        code = str(record["state"])
        url = f"{self._settings.url}/incident.do?sys_id={record['sys_id']}"
        return Ticket(
            system="servicenow",
            id=record["sys_id"],
            key=record["number"],
            url=url,
            status=_NAMES.get(code, code),
            state=_STATES.get(code, "IN_PROGRESS"),
            changed=changed,
        )


def correlation_id(incident_id: str) -> str:
    """What the record of an incident carries, hashed where too long. Raises InvalidInput for an empty id."""
    return ticket_key(incident_id, CORRELATION_CHARACTERS)


def find_request(settings: ServiceNowSettings, incident_id: str) -> Request:
    """Finds the records with the incident's correlation id, the oldest first."""
    query = f"correlation_id={correlation_id(incident_id)}^ORDERBYsys_created_on"
    return _request(settings, "GET", "", query={"sysparm_query": query, "sysparm_limit": "10"})


def create_request(settings: ServiceNowSettings, ticket: NewTicket) -> Request:
    """Creates the record of an incident."""
    text = f"{ticket.description}\n\n{ticket.url}" if ticket.url else ticket.description
    urgency = _URGENCY.get(ticket.severity.upper(), "3")
    record = {
        **settings.fields,
        "short_description": one_line(ticket.title, _TITLE) or "(no title)",
        "description": clip_text(text, _TEXT),
        "urgency": urgency,
        "impact": urgency,
        "correlation_id": correlation_id(ticket.incident_id),
        "correlation_display": "BRAiN EventStream",
    }
    return _request(settings, "POST", "", record)


def read_request(settings: ServiceNowSettings, id: str) -> Request:
    """Asks for a record's state."""
    return _request(settings, "GET", f"/{_sys_id(id)}")


def notes_request(settings: ServiceNowSettings, id: str) -> Request:
    """Asks for a record's state and work notes, which only have a display value."""
    query = {"sysparm_fields": "state,work_notes", "sysparm_display_value": "all"}
    return _request(settings, "GET", f"/{_sys_id(id)}", query=query)


def change_request(settings: ServiceNowSettings, id: str, changes: Mapping[str, str]) -> Request:
    """Changes fields of a record."""
    return _request(settings, "PATCH", f"/{_sys_id(id)}", dict(changes))


def state_changes(settings: ServiceNowSettings, state: State, note: str) -> dict[str, str]:
    """The fields that bring a record to a state of ours."""
    changes = {"state": _CODES[state]}
    if state in ("RESOLVED", "CLOSED"):
        notes = clip_text(note, _TEXT) or "Resolved in BRAiN EventStream"
        return {**changes, "close_code": settings.close_code, "close_notes": notes}
    if state == "ON_HOLD" and settings.hold_reason:
        changes["hold_reason"] = settings.hold_reason
    if note:
        changes["work_notes"] = clip_text(note, _TEXT)
    return changes


def _request(
    settings: ServiceNowSettings,
    method: str,
    path: str,
    content: object = None,
    query: Mapping[str, str] | None = None,
) -> Request:
    asked = {"sysparm_fields": _FIELDS, "sysparm_exclude_reference_link": "true", **(query or {})}
    url = f"{settings.url}/api/now/table/incident{path}"
    return json_request(method, url, content, headers={"Authorization": _login(settings)}, query=asked)


def _login(settings: ServiceNowSettings) -> str:
    if settings.token is not None:
        return f"Bearer {settings.token.reveal()}"
    assert settings.password is not None
    return f"Basic {base64.b64encode(f'{settings.user}:{settings.password.reveal()}'.encode()).decode()}"


def _sys_id(id: str) -> str:
    """The id as a part of a path. Raises InvalidInput for an empty one, by which the whole table would be addressed."""
    if not id.strip():
        raise InvalidInput("id: is empty; the sys_id of a record is needed")
    return quote(id, safe="")


def _with_mark(text: str, mark: str) -> str:
    return f"{clip_text(text, _TEXT - len(mark) - 2)}\n\n{mark}"


def _words(body: bytes) -> str:
    """ServiceNow's own: message and detail."""
    try:
        error = msgspec.json.decode(body)["error"]
        return read_words(f"{error['message']}: {error.get('detail') or ''}".encode())
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError):
        return read_words(body)
