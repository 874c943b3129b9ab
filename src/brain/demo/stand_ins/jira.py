"""Jira Cloud's REST API v3: issues, comments, transitions, and the search by JQL.

Source: developer.atlassian.com/cloud/jira/platform/rest/v3, the groups "Issues", "Issue comments" and "Issue search"
(the old GET and POST /rest/api/3/search is gone; /search/jql wants a bounded query, and returns ids unless fields are
named).
Its search follows what was created only after a moment, as Atlassian says of the enhanced search: `index_seconds`.
"""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from brain.demo.stand_ins.common import StandIn, read_json

USER, TOKEN = "brain@example.com", "stand-in-token"
PROJECT = "OPS"
ISSUE_TYPES = ("Task", "Incident")
LOGIN_REASON = "X-Seraph-LoginReason"


@dataclass(frozen=True)
class Move:
    """A transition: its name, the status it leads to, those it leads from (none: all others), its screen's fields."""

    name: str
    to: str
    start: tuple[str, ...] = ()
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Workflow:
    """Statuses, each with its category, the first one first; and transitions by their ids."""

    statuses: Mapping[str, str] = field(
        default_factory=lambda: {"To Do": "new", "In Progress": "indeterminate", "Done": "done"}
    )
    moves: Mapping[str, Move] = field(
        default_factory=lambda: {
            "11": Move("Reopen", "To Do"),
            "21": Move("Start work", "In Progress"),
            "31": Move("Resolve", "Done"),
        }
    )

    @property
    def first(self) -> str:
        """The status of a new issue."""
        return next(iter(self.statuses))

    def possible(self, status: str) -> dict[str, Move]:
        """The transitions from a status."""
        found = self.moves.items()
        return {id: one for id, one in found if (status in one.start if one.start else status != one.to)}

    def document(self, status: str) -> dict[str, Any]:
        """The status as the API shows it."""
        id = str(10_000 + [*self.statuses].index(status))
        return {"id": id, "name": status, "statusCategory": {"key": self.statuses[status]}}


_AUTHORIZATION = f"Basic {base64.b64encode(f'{USER}:{TOKEN}'.encode()).decode()}"
_JQL = re.compile(r'labels = "([^"\\]+)" ORDER BY created ASC').fullmatch
_NO_FIELD = "Field '{}' cannot be set. It is not on the appropriate screen, or unknown."
_NO_ISSUE = "Issue does not exist or you do not have permission to see it."


