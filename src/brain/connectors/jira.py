"""Jira Cloud, through its REST API v3: issues that mirror incidents.

Source: developer.atlassian.com/cloud/jira/platform/rest/v3: "Create issue", "Add comment", "Get comments", "Get" and
"Transition issue", "Search for issues using JQL enhanced search (POST)"; basic auth with an API token as in "Basic auth
for REST APIs"; webhooks as in "Webhooks", "Secure admin webhooks". Jira has no key for a request: an issue is found by
a label made from the incident's id, before one is created. Jira's search shows a new issue only after a moment. A
creation whose answer was lost is therefore not repeated at once: TryLater asks for `settle_seconds` first.

Jira Cloud treats a token that has run out as nobody: an issue is then "not found" (404), a search empty (200), and only
the header X-Seraph-LoginReason says why (support.atlassian.com, on its values; KB2942093 of ServiceNow on the 200). So
an answer that says so, and a 400, 403, 404 or empty search while `GET myself` does not know us, is TryLater.
Issues keep their id when they are moved to another project; their key changes. Jira counts in UTF-16 units.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import quote

import msgspec
from pydantic import Field

from brain.charter import IncidentState
from brain.connectors.adf import CHARACTERS, adf_to_text, text_to_adf
from brain.connectors.jira_shapes import Comment, CommentPage, Created, Found, Issue, Nothing, TransitionList, checked
from brain.connectors.jira_workflow import (
    CATEGORY_OF,
    Exploration,
    Goal,
    category_of,
    leads_to,
    name_of,
    same_status,
    screen_values,
)
from brain.connectors.sender import Answer, Refused, Request, Sender, TryLater, json_request, read_words
from brain.connectors.templates import filled
from brain.connectors.tickets import (
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
from brain.connectors.webhook import verify_hub
from brain.errors import InvalidInput
from brain.json_text import JSON_FAULTS
from brain.neutral import plain_text
from brain.secret import Secret
from brain.text import one_line_units

SERVICE = "Jira"
SUMMARY_CHARACTERS = 255
LABEL_CHARACTERS = 255
MOST_STEPS = 12
"""Transitions of one move, at most."""
OPTIONAL = ("priority", "description")
"""Fields that an issue is created without where the project's screen has them not."""
ARCHIVED = ("archiveddate", "archivedDate")
"""The fields that say when an issue was archived. Jira documents the date for JQL alone (`archivedDate`), and lists the
field `archiveddate` on Data Center; a site that has neither leaves them out."""
_READ = ",".join(("status", "resolution", "labels", *ARCHIVED))
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
    fields: Mapping[str, Any] = Field(
        default={},
        description="More fields of a new issue, such as components; {title}, {severity}, {incident_id} and {url} in "
        "their texts stand for the incident's",
    )
    transition_fields: Mapping[str, Any] = Field(
        default={},
        description="Fields for transitions whose screen has them, such as resolution; {reason} stands for why",
    )
    cancelled: tuple[str, ...] = Field(
        default=("Cancelled", "Canceled", "Declined", "Duplicate", "Rejected", "Won't Do", "Won't Fix"),
        description="Statuses and resolutions that settle nothing: they end the mirror and leave the incident as it is",
    )
    statuses: Mapping[IncidentState, str] = Field(
        default={
            IncidentState.NEW: "To Do",
            IncidentState.IN_PROGRESS: "In Progress",
            IncidentState.RESOLVED: "Done",
            IncidentState.CLOSED: "Done",
        },
        description="The status (name or id), or the transition to it, for each state; a state left out moves nothing",
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
        wanted = label(incident_id)
        found = (await self._read(search_request(self._settings, incident_id), Found))["issues"]
        ours = [issue for issue in found if wanted in issue["fields"].get("labels", [wanted])]
        if not ours:
            await self._identify()
        return self._ticket(ours[0], changed=False) if ours else None

    async def ensure(self, ticket: NewTicket) -> Ticket:
        """The incident's issue; created when none is found. Raises Refused and TryLater."""
        name = label(ticket.incident_id)
        now = time.monotonic()
        self._made = {one: made for one, made in self._made.items() if now - made[1] < self._settings.settle_seconds}
        if name in self._made:
            return {**self._made[name][0], "changed": False}
        if found := await self.find(ticket.incident_id):
            return found
        made, warning = await self._create(ticket)
        status = self._settings.statuses.get(IncidentState.NEW, "")
        issue = self._ticket({**made, "fields": {"status": {"name": status}, "labels": [name]}}, changed=True)
        if warning:
            issue["warning"] = warning
        self._made[name] = issue, time.monotonic()
        return issue

    async def _create(self, ticket: NewTicket) -> tuple[dict[str, Any], str]:
        """The new issue, and what of it Jira did not take: a field of ours may not be on the project's screen."""
        without: tuple[str, ...] = ()
        warning = ""
        while True:
            try:
                return await self._change(create_request(self._settings, ticket, without), Created), warning
            except Refused as error:
                ours = [name for name in OPTIONAL if name not in (*without, *self._settings.fields)]
                faulty = [name for name in ours if f"{name}: " in error.words]
                if error.service_status != 400 or not faulty:
                    raise
                without = (*without, *faulty)
                warning = f"{SERVICE} did not take {', '.join(without)}: {error.words}"

    def is_of(self, ticket: Ticket, incident_id: str) -> bool:
        """Whether the issue has the incident's label."""
        return label(incident_id) in ticket.get("carries", ())

    async def comment(self, id: str, text: str, reference: str) -> bool:
        """Add a comment, unless one of the last hundred has this reference; whether it was added.

        Raises Refused and TryLater.
        """
        mark = comment_mark(reference)
        page = await self._read(comments_request(self._settings, id), CommentPage)
        if any(mark in adf_to_text(comment.get("body")) for comment in page["comments"]):
            return False
        request = comment_request(self._settings, id, with_mark(plain_text(text), mark, CHARACTERS))
        await self._change(request, Comment)
        return True

    async def move(self, id: str, state: IncidentState, reason: str = "") -> Ticket:
        """Make the transitions that lead to the status for this state. Raises Refused and TryLater.

        An issue that has this status stays as it is, and so does any issue when the settings leave the state out.
        """
        wanted = self._settings.statuses.get(state, "")
        issue = await self._issue(id)
        if not wanted or same_status(issue["fields"]["status"], wanted):
            return self._ticket(issue, changed=False)
        listed = await self._listed(id)
        by_name = any(leads_to(one, wanted) for one in listed) or await self._has_status(issue["key"], wanted)
        if not by_name and state not in CATEGORY_OF:
            raise Refused(SERVICE, 409, no_way(wanted, issue["fields"]["status"], listed))
        avoided = frozenset(name.casefold() for name in self._settings.cancelled)
        way = Exploration(Goal(wanted=wanted, state=state, by_name=by_name, avoided=avoided))
        moved = False
        for _ in range(MOST_STEPS):
            status = issue["fields"]["status"]
            if way.goal.is_reached(status):
                return self._ticket(issue, changed=moved)
            chosen = way.next_step(status, listed)
            if chosen is None:
                raise Refused(SERVICE, 409, no_way(wanted, status, listed))
            await self._make(id, chosen, reason)
            issue, moved = await self._issue(id), True
            if leads_to(chosen, wanted):
                return self._ticket(issue, changed=True)
            listed = await self._listed(id)
        if way.goal.is_reached(issue["fields"]["status"]):
            return self._ticket(issue, changed=moved)
        raise Refused(SERVICE, 409, no_way(wanted, issue["fields"]["status"], listed))

    async def set_severity(self, id: str, severity: str) -> bool:
        """Set the priority that the settings have for this severity. Raises Refused and TryLater."""
        priority = self._settings.priorities.get(severity)
        if not priority:
            return False
        await self._change(priority_request(self._settings, id, priority))
        return True

    async def read(self, id: str) -> Ticket:
        """The issue as it is now. Raises Refused (404: deleted, or hidden from the account) and TryLater."""
        return self._ticket(await self._issue(id), changed=False)

    def read_webhook(self, headers: Mapping[str, str], body: bytes, now: float) -> str:
        """The key of the issue, once `X-Hub-Signature` was checked. Raises BadSignature and InvalidInput."""
        verify_hub(self._webhook_secret, headers, body)
        return webhook_ticket(body, "issue", "key")

    def webhook_id(self, body: bytes) -> str | None:
        """The id of the issue, which it keeps in another project."""
        try:
            return webhook_ticket(body, "issue", "id")
        except InvalidInput:
            return None

    async def _issue(self, id: str) -> dict[str, Any]:
        return await self._read(read_request(self._settings, id), Issue)

    async def _listed(self, id: str) -> list[dict[str, Any]]:
        """The transitions that the account may make now, with the fields of their screens."""
        found = (await self._read(transitions_request(self._settings, id), TransitionList))["transitions"]
        return [one for one in found if one.get("isAvailable", True)]

    async def _make(self, id: str, transition: Mapping[str, Any], reason: str) -> None:
        names = {"reason": reason}
        values, missing = screen_values(transition, self._settings.transition_fields, names)
        if missing:
            words = f"the transition {transition['name']!r} demands {', '.join(missing)}; set `transition_fields`"
            raise Refused(SERVICE, 409, words)
        await self._change(transition_request(self._settings, id, transition["id"], values))

    async def _has_status(self, key: str, wanted: str) -> bool:
        """Whether the issue's project has a status of that name or id. Unknown where the account may not ask: no."""
        try:
            answer = await self._ask(statuses_request(self._settings, key.rpartition("-")[0]))
            found = answer.json()
        except Refused:
            return False
        types = [{**one, "statuses": _objects(one.get("statuses"))} for one in _objects(found)]
        ours = [one for one in types if self._settings.issue_type in (one.get("name"), one.get("id"))]
        return any(same_status(status, wanted) for one in ours or types for status in one["statuses"])

    async def _read(self, request: Request, shape: type) -> dict[str, Any]:
        """The answer to a request that changes nothing. Raises TryLater when it has not this shape."""
        return checked(SERVICE, await self._ask(request), shape)

    async def _change(self, request: Request, shape: type = Nothing) -> dict[str, Any]:
        """The answer to a request that changes something; sent once, since a second time could do it twice."""
        try:
            return checked(SERVICE, await self._ask(request, retry=False), shape)
        except TryLater as error:
            raise with_settle_time(error, self._settings.settle_seconds) from error

    async def _ask(self, request: Request, *, retry: bool = True) -> Answer:
        """The answer, once it is sure that Jira knew who asked. Raises Refused and TryLater."""
        try:
            answer = await self._sender.send(SERVICE, request, words=_words, retry=retry)
        except Refused as error:
            check_login(error.headers)
            await self._identify()
            raise
        check_login(answer.headers)
        return answer

    async def _identify(self) -> None:
        """Ask Jira who we are. Raises TryLater when it says nobody; a site that has no answer is believed."""
        try:
            answer = await self._sender.send(SERVICE, myself_request(self._settings), words=_words)
        except Refused as error:
            check_login(error.headers)
            if error.service_status == 403:
                raise unknown_account(error.words) from error
            return
        check_login(answer.headers)
        found = answer.json()
        if not isinstance(found, dict) or not (found.get("accountId") or found.get("name")):
            raise unknown_account("it names no account")

    def _ticket(self, issue: Mapping[str, Any], *, changed: bool) -> Ticket:
        status = issue["fields"]["status"]
        resolution = (issue["fields"].get("resolution") or {}).get("name", "")
        ends = {name.casefold() for name in self._settings.cancelled}
        is_done = category_of(status) in ("done", "")
        return Ticket(
            id=str(issue["id"]),
            key=issue["key"],
            url=f"{self._settings.url}/browse/{issue['key']}",
            status=status["name"],
            state=self._state(status),
            changed=changed,
            archived=any(issue["fields"].get(name) for name in ARCHIVED),
            carries=list(issue["fields"].get("labels") or ()),
            cancelled=is_done and bool({str(resolution).casefold(), name_of(status).casefold()} & ends),
        )

    def _state(self, status: Mapping[str, Any]) -> IncidentState:
        """The state for a status: by its name or id where the settings have it, else by its category."""
        for state, name in self._settings.statuses.items():
            if same_status(status, name):
                return state
        return _CATEGORIES.get(category_of(status), IncidentState.NEW)


def check_login(headers: Mapping[str, str]) -> None:
    """Raise TryLater when the answer was given to nobody, because Jira did not accept the login."""
    reason = headers.get("x-seraph-loginreason", "OK").strip()
    if reason.upper() != "OK":
        raise unknown_account(f"X-Seraph-LoginReason is {reason[:100]}")


def unknown_account(why: str) -> TryLater:
    """The error for a login that Jira does not accept: everything waits for somebody to renew the token."""
    remedy = "check user and token in the settings: the token may have run out"
    return TryLater(f"{SERVICE} does not know the account ({why}); {remedy}", service_status=401)


def no_way(wanted: str, status: Mapping[str, Any], listed: Sequence[Mapping[str, Any]]) -> str:
    """Why an issue with this status is not moved."""
    names = ", ".join(f"{one['name']} (to {one['to']['name']})" for one in listed) or "none"
    return f"no transition to {wanted!r} from {status['name']!r}; there are: {names}; see the setting `statuses`"


def label(incident_id: str) -> str:
    """The label by which an incident's issue is found. Raises InvalidInput for an empty id."""
    return ticket_key(incident_id, LABEL_CHARACTERS)


def search_request(settings: JiraSettings, incident_id: str) -> Request:
    """Finds the issues that carry the incident's label, in whichever project they are by now."""
    jql = f'labels = "{label(incident_id)}" ORDER BY created ASC'
    asked = {"jql": jql, "fields": ["status", "resolution", "labels"], "maxResults": 2}
    return _request(settings, "POST", "search/jql", asked)


def create_fields(settings: JiraSettings, ticket: NewTicket) -> dict[str, Any]:
    """The fields of an incident's issue."""
    own = [
        one_line_units(text, LABEL_CHARACTERS).replace(" ", "-") for text in (*settings.labels, *ticket.labels) if text
    ]
    names = {
        "title": ticket.title,
        "severity": ticket.severity,
        "incident_id": ticket.incident_id,
        "url": ticket.url,
    }
    names = {name: plain_text(value) for name, value in names.items()}
    fields: dict[str, Any] = {
        "project": {"key": settings.project},
        "issuetype": {"id" if settings.issue_type.isdecimal() else "name": settings.issue_type},
        "summary": one_line_units(ticket.title, SUMMARY_CHARACTERS) or "(no title)",
        "description": text_to_adf(ticket.description, ticket.url),
        "labels": list(dict.fromkeys([label(ticket.incident_id), *own])),
    }
    if priority := settings.priorities.get(ticket.severity):
        fields["priority"] = _priority(priority)
    more: dict[str, Any] = filled(settings.fields, names)
    labels = [*fields["labels"], *more.get("labels", ())]
    return {**fields, **more, "labels": list(dict.fromkeys(labels))}


def create_request(settings: JiraSettings, ticket: NewTicket, without: Sequence[str] = ()) -> Request:
    """Creates the issue of an incident, without these fields."""
    fields = {name: value for name, value in create_fields(settings, ticket).items() if name not in without}
    return _request(settings, "POST", "issue", {"fields": fields})


def read_request(settings: JiraSettings, id: str) -> Request:
    """Asks for an issue's status."""
    return _request(settings, "GET", f"issue/{quote(id, safe='')}", query={"fields": _READ})


def myself_request(settings: JiraSettings) -> Request:
    """Asks who is asking."""
    return _request(settings, "GET", "myself")


def statuses_request(settings: JiraSettings, project: str) -> Request:
    """Asks for the statuses of a project's issue types."""
    return _request(settings, "GET", f"project/{quote(project, safe='')}/statuses")


def priority_request(settings: JiraSettings, id: str, priority: str) -> Request:
    """Sets an issue's priority."""
    return _request(settings, "PUT", f"issue/{quote(id, safe='')}", {"fields": {"priority": _priority(priority)}})


def comments_request(settings: JiraSettings, id: str) -> Request:
    """Asks for an issue's last comments, the newest first."""
    query = {"orderBy": "-created", "maxResults": str(_COMMENTS)}
    return _request(settings, "GET", f"issue/{quote(id, safe='')}/comment", query=query)


def comment_request(settings: JiraSettings, id: str, text: str) -> Request:
    """Adds a comment."""
    return _request(settings, "POST", f"issue/{quote(id, safe='')}/comment", {"body": text_to_adf(text)})


def transitions_request(settings: JiraSettings, id: str) -> Request:
    """Asks which transitions the issue may make now, and which fields their screens have."""
    query = {"expand": "transitions.fields"}
    return _request(settings, "GET", f"issue/{quote(id, safe='')}/transitions", query=query)


def transition_request(settings: JiraSettings, id: str, transition_id: str, values: Mapping[str, Any]) -> Request:
    """Makes one of them, with these fields of its screen."""
    content: dict[str, Any] = {"transition": {"id": transition_id}}
    if values:
        content["fields"] = dict(values)
    return _request(settings, "POST", f"issue/{quote(id, safe='')}/transitions", content)


def _priority(name: str) -> dict[str, str]:
    return {"id" if name.isdecimal() else "name": name}


def _request(
    settings: JiraSettings, method: str, path: str, content: object = None, query: Mapping[str, str] | None = None
) -> Request:
    account = base64.b64encode(f"{settings.user}:{settings.token.reveal()}".encode()).decode()
    url = f"{settings.url}/rest/api/3/{path}"
    return json_request(method, url, content, headers={"Authorization": f"Basic {account}"}, query=query)


def _words(body: bytes) -> str:
    """Jira's own words: the messages, then each field with its fault."""
    try:
        found = msgspec.json.decode(body)
        faults = [f"{name}: {fault}" for name, fault in (found.get("errors") or {}).items()]
        return read_words("; ".join([*found["errorMessages"], *faults]).encode()) or read_words(body)
    except (*JSON_FAULTS, KeyError, TypeError, AttributeError):
        return read_words(body)


def _objects(found: Any) -> list[dict[str, Any]]:
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
