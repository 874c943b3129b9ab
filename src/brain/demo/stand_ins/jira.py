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
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from brain.demo.stand_ins.common import StandIn, read_json

USER, TOKEN = "brain@example.com", "stand-in-token"
PROJECT = "OPS"
ISSUE_TYPES = ("Task", "Incident")
STATUSES = {"To Do": "new", "In Progress": "indeterminate", "Done": "done"}
TRANSITIONS = {"11": ("Reopen", "To Do"), "21": ("Start work", "In Progress"), "31": ("Resolve", "Done")}
_AUTHORIZATION = f"Basic {base64.b64encode(f'{USER}:{TOKEN}'.encode()).decode()}"
_JQL = re.compile(r'project = "(\w+)" AND labels = "([^"\\]+)" ORDER BY created ASC').fullmatch
_NO_ISSUE = "Issue does not exist or you do not have permission to see it."


class JiraStandIn(StandIn):
    """One project, OPS, with a workflow of three statuses. `first` is the number of the first issue."""

    def __init__(self, index_seconds: float = 0.0, first: int = 1) -> None:
        self.issues: dict[str, dict[str, Any]] = {}
        """By key: fields as they were given, status, comments (plain texts), created (Unix seconds)."""
        self.index_seconds = index_seconds
        self._first = first
        issue = "/rest/api/3/issue"
        super().__init__(
            "Jira Cloud",
            "https://developer.atlassian.com/cloud/jira/platform/rest/v3/",
            [
                Route(issue, self._create, methods=["POST"]),
                Route(f"{issue}/{{key}}", self._get, methods=["GET"]),
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

    def set_status(self, key: str, status: str) -> None:
        """Somebody moves the issue in Jira."""
        self.issues[key]["status"] = status

    async def _create(self, request: Request) -> Response:
        body = read_json(await request.body())
        if refusal := _refused(request):
            return self.answer(request, body, *refusal)
        if faults := _field_faults(body):
            return self.answer(request, body, 400, {"errorMessages": [], "errors": faults})
        number = self._first + len(self.issues)
        key = f"{PROJECT}-{number}"
        self.issues[key] = {
            "id": str(10_000 + number),
            "fields": body["fields"],
            "status": "To Do",
            "comments": [],
            "created": time.time(),
        }
        link = f"{request.base_url}rest/api/3/issue/{10_000 + number}"
        return self.answer(request, body, 201, {"id": str(10_000 + number), "key": key, "self": link})

    async def _get(self, request: Request) -> Response:
        if refusal := _refused(request) or self._unknown(request):
            return self.answer(request, None, *refusal)
        key = self._key(request)
        return self.answer(request, None, 200, self._view(key, ["summary", "status", "labels"]))

    async def _comments(self, request: Request) -> Response:
        body = read_json(await request.body()) if request.method == "POST" else None
        if refusal := _refused(request) or self._unknown(request):
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
        comments.append(_plain(body["body"]))
        return self.answer(request, body, 201, {"id": str(len(comments)), "body": body["body"]})

    async def _transitions(self, request: Request) -> Response:
        body = read_json(await request.body()) if request.method == "POST" else None
        if refusal := _refused(request) or self._unknown(request):
            return self.answer(request, body, *refusal)
        issue = self.issues[self._key(request)]
        possible = {one: (name, to) for one, (name, to) in TRANSITIONS.items() if to != issue["status"]}
        if request.method == "GET":
            listed = [{"id": one, "name": name, "to": _status(to)} for one, (name, to) in possible.items()]
            return self.answer(request, None, 200, {"expand": "transitions", "transitions": listed})
        wanted = body.get("transition", {}).get("id") if isinstance(body, dict) else None
        if wanted not in possible:
            said = f"It seems that you have tried to perform a workflow operation ({wanted}) that is not valid."
            return self.answer(request, body, 400, {"errorMessages": [said], "errors": {}})
        issue["status"] = possible[wanted][1]
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
            if found[1] == PROJECT
            and found[2] in issue["fields"].get("labels", [])
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
            "status": _status(issue["status"]),
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


def _status(name: str) -> dict[str, Any]:
    return {"name": name, "statusCategory": {"key": STATUSES[name]}}
