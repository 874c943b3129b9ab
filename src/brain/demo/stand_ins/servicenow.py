"""ServiceNow's Table API on the table `incident`.

Source: www.servicenow.com/docs, API reference, "Table API" (paths, sysparm_* parameters, the forms of result and error)
and "Incident management" (states, and that resolving wants a code and notes). As on an instance as it is delivered,
a term of a query that names no field is ignored, so that such a query, or an empty one, finds everything.
"""

from __future__ import annotations

import base64
import time
import uuid
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from brain.demo.stand_ins.common import StandIn, read_json

USER, PASSWORD = "brain", "stand-in-password"
_AUTHORIZATION = f"Basic {base64.b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}"
_NAMES = (
    "sys_id number short_description description state urgency impact correlation_id correlation_display work_notes "
    "comments close_code close_notes hold_reason assignment_group assigned_to caller_id category sys_created_on"
)
_FIELDS = tuple(_NAMES.split())
_LONGEST = {"correlation_id": 100, "short_description": 160, "description": 4000, "close_notes": 4000}
_LABELS = {"close_code": "Resolution code", "close_notes": "Resolution notes"}
_JOURNALS = ("work_notes", "comments")


class ServiceNowStandIn(StandIn):
    """Incidents, numbered; a closed or cancelled one takes no more changes.

    `hidden` are fields that an access rule hides from the account, `protected` those that it may not write: an instance
    says neither. `demanded` are fields that its data policy demands for a state.
    """

    def __init__(self, first: int = 1) -> None:
        self._first = first
        self.hidden: tuple[str, ...] = ()
        self.protected: tuple[str, ...] = ()
        self.demanded: dict[str, tuple[str, ...]] = dict.fromkeys(("6", "7"), ("close_code", "close_notes"))
        self.incidents: dict[str, dict[str, Any]] = {}
        """By sys_id: the fields, `work_notes` and `comments` as lists of entries."""
        table = "/api/now/table/incident"
        super().__init__(
            "ServiceNow",
            "https://www.servicenow.com/docs/r/api-reference/rest-apis/c_TableAPI.html",
            [
                Route(table, self._table, methods=["GET", "POST"]),
                Route(f"{table}/{{sys_id}}", self._record, methods=["GET", "PATCH", "PUT"]),
            ],
            things=lambda: list(self.incidents.values()),
        )

    def reset(self) -> None:
        super().reset()
        self.incidents.clear()

    def add(self, **fields: str) -> dict[str, Any]:
        """An incident that somebody else made."""
        return self._insert(fields)

    async def _table(self, request: Request) -> Response:
        body = read_json(await request.body()) if request.method == "POST" else None
        if refusal := _refused(request):
            return self.answer(request, body, *refusal)
        if request.method == "GET":
            found = self._query(request.query_params.get("sysparm_query", ""))
            limit = int(request.query_params.get("sysparm_limit", 10_000))
            return self.answer(request, None, 200, {"result": [self._view(request, one) for one in found[:limit]]})
        if not isinstance(body, dict):
            return self.answer(
                request, body, 400, _error("Exception while reading request", "The payload is not valid JSON.")
            )
        record = self._insert({name: value for name, value in body.items() if name not in self.protected})
        where = {"Location": f"{request.base_url}api/now/table/incident/{record['sys_id']}"}
        return self.answer(request, body, 201, {"result": self._view(request, record)}, headers=where)

    async def _record(self, request: Request) -> Response:
        body = None if request.method == "GET" else read_json(await request.body())
        if refusal := _refused(request):
            return self.answer(request, body, *refusal)
        record = self.incidents.get(request.path_params["sys_id"])
        if record is None:
            said = _error("No Record found", "Record doesn't exist or ACL restricts the record retrieval")
            return self.answer(request, body, 404, said)
        if request.method != "GET":
            if not isinstance(body, dict):
                said = _error("Exception while reading request", "The payload is not valid JSON.")
                return self.answer(request, body, 400, said)
            after = {**record, **body}
            if not all(after[name] for name in self.demanded.get(str(after["state"]), ())):
                what = ", ".join(_LABELS.get(name, name) for name in self.demanded[str(after["state"])])
                said = _error("Operation Failed", f"Data Policy Exception: {what} are mandatory")
                return self.answer(request, body, 403, said)
            _change(record, {name: value for name, value in body.items() if name not in self.protected})
        return self.answer(request, body, 200, {"result": self._view(request, record)})

    def _view(self, request: Request, record: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in _view(request, record).items() if name not in self.hidden}

    def _query(self, query: str) -> list[dict[str, Any]]:
        found = list(self.incidents.values())
        for term in query.split("^"):
            name, equals, value = term.partition("=")
            if equals and name in self.hidden:
                found = []
            elif equals and name in _FIELDS:
                found = [record for record in found if record[name] == value]
        return found

    def _insert(self, fields: dict[str, Any]) -> dict[str, Any]:
        record: dict[str, Any] = {name: [] if name in _JOURNALS else "" for name in _FIELDS}
        number = f"INC{10_000 + self._first + len(self.incidents):07}"
        created = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
        record.update(sys_id=uuid.uuid4().hex, number=number, state="1", sys_created_on=created)
        _change(record, fields)
        self.incidents[record["sys_id"]] = record
        return record


def _change(record: dict[str, Any], fields: dict[str, Any]) -> None:
    for name, value in fields.items():
        if name in _JOURNALS:
            if value:
                record[name].append(str(value))
        elif name in _FIELDS and name not in ("sys_id", "number"):
            record[name] = str(value)[: _LONGEST.get(name, 255)]  # it cuts, and does not complain


def _view(request: Request, record: dict[str, Any]) -> dict[str, Any]:
    """The fields asked for; a journal is empty but as a display value, which begins with the newest entry."""
    names = request.query_params.get("sysparm_fields", ",".join(_FIELDS)).split(",")
    shown = {}
    for name in names:
        if name in record:
            journal = name in _JOURNALS
            value = "" if journal else record[name]
            display = "\n\n".join(reversed(record[name])) if journal else value
            both = {"display_value": display, "value": value}
            shown[name] = {"all": both, "true": display}.get(
                request.query_params.get("sysparm_display_value", ""), value
            )
    return shown


def _refused(request: Request) -> tuple[int, object] | None:
    if request.headers.get("authorization") == _AUTHORIZATION:
        return None
    return 401, _error("User Not Authenticated", "Required to provide Auth information")


def _error(message: str, detail: str) -> dict[str, Any]:
    return {"error": {"message": message, "detail": detail}, "status": "failure"}