class JiraStandIn(StandIn):
    """One project, OPS, with a workflow. `first` is the number of the first issue.

    `anonymous`: the token has run out, so that everybody is nobody: not found, nothing found, and a header says why.
    `required` are fields that a new issue needs, `unknown` those that its screen has not; `frozen` statuses take no
    comments.
    """

    def __init__(self, index_seconds: float = 0.0, first: int = 1) -> None:
        self.issues: dict[str, dict[str, Any]] = {}
        """By key: fields as they were given, status, comments (plain texts), created (Unix seconds)."""
        self.index_seconds = index_seconds
        self.workflow: Workflow = Workflow()
        self.anonymous: bool = False
        self.required: tuple[str, ...] = ()
        self.unknown: tuple[str, ...] = ()
        self.frozen: tuple[str, ...] = ()
        self._first = first
        self._count = 0
        issue = "/rest/api/3/issue"
        super().__init__(
            "Jira Cloud",
            "https://developer.atlassian.com/cloud/jira/platform/rest/v3/",
            [
                Route(issue, self._create, methods=["POST"]),
                Route(f"{issue}/{{key}}", self._get, methods=["GET"]),
                Route(f"{issue}/{{key}}", self._edit, methods=["PUT"]),
                Route("/rest/api/3/myself", self._myself, methods=["GET"]),
                Route("/rest/api/3/project/{project}/statuses", self._statuses, methods=["GET"]),
                Route(f"{issue}/{{key}}/comment", self._comments, methods=["GET", "POST"]),
                Route(f"{issue}/{{key}}/transitions", self._transitions, methods=["GET", "POST"]),
                Route("/rest/api/3/search/jql", self._search, methods=["POST"]),
                Route("/rest/api/3/search", self._gone, methods=["GET", "POST"]),
            ],
            things=lambda: [
                {
                    "key": key,
                    "summary": issue["fields"]["summary"],
                    "status": issue["status"],
                    "labels": issue["fields"].get("labels"),
                    "comments": issue["comments"],
                }
                for key, issue in self.issues.items()
            ],
        )

    def reset(self) -> None:
        super().reset()
        self.issues.clear()
        self._count = 0

    def set_status(self, key: str, status: str) -> None:
        """Somebody moves the issue in Jira."""
        self.issues[key]["status"] = status

    async def _myself(self, request: Request) -> Response:
        if refusal := _refused(request):
            return self.answer(request, None, *refusal)
        if self.anonymous:
            said = "Client must be authenticated to access this resource."
            return self.answer(request, None, 401, {"errorMessages": [said], "errors": {}})
        return self.answer(request, None, 200, {"accountId": "5b10", "emailAddress": USER})

    async def _statuses(self, request: Request) -> Response:
        if refusal := self._denied(request):
            return self.answer(request, None, *refusal)
        statuses = [self.workflow.document(status) for status in self.workflow.statuses]
        return self.answer(request, None, 200, [{"id": "1", "name": "Task", "statuses": statuses}])

    async def _edit(self, request: Request) -> Response:
        body = read_json(await request.body())
        if refusal := self._denied(request) or self._unknown(request):
            return self.answer(request, body, *refusal)
        fields = body.get("fields", {}) if isinstance(body, dict) else {}
        if faults := {name: _NO_FIELD.format(name) for name in fields if name in self.unknown}:
            return self.answer(request, body, 400, {"errorMessages": [], "errors": faults})
        self.issues[self._key(request)]["fields"].update(fields)
        return self.answer(request, body, 204)

    def answer(self, request: Request, body: Any, status: int, content: object = None, **more: Any) -> Response:
        """As every stand-in, with the header that says whether Jira knew who asked."""
        answer = super().answer(request, body, status, content, **more)
        answer.headers[LOGIN_REASON] = "AUTHENTICATED_FAILED" if self.anonymous else "OK"
        return answer

    def _denied(self, request: Request) -> tuple[int, object] | None:
        """What a request is answered whose login is wrong, or has run out: then nothing exists for it."""
        if refusal := _refused(request):
            return refusal
        if self.anonymous:
            return 404, {"errorMessages": [_NO_ISSUE], "errors": {}}
        return None

    async def _create(self, request: Request) -> Response:
        body = read_json(await request.body())
        if refusal := _refused(request):
            return self.answer(request, body, *refusal)
        faults = _field_faults(body)
        if not faults:
            faults = {name: f"{name} is required." for name in self.required if not body["fields"].get(name)}
            faults |= {name: _NO_FIELD.format(name) for name in self.unknown if name in body["fields"]}
        if self.anonymous:
            faults = {"project": "valid project is required"}
        if faults:
            return self.answer(request, body, 400, {"errorMessages": [], "errors": faults})
        number = self._first + self._count
        self._count += 1
        key = f"{PROJECT}-{number}"
        self.issues[key] = {
            "id": str(10_000 + number),
            "fields": body["fields"],
            "status": self.workflow.first,
            "comments": [],
            "created": time.time(),
        }
        link = f"{request.base_url}rest/api/3/issue/{10_000 + number}"
        return self.answer(request, body, 201, {"id": str(10_000 + number), "key": key, "self": link})

    async def _get(self, request: Request) -> Response:
        if refusal := self._denied(request) or self._unknown(request):
            return self.answer(request, None, *refusal)
        key = self._key(request)
        shown = ["summary", "status", "labels", "resolution", "archiveddate"]
        return self.answer(request, None, 200, self._view(key, shown))

    async def _comments(self, request: Request) -> Response:
        body = read_json(await request.body()) if request.method == "POST" else None
        if refusal := self._denied(request) or self._unknown(request):
            return self.answer(request, body, *refusal)
        comments = self.issues[self._key(request)]["comments"]
        if request.method == "GET":
            found = [{"id": str(n), "body": _document(text)} for n, text in enumerate(comments, 1)]
            page = list(reversed(found))[: int(request.query_params.get("maxResults", 100))]
            answer = {"startAt": 0, "maxResults": 100, "total": len(found), "comments": page}
            return self.answer(request, None, 200, answer)
        if not isinstance(body, dict) or not is_document(body.get("body")):
            faults = {"comment": "Comment body is not valid!"}
            return self.answer(request, body, 400, {"errorMessages": [], "errors": faults})
        if self.issues[self._key(request)]["status"] in self.frozen:
            said = "You do not have the permission to comment on this issue."
            return self.answer(request, body, 403, {"errorMessages": [said], "errors": {}})
        comments.append(_plain(body["body"]))
        return self.answer(request, body, 201, {"id": str(len(comments)), "body": body["body"]})

    async def _transitions(self, request: Request) -> Response:
        body = read_json(await request.body()) if request.method == "POST" else None
        if refusal := self._denied(request) or self._unknown(request):
            return self.answer(request, body, *refusal)
        issue = self.issues[self._key(request)]
        possible = self.workflow.possible(issue["status"])
        if request.method == "GET":
            listed = [
                {"id": id, "name": one.name, "to": self.workflow.document(one.to), "fields": one.fields}
                for id, one in possible.items()
            ]
            return self.answer(request, None, 200, {"expand": "transitions", "transitions": listed})
        wanted = body.get("transition", {}).get("id") if isinstance(body, dict) else None
        if wanted not in possible:
            said = f"It seems that you have tried to perform a workflow operation ({wanted}) that is not valid."
            return self.answer(request, body, 400, {"errorMessages": [said], "errors": {}})
        screen, given = possible[wanted].fields, (body or {}).get("fields", {})
        faults = {name: "Field is required." for name, one in screen.items() if one["required"] and name not in given}
        faults |= {name: _NO_FIELD.format(name) for name in given if name not in screen}
        if faults:
            return self.answer(request, body, 400, {"errorMessages": [], "errors": faults})
        issue["status"] = possible[wanted].to
        issue["fields"].update(given)
        if self.workflow.statuses[issue["status"]] != "done":
            issue["fields"].pop("resolution", None)
        return self.answer(request, body, 204)

    async def _search(self, request: Request) -> Response:
        body = read_json(await request.body())
        if refusal := _refused(request):
            return self.answer(request, body, *refusal)
        found = _JQL(body.get("jql", "")) if isinstance(body, dict) else None
        if found is None:
            said = "Unbounded JQL queries are not allowed here. Please add a search restriction to your query."
            return self.answer(request, body, 400, {"errorMessages": [said], "warningMessages": []})
        now = time.time()
        issues = [
            self._view(key, body.get("fields", []))
            for key, issue in self.issues.items()
            if not self.anonymous
            and found[1] in issue["fields"].get("labels", [])
            and issue["created"] + self.index_seconds <= now
        ]
        return self.answer(request, body, 200, {"issues": issues[: body.get("maxResults", 50)], "isLast": True})

    async def _gone(self, request: Request) -> Response:
        said = "The requested API has been removed. Please migrate to the /rest/api/3/search/jql API."
        return self.answer(request, None, 410, {"errorMessages": [said], "errors": {}})

    def _key(self, request: Request) -> str:
        named = request.path_params["key"]
        return next((key for key, issue in self.issues.items() if named in (key, issue["id"])), "")

    def _unknown(self, request: Request) -> tuple[int, object] | None:
        return None if self._key(request) else (404, {"errorMessages": [_NO_ISSUE], "errors": {}})

    def _view(self, key: str, fields: list[str]) -> dict[str, Any]:
        issue = self.issues[key]
        known = {
            "summary": issue["fields"]["summary"],
            "labels": issue["fields"].get("labels", []),
            "status": self.workflow.document(issue["status"]),
            "resolution": issue["fields"].get("resolution"),
            "archiveddate": issue.get("archived"),
        }
        shown = {name: known[name] for name in fields if name in known}
        return {"id": issue["id"], "key": key, **({"fields": shown} if shown else {})}


