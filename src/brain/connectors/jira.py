"""Jira Cloud, through its REST API v3: issues that mirror incidents.

Source: developer.atlassian.com/cloud/jira/platform/rest/v3: "Create issue", "Add comment", "Get comments", "Get" and
"Transition issue", "Search for issues using JQL enhanced search (POST)"; basic auth with an API token as in "Basic auth
for REST APIs"; webhooks as in "Webhooks", "Secure admin webhooks". Jira has no key for a request: an issue is found by
a label made from the incident's id, before one is created. Jira's search shows a new issue only after a moment. A
creation whose answer was lost is therefore not repeated at once: TryLater asks for `settle_seconds` first.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import quote

import msgspec
from pydantic import Field

from brain.charter import IncidentState
from brain.connectors.adf import adf_to_text, text_to_adf
from brain.connectors.sender import Refused, Request, Sender, TryLater, json_request, read_words
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
from brain.connectors.webhook import verify_hub
from brain.secret import Secret
from brain.text import one_line

SERVICE = "Jira"
SUMMARY_CHARACTERS = 255
LABEL_CHARACTERS = 255
_COMMENTS = 100
_CATEGORIES: Mapping[str, IncidentState] = {
    "new": IncidentState.NEW,
    "indeterminate": IncidentState.IN_PROGRESS,
    "done": IncidentState.RESOLVED,
}


class JiraSettings(TicketSettings):
    """Jira Cloud: one project of one site, with an issue for each incident."""

    url: BaseUrl = Field(description="The site, such as https://example.atlassian.net")
    user: str = Field(description="E-mail address of the account")
    token: Secret = Field(description="API token of the account")
    project: str = Field(pattern=r"^[A-Z][A-Z0-9_]+$", description="Key of the project")
    issue_type: str = Field(default="Task", description="Name of the issue type")
    labels: tuple[str, ...] = Field(default=("brain",), description="Labels of every issue, besides the incident's own")
    priorities: Mapping[str, str] = Field(
        default={}, description="Names of Jira's priorities by severity; none is set for a severity left out"
    )
    statuses: Mapping[IncidentState, str] = Field(
        default={
            IncidentState.NEW: "To Do",
            IncidentState.IN_PROGRESS: "In Progress",
            IncidentState.RESOLVED: "Done",
            IncidentState.CLOSED: "Done",
        },
        description="The status, or the transition to it, for each state; a state left out moves nothing",
    )


class Jira(TicketSystem[JiraSettings]):
    """The TicketSystem over one project."""

    settings_model: ClassVar[type[TicketSettings]] = JiraSettings
    webhook_example: ClassVar[Mapping[str, Any]] = {
        "timestamp": 1703001834567,
        "webhookEvent": "jira:issue_updated",
        "issue": {"id": "10017", "key": "OPS-17"},
    }

    def __init__(self, settings: JiraSettings, sender: Sender) -> None:
        super().__init__(settings, sender)
        self._made: dict[str, tuple[Ticket, float]] = {}
        """Issues of this process, and when each was created: Jira's search may not show them yet."""

    async def find(self, incident_id: str) -> Ticket | None:
        """The incident's issue, the oldest if there are several; None when there is none."""
        found = (await self._read(search_request(self._settings, incident_id), "issues"))["issues"]
        return self._ticket(found[0], changed=False) if found else None

    async def ensure(self, ticket: NewTicket) -> Ticket:
        """The incident's issue; created when none is found. Raises Refused and TryLater."""
        name = label(ticket.incident_id)
        now = time.monotonic()
        self._made = {one: made for one, made in self._made.items() if now - made[1] < self._settings.settle_seconds}
        if name in self._made:
            return {**self._made[name][0], "changed": False}
        if found := await self.find(ticket.incident_id):
            return found
        made = await self._change(create_request(self._settings, ticket))
        status = self._settings.statuses.get(IncidentState.NEW, "")
        issue = self._ticket({**made, "fields": {"status": {"name": status}}}, changed=True)
        self._made[name] = issue, time.monotonic()
        return issue

    async def comment(self, id: str, text: str, reference: str) -> bool:
        """Add a comment, unless one of the last hundred has this reference; whether it was added.

        Raises Refused and TryLater.
        """
        mark = comment_mark(reference)
        page = await self._read(comments_request(self._settings, id), "comments")
        if any(mark in adf_to_text(comment.get("body")) for comment in page["comments"]):
            return False
        await self._change(comment_request(self._settings, id, f"{text}\n\n{mark}"))
        return True

    async def move(self, id: str, state: IncidentState, reason: str = "") -> Ticket:
        """Make the transition to the status for this state. Raises Refused and TryLater.

        An issue that has this status stays as it is, and so does any issue when the settings leave the state out.
        Jira requires no `reason`.
        """
        wanted = self._settings.statuses.get(state, "")
        now = await self.read(id)
        if not wanted or _same(now["status"], wanted):
            return now
        listed = (await self._read(transitions_request(self._settings, id), "transitions"))["transitions"]
        chosen = next((one for one in listed if _leads_to(one, wanted)), None)
        if chosen is None:
            names = ", ".join(f"{one['name']} (to {one['to']['name']})" for one in listed) or "none"
            words = (
                f"no transition to {wanted!r} from {now['status']!r}; there are: {names}; see the setting `statuses`"
            )
            raise Refused(SERVICE, 409, words)
        await self._change(transition_request(self._settings, id, chosen["id"]))
        return self._ticket({"id": now["id"], "key": now["key"], "fields": {"status": chosen["to"]}}, changed=True)

    async def read(self, id: str) -> Ticket:
        """The issue as it is now. Raises Refused (404: deleted, or hidden from the account) and TryLater."""
        return self._ticket(await self._read(read_request(self._settings, id), "fields"), changed=False)

    def read_webhook(self, headers: Mapping[str, str], body: bytes, now: float) -> str:
        """The key of the issue, once `X-Hub-Signature` was checked. Raises BadSignature and InvalidInput."""
        verify_hub(self._webhook_secret, headers, body)
        return webhook_ticket(body, "issue", "key")

    async def _read(self, request: Request, expected: str) -> dict[str, Any]:
        """The answer to a request that changes nothing. Raises TryLater when `expected` is not in it."""
        answer = await self._sender.send(SERVICE, request, words=_words)
        found = answer.json()
        if not isinstance(found, dict) or expected not in found:
            raise TryLater(f"{SERVICE} answered {answer.status} without {expected!r}")
        return found

    async def _change(self, request: Request) -> dict[str, Any]:
        """The answer to a request that changes something; sent once, since a second time could do it twice."""
        try:
            answer = await self._sender.send(SERVICE, request, words=_words, retry=False)
            return dict(answer.json() or {})
        except TryLater as error:
            raise with_settle_time(error, self._settings.settle_seconds) from error

    def _ticket(self, issue: Mapping[str, Any], *, changed: bool) -> Ticket:
        status = issue["fields"]["status"]
        return Ticket(
            id=issue["id"],
            key=issue["key"],
            url=f"{self._settings.url}/browse/{issue['key']}",
            status=status["name"],
            state=self._state(status),
            changed=changed,
        )

    def _state(self, status: Mapping[str, Any]) -> IncidentState:
        """The state for a status: by its name where the settings have it, else by its category."""
        for state, name in self._settings.statuses.items():
            if _same(name, status["name"]):
                return state
        return _CATEGORIES.get(status.get("statusCategory", {}).get("key", ""), IncidentState.NEW)


