"""ServiceNow, through its Table API: records of the table `incident` that mirror incidents.

Source: www.servicenow.com/docs, API reference, "Table API"; the states and the fields that resolving needs from
"Incident management". There is no upsert: a record is found by its `correlation_id` (at most 100 characters) before one
is created. An instance ignores a term of a query that it does not understand, and then finds everything. So each record
found is compared with the query, an id is never empty, and a record that is closed or cancelled is never changed.
ServiceNow signs no webhooks: a business rule signs them by Standard Webhooks; docs/incidents.md has one.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import quote

import msgspec
from pydantic import Field, model_validator

from brain.charter import IncidentState
from brain.connectors.sender import Request, TryLater, json_request, read_words
from brain.connectors.tickets import (
    NewTicket,
    Ticket,
    TicketSettings,
    TicketSystem,
    comment_mark,
    ticket_key,
    webhook_ticket,
    with_settle_time,
)
from brain.connectors.urls import BaseUrl
from brain.connectors.webhook import verify
from brain.errors import InvalidInput
from brain.secret import Secret
from brain.text import clip_text, one_line

SERVICE = "ServiceNow"
CORRELATION_CHARACTERS = 100
_TITLE, _TEXT = 160, 4000
_CODES: Mapping[IncidentState, str] = {
    IncidentState.NEW: "1",
    IncidentState.IN_PROGRESS: "2",
    IncidentState.ON_HOLD: "3",
    IncidentState.RESOLVED: "6",
    IncidentState.CLOSED: "7",
}
_STATES: Mapping[str, IncidentState] = {**{code: state for state, code in _CODES.items()}, "8": IncidentState.CLOSED}
_NAMES = {"1": "New", "2": "In Progress", "3": "On Hold", "6": "Resolved", "7": "Closed", "8": "Canceled"}
_CLOSED = ("7", "8")
_FIELDS = "sys_id,number,state,correlation_id"
_URGENCY = {"CRITICAL": "1", "HIGH": "1", "MEDIUM": "2"}


class ServiceNowSettings(TicketSettings):
    """ServiceNow: one instance, with a record of its table `incident` for each incident."""

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

    @model_validator(mode="after")
    def _one_login(self) -> ServiceNowSettings:
        if (self.token is None) == (not self.user or self.password is None):
            raise ValueError("give either token, or user and password")
        return self


class ServiceNow(TicketSystem[ServiceNowSettings]):
    """The TicketSystem over one instance."""

    settings_model: ClassVar[type[TicketSettings]] = ServiceNowSettings
    webhook_example: ClassVar[Mapping[str, Any]] = {"number": "INC0010017"}

    async def find(self, incident_id: str) -> Ticket | None:
        """The incident's record, the oldest if there are several; None when there is none."""
        wanted = correlation_id(incident_id)
        found = await self._send(find_request(self._settings, incident_id))
        ours = [record for record in found if isinstance(record, dict) and record.get("correlation_id") == wanted]
        return self._ticket(ours[0], changed=False) if ours else None

    async def ensure(self, ticket: NewTicket) -> Ticket:
        """The incident's record; created when none is found. Raises Refused and TryLater."""
        if found := await self.find(ticket.incident_id):
            return found
        return self._ticket(await self._change(create_request(self._settings, ticket)), changed=True)

    async def comment(self, id: str, text: str, reference: str) -> bool:
        """Add a work note, unless the record has one with this reference or is closed; whether it was added.

        Raises Refused and TryLater.
        """
        record = await self._send(notes_request(self._settings, id))
        state, notes = record["state"]["value"], record["work_notes"]["display_value"]
        mark = comment_mark(reference)
        if mark in notes or state in _CLOSED:
            return False
        await self._change(change_request(self._settings, id, {"work_notes": _with_mark(text, mark)}))
        return True

    async def move(self, id: str, state: IncidentState, reason: str = "") -> Ticket:
        """Set the state; `reason` becomes the close notes of a record that is resolved or closed.

        A record that has the state, or is closed or cancelled, stays as it is. Raises Refused and TryLater.
        """
        now = await self._send(read_request(self._settings, id))
        if now["state"] in (_CODES[state], *_CLOSED):
            return self._ticket(now, changed=False)
        changes = state_changes(self._settings, state, reason)
        return self._ticket(await self._change(change_request(self._settings, id, changes)), changed=True)

    async def read(self, id: str) -> Ticket:
        """The record as it is now. Raises Refused (404: deleted, or hidden from the user) and TryLater."""
        return self._ticket(await self._send(read_request(self._settings, id)), changed=False)

    def read_webhook(self, headers: Mapping[str, str], body: bytes, now: float) -> str:
        """The number of the record, once the signature was checked. Raises BadSignature and InvalidInput."""
        verify([self._webhook_secret], headers, body, now)
        return webhook_ticket(body, "number")

    async def _change(self, request: Request) -> Any:
        """The answer to a request that changes something; sent once, since a second time could do it twice."""
        try:
            return await self._send(request, retry=False)
        except TryLater as error:
            raise with_settle_time(error, self._settings.settle_seconds) from error

    async def _send(self, request: Request, retry: bool = True) -> Any:
        answer = await self._sender.send(SERVICE, request, words=_words, retry=retry)
        found = answer.json()
        if not isinstance(found, dict) or "result" not in found:  # an instance that is asleep answers with a page
            raise TryLater(f"{SERVICE} answered {answer.status} without a result")
        return found["result"]

    def _ticket(self, record: Mapping[str, Any], *, changed: bool) -> Ticket:
        code = str(record["state"])
        return Ticket(
            id=record["sys_id"],
            key=record["number"],
            url=f"{self._settings.url}/incident.do?sys_id={record['sys_id']}",
            status=_NAMES.get(code, code),
            state=_STATES.get(code, IncidentState.IN_PROGRESS),
            changed=changed,
        )


def correlation_id(incident_id: str) -> str:
    """The correlation id of an incident's record, hashed where too long. Raises InvalidInput for an empty id."""
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


def state_changes(settings: ServiceNowSettings, state: IncidentState, reason: str) -> dict[str, str]:
    """The fields that bring a record to this state."""
    changes = {"state": _CODES[state]}
    if state in (IncidentState.RESOLVED, IncidentState.CLOSED):
        notes = clip_text(reason, _TEXT) or "Resolved in BRAiN EventStream"
        return {**changes, "close_code": settings.close_code, "close_notes": notes}
    if state is IncidentState.ON_HOLD and settings.hold_reason:
        changes["hold_reason"] = settings.hold_reason
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
    """ServiceNow's own words: message and detail."""
    try:
        error = msgspec.json.decode(body)["error"]
        return read_words(f"{error['message']}: {error.get('detail') or ''}".encode())
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError):
        return read_words(body)