def _refused(request: Request) -> tuple[int, object] | None:
    if request.headers.get("authorization") == _AUTHORIZATION:
        return None
    return 401, {"errorMessages": ["You do not have permission to view this, or are not logged in."], "errors": {}}


def _field_faults(body: Any) -> dict[str, str]:
    fields = body.get("fields") if isinstance(body, dict) else None
    if not isinstance(fields, dict):
        return {"fields": "fields is required"}
    faults = {}
    if fields.get("project", {}).get("key") != PROJECT:
        faults["project"] = "Specify a valid project ID or key"
    if fields.get("issuetype", {}).get("name") not in ISSUE_TYPES:
        faults["issuetype"] = "Specify a valid issue type"
    summary = fields.get("summary")
    if not isinstance(summary, str) or not summary.strip():
        faults["summary"] = "You must specify a summary of the issue."
    elif len(summary) > 255:
        faults["summary"] = "Summary must be less than 255 characters."
    elif "\n" in summary:
        faults["summary"] = "The summary is invalid because it contains newline characters."
    if "description" in fields and not is_document(fields["description"]):
        faults["description"] = "Operation value must be an Atlassian Document (see the Atlassian Document Format)"
    if spaced := [label for label in fields.get("labels", []) if not label or " " in label or len(label) > 255]:
        faults["labels"] = f"The label '{spaced[0]}' contains spaces which is invalid."
    return faults


def is_document(value: Any) -> bool:
    """Whether it is in the Atlassian Document Format, as far as its tree goes."""
    return isinstance(value, dict) and (value.get("type"), value.get("version")) == ("doc", 1) and _is_content(value)


def _is_content(node: Any) -> bool:
    """Whether it and all below it are nodes; a text node must have text."""
    if not isinstance(node, dict) or not isinstance(node.get("type"), str):
        return False
    if node["type"] == "text":
        return isinstance(node.get("text"), str) and bool(node["text"])
    content = node.get("content", [])
    return isinstance(content, list) and all(map(_is_content, content))


def _plain(node: dict[str, Any]) -> str:
    if node["type"] == "text":
        return str(node["text"])
    if node["type"] == "hardBreak":
        return "\n"
    parts = [_plain(child) for child in node.get("content", [])]
    return ("\n" if node["type"] == "doc" else "").join(parts)


def _document(text: str) -> dict[str, Any]:
    return {
        "type": "doc",
        "version": 1,
        "content": [{"type": "paragraph", "content": [{"type": "text", "text": text}]}],
    }