def label(incident_id: str) -> str:
    """The label by which an incident's issue is found. Raises InvalidInput for an empty id."""
    return ticket_key(incident_id, LABEL_CHARACTERS)


def search_request(settings: JiraSettings, incident_id: str) -> Request:
    """Finds the issues that carry the incident's label."""
    jql = f'project = "{settings.project}" AND labels = "{label(incident_id)}" ORDER BY created ASC'
    return _request(settings, "POST", "search/jql", {"jql": jql, "fields": ["status"], "maxResults": 2})


def create_request(settings: JiraSettings, ticket: NewTicket) -> Request:
    """Creates the issue of an incident."""
    own = [one_line(text, LABEL_CHARACTERS).replace(" ", "-") for text in (*settings.labels, *ticket.labels) if text]
    fields: dict[str, Any] = {
        "project": {"key": settings.project},
        "issuetype": {"name": settings.issue_type},
        "summary": one_line(ticket.title, SUMMARY_CHARACTERS) or "(no title)",
        "description": text_to_adf(ticket.description, ticket.url),
        "labels": list(dict.fromkeys([label(ticket.incident_id), *own])),
    }
    if priority := settings.priorities.get(ticket.severity):
        fields["priority"] = {"name": priority}
    return _request(settings, "POST", "issue", {"fields": fields})


def read_request(settings: JiraSettings, id: str) -> Request:
    """Asks for an issue's status."""
    return _request(settings, "GET", f"issue/{quote(id, safe='')}", query={"fields": "status"})


def comments_request(settings: JiraSettings, id: str) -> Request:
    """Asks for an issue's last comments, the newest first."""
    query = {"orderBy": "-created", "maxResults": str(_COMMENTS)}
    return _request(settings, "GET", f"issue/{quote(id, safe='')}/comment", query=query)


def comment_request(settings: JiraSettings, id: str, text: str) -> Request:
    """Adds a comment."""
    return _request(settings, "POST", f"issue/{quote(id, safe='')}/comment", {"body": text_to_adf(text)})


def transitions_request(settings: JiraSettings, id: str) -> Request:
    """Asks which transitions the issue may make now."""
    return _request(settings, "GET", f"issue/{quote(id, safe='')}/transitions")


def transition_request(settings: JiraSettings, id: str, transition_id: str) -> Request:
    """Makes one of them."""
    return _request(settings, "POST", f"issue/{quote(id, safe='')}/transitions", {"transition": {"id": transition_id}})


def _request(
    settings: JiraSettings, method: str, path: str, content: object = None, query: Mapping[str, str] | None = None
) -> Request:
    account = base64.b64encode(f"{settings.user}:{settings.token.reveal()}".encode()).decode()
    url = f"{settings.url}/rest/api/3/{path}"
    return json_request(method, url, content, headers={"Authorization": f"Basic {account}"}, query=query)


def _same(one: str, other: str) -> bool:
    return one.casefold() == other.casefold()


def _leads_to(transition: Mapping[str, Any], wanted: str) -> bool:
    return _same(transition["to"]["name"], wanted) or _same(transition["name"], wanted)


def _words(body: bytes) -> str:
    """Jira's own words: the messages, then each field with its fault."""
    try:
        found = msgspec.json.decode(body)
        faults = [f"{name}: {fault}" for name, fault in (found.get("errors") or {}).items()]
        return read_words("; ".join([*found["errorMessages"], *faults]).encode()) or read_words(body)
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError):
        return read_words(body)
