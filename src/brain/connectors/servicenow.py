"""ServiceNow, through its Table API: records of the table `incident` that mirror incidents.

Source: www.servicenow.com/docs, API reference, "Table API"; the states and the fields that resolving needs from
"Incident management". There is no upsert: a record is found by its `correlation_id` (at most 100 characters) before one
is created. An instance ignores a term of a query that it does not understand, and then finds everything. So each record
found is compared with the query, an id is never empty, and a record that is closed or cancelled is never changed. A
field that an access rule (ACL) hides is left out of an answer, one that it protects is not written, both with a status
of 200 or 201 (community.servicenow.com, "ACL allow to write for some specific fields still return status code 200"):
what was written is read back. ServiceNow is written in Java: lengths are UTF-16 units.
ServiceNow signs no webhooks: a business rule signs them by Standard Webhooks; docs/incidents.md has one.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import quote

import msgspec
from pydantic import Field, model_validator

from brain.charter import IncidentState
from brain.connectors.sender import NotYet, Refused, Request, Sender, TryLater, json_request, read_words
from brain.connectors.templates import filled
from brain.connectors.tickets import (
    GONE,
    NewTicket,
    Ticket,
    TicketSettings,
    TicketSystem,
    comment_mark,
    ticket_key,
    webhook_ticket,
    with_mark,
    with_settle_time,
)
from brain.connectors.urls import BaseUrl
from brain.connectors.webhook import verify
from brain.errors import InvalidInput
from brain.json_text import JSON_FAULTS
from brain.neutral import servicenow_text
from brain.secret import Secret
from brain.text import clip_units, one_line_units
from brain.typed import ready

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
_CANCELLED = "8"
_FIELDS = "sys_id,number,state,correlation_id,urgency,impact,close_code"
_URGENCY = {"CRITICAL": "1", "HIGH": "1", "MEDIUM": "2"}


class ServiceNowSettings(TicketSettings):
    """ServiceNow: one instance, with a record of its table `incident` for each incident."""

    url: BaseUrl = Field(description="The instance, such as https://example.service-now.com")
    user: str = Field(default="", description="User for basic authentication, with `password`")
    password: Secret | None = Field(default=None, description="Password of that user")
    token: Secret | None = Field(default=None, description="OAuth access token, in the place of user and password")
    fields: Mapping[str, str] = Field(
        default={},
        description="More fields of a new record, such as assignment_group or category; {title}, {severity}, "
        "{incident_id} and {url} stand for them",
    )
    close_code: str = Field(default="Solution provided", description="Resolution code; the instance lists its own")
    cancelled: tuple[str, ...] = Field(
        default=("Duplicate",),
        description="Resolution codes that settle nothing: they end the mirror and leave the incident as it is",
    )
    hold_reason: str = Field(
        default="", description="Value of hold_reason for a record put on hold, where one is needed"
    )
    states: Mapping[IncidentState, str] = Field(
        default={}, description="Values of `state`, where they are not 1, 2, 3, 6 and 7; an empty one moves nothing"
    )
    state_fields: Mapping[IncidentState, Mapping[str, str]] = Field(
        default={}, description="More fields for a change to a state, as a policy may demand; {reason} stands for why"
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

    def __init__(self, settings: ServiceNowSettings, sender: Sender) -> None:
        super().__init__(settings, sender)
        self._is_readable = False
        """Whether records were seen that show their correlation_id."""
        self._unkeyed: tuple[str, str] | None = None
        """The sys_id of a record that was made without its correlation_id, which access rules protect, and that id."""

    async def find(self, incident_id: str) -> Ticket | None:
        """The incident's record, the oldest if there are several; None when there is none.

        Raises NotYet when the account may not read the field that it is found by.
        """
        wanted = correlation_id(incident_id)
        found = await self._list(find_request(self._settings, incident_id))
        self._check_readable(found)
        ours = [record for record in found if record.get("correlation_id") == wanted]
        if not ours and not self._is_readable:
            self._check_readable(await self._list(any_request(self._settings)))
        return self._ticket(ours[0], changed=False) if ours else None

    def _check_readable(self, records: Sequence[Mapping[str, Any]]) -> None:
        """An access rule leaves a field out: a search by it finds nothing, and each try would make another record."""
        if any("correlation_id" not in record for record in records):
            raise NotYet(f"{SERVICE} hides correlation_id from the account; grant it to read and write that field")
        self._is_readable = self._is_readable or bool(records)

    async def ensure(self, ticket: NewTicket) -> Ticket:
        """The incident's record; created when none is found, and compared with what was written.

        Raises Refused and TryLater.
        """
        if found := await self.find(ticket.incident_id):
            return found
        await self._check_writable()
        wanted = new_record(self._settings, ticket)
        record = await self._change(create_request(self._settings, ticket))
        made = self._ticket({**record, "correlation_id": wanted["correlation_id"]}, changed=True)
        if lost := [name for name in ("correlation_id", "urgency", "impact") if record.get(name) != wanted[name]]:
            made["warning"] = f"{SERVICE} did not store {', '.join(lost)}; grant the account to read and write that"
            self._is_readable = False
            if "correlation_id" in lost:
                self._unkeyed = made["id"], wanted["correlation_id"]
        return made

    async def _check_writable(self) -> None:
        """After a record could not be given its key: no further one, which could not be found again either."""
        if self._unkeyed is None:
            return
        id, wanted = self._unkeyed
        after = await self._change(change_request(self._settings, id, {"correlation_id": wanted}))
        if after.get("correlation_id") != wanted:
            raise NotYet(f"{SERVICE} lets the account write no correlation_id; grant it to read and write that field")
        self._unkeyed = None

    def is_of(self, ticket: Ticket, incident_id: str) -> bool:
        """Whether the record has no other incident's correlation id; access rules may keep it from having one."""
        return ticket.get("carries", [""]) in ([correlation_id(incident_id)], [""])

    async def comment(self, id: str, text: str, reference: str) -> bool:
        """Add a work note, unless the record has one with this reference or is closed; whether it was added.

        Raises Refused and TryLater.
        """
        mark = comment_mark(reference)
        state, notes = await self._notes(id)
        if mark in notes or state in _CLOSED:
            return False
        await self._change(
            change_request(self._settings, id, {"work_notes": with_mark(servicenow_text(text), mark, _TEXT)})
        )
        if mark not in (await self._notes(id))[1]:
            raise Refused(SERVICE, 403, "it answered yes and did not store the work note: an access rule forbids it")
        return True

    async def _notes(self, id: str) -> tuple[str, str]:
        """The record's state and work notes. Raises Refused when the account may not read them."""
        record = await self._send(notes_request(self._settings, id))
        if not all(isinstance(record.get(name), dict) for name in ("work_notes", "state")):
            raise Refused(SERVICE, 403, "state or work_notes is hidden from the account; grant it to read them")
        return str(record["state"].get("value")), str(record["work_notes"].get("display_value"))

    async def move(self, id: str, state: IncidentState, reason: str = "") -> Ticket:
        """Set the state; `reason` becomes the close notes of a record that is resolved or closed.

        A record that has the state, or is closed or cancelled, stays as it is. Raises Refused and TryLater.
        """
        wanted = self._settings.states.get(state, _CODES[state])
        now = await self._record(id)
        if not wanted or str(now.get("state")) in (wanted, *_CLOSED):
            return self._ticket(now, changed=False)
        changes = state_changes(self._settings, state, reason)
        after = self._ticket(await self._change(change_request(self._settings, id, changes)), changed=True)
        if after["state"] not in (self._state(wanted), IncidentState.CLOSED):
            words = f"it answered yes and left the record {after['status']!r}: a rule of the instance forbids that"
            raise Refused(SERVICE, 409, words)
        return after

    async def set_severity(self, id: str, severity: str) -> bool:
        """Set urgency and impact, unless the record is closed. Raises Refused and TryLater."""
        if str((await self._record(id)).get("state")) in _CLOSED:
            return False
        wanted = urgency_of(severity)
        after = await self._change(change_request(self._settings, id, wanted))
        if any(str(after.get(name)) != value for name, value in wanted.items()):
            raise Refused(SERVICE, 403, "it answered yes and did not store urgency and impact: access rules forbid it")
        return True

    async def read(self, id: str) -> Ticket:
        """The record as it is now. Raises Refused (404: deleted, or hidden from the user) and TryLater."""
        return self._ticket(await self._record(id), changed=False)

    async def _record(self, id: str) -> dict[str, Any]:
        return await self._send(read_request(self._settings, id))

    def read_webhook(self, headers: Mapping[str, str], body: bytes, now: float) -> str:
        """The number of the record, once the signature was checked. Raises BadSignature and InvalidInput."""
        verify([self._webhook_secret], headers, body, now)
        return webhook_ticket(body, "number")

    async def _change(self, request: Request) -> dict[str, Any]:
        """The answer to a request that changes something; sent once, since a second time could do it twice."""
        try:
            return await self._send(request, retry=False)
        except TryLater as error:
            raise with_settle_time(error, self._settings.settle_seconds) from error

    async def _list(self, request: Request) -> list[dict[str, Any]]:
        """The records of an answer."""
        found: list[dict[str, Any]] = await self._result(request, list[dict[str, Any]])
        return found

    async def _send(self, request: Request, retry: bool = True) -> dict[str, Any]:
        """The record of an answer."""
        found: dict[str, Any] = await self._result(request, dict[str, Any], retry)
        return found

    async def _result(self, request: Request, shape: Any, retry: bool = True) -> Any:
        """What the answer has as its result. An instance that is asleep, or a proxy, answers with something else.

        Raises Refused, and TryLater for an answer that is not ServiceNow's.
        """
        bodies: list[bytes] = []

        def words(body: bytes) -> str:
            bodies.append(body)
            return _words(body)

        try:
            answer = await self._sender.send(SERVICE, request, words=words, retry=retry)
        except Refused as error:
            if error.service_status not in GONE or _is_error(bodies[-1]):
                raise
            said = f"{SERVICE} answered {error.service_status}, and not in its own form; check `url`: {error.words}"
            raise TryLater(said, about_connection=True) from error
        found = answer.json()
        try:
            return msgspec.convert(
                found["result"] if isinstance(found, dict) and "result" in found else None, ready(shape)
            )
        except msgspec.ValidationError as error:
            said = f"{SERVICE} answered {answer.status} without a result of the form that it documents: {error}"
            raise TryLater(said, about_connection=True) from error

    def _ticket(self, record: Mapping[str, Any], *, changed: bool) -> Ticket:
        if missing := [name for name in ("sys_id", "number", "state") if not record.get(name)]:
            raise Refused(SERVICE, 403, f"{', '.join(missing)} is hidden from the account; grant it to read that")
        code = str(record["state"])
        ticket = Ticket(
            id=record["sys_id"],
            key=record["number"],
            url=f"{self._settings.url}/incident.do?sys_id={record['sys_id']}",
            status=_NAMES.get(code, code),
            state=self._state(code),
            changed=changed,
            cancelled=code == _CANCELLED or self._settles_nothing(code, record),
        )
        if "correlation_id" in record:
            ticket["carries"] = [record["correlation_id"]]
        return ticket

    def _settles_nothing(self, code: str, record: Mapping[str, Any]) -> bool:
        """Whether it was resolved by a code such as that of a record that was merged into another."""
        is_over = self._state(code) in (IncidentState.RESOLVED, IncidentState.CLOSED)
        ends = {name.casefold() for name in self._settings.cancelled if name != self._settings.close_code}
        return is_over and str(record.get("close_code") or "").casefold() in ends

    def _state(self, code: str) -> IncidentState:
        own = {number: state for state, number in reversed([*self._settings.states.items()])}
        return own.get(code) or _STATES.get(code, IncidentState.IN_PROGRESS)


def correlation_id(incident_id: str) -> str:
    """The correlation id of an incident's record, hashed where too long. Raises InvalidInput for an empty id."""
    return ticket_key(incident_id, CORRELATION_CHARACTERS)


def find_request(settings: ServiceNowSettings, incident_id: str) -> Request:
    """Finds the records with the incident's correlation id, the oldest first."""
    query = f"correlation_id={correlation_id(incident_id)}^ORDERBYsys_created_on"
    return _request(settings, "GET", "", query={"sysparm_query": query, "sysparm_limit": "10"})


def any_request(settings: ServiceNowSettings) -> Request:
    """Finds any record, to see which fields the account may read."""
    return _request(settings, "GET", "", query={"sysparm_limit": "1"})


def create_request(settings: ServiceNowSettings, ticket: NewTicket) -> Request:
    """Creates the record of an incident."""
    return _request(settings, "POST", "", new_record(settings, ticket))


def urgency_of(severity: str) -> dict[str, str]:
    """The urgency and the impact for a severity."""
    urgency = _URGENCY.get(severity.upper(), "3")
    return {"urgency": urgency, "impact": urgency}


def new_record(settings: ServiceNowSettings, ticket: NewTicket) -> dict[str, str]:
    """The fields of an incident's record."""
    text = f"{ticket.description}\n\n{ticket.url}" if ticket.url else ticket.description
    names = {"title": ticket.title, "severity": ticket.severity, "incident_id": ticket.incident_id, "url": ticket.url}
    names = {name: servicenow_text(value) for name, value in names.items()}
    return {
        "short_description": one_line_units(servicenow_text(ticket.title), _TITLE) or "(no title)",
        "description": clip_units(servicenow_text(text), _TEXT),
        **urgency_of(ticket.severity),
        **filled(settings.fields, names),
        "correlation_id": correlation_id(ticket.incident_id),
        "correlation_display": "BRAiN EventStream",
    }


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
    changes = {"state": settings.states.get(state, _CODES[state])}
    if state in (IncidentState.RESOLVED, IncidentState.CLOSED):
        notes = clip_units(servicenow_text(reason), _TEXT) or "Resolved in BRAiN EventStream"
        changes |= {"close_code": settings.close_code, "close_notes": notes}
    if state is IncidentState.ON_HOLD and settings.hold_reason:
        changes["hold_reason"] = settings.hold_reason
    return {**changes, **filled(settings.state_fields.get(state, {}), {"reason": servicenow_text(reason)})}


def _request(
    settings: ServiceNowSettings,
    method: str,
    path: str,
    content: object = None,
    query: Mapping[str, str] | None = None,
) -> Request:
    asked = {
        "sysparm_fields": _FIELDS,
        "sysparm_exclude_reference_link": "true",
        "sysparm_display_value": "false",
        **(query or {}),
    }
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


def _is_error(body: bytes) -> bool:
    """Whether that is an error as ServiceNow words it."""
    try:
        found = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return False
    return isinstance(found, dict) and isinstance(found.get("error"), dict)


def _words(body: bytes) -> str:
    """ServiceNow's own words: message and detail."""
    try:
        error = msgspec.json.decode(body)["error"]
        return read_words(f"{error['message']}: {error.get('detail') or ''}".encode())
    except (*JSON_FAULTS, KeyError, TypeError, AttributeError):
        return read_words(body)
