"""Incidents over HTTP, below /api/incidents, and the plug-in opened: its routes and its tasks."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response

from brain import limits
from brain.charter import IncidentState
from brain.connectors.tickets import ticket_systems
from brain.incidents.http_models import (
    EXAMPLE_ID,
    IncidentSummary,
    IncidentView,
    NewIncident,
    NewNote,
    OwnerChange,
    StateChange,
    WebhookResult,
)
from brain.incidents.repository import Document
from brain.incidents.service import IncidentService
from brain.incidents.webhooks import TicketWebhooks
from brain.kit.doer import doer
from brain.kit.http import ANY_QUERY, PROBLEM_TYPE, creates_nothing, signed
from brain.kit.idempotency import request_key
from brain.logs import Log

log: Log = Log("brain.incidents")

IncidentIdPath = Annotated[str, Path(max_length=limits.ID, description="The incident's id.", examples=[EXAMPLE_ID])]
KindPath = Annotated[
    str,
    Path(
        max_length=limits.TYPE,
        description="The kind of the ticket system, as in its settings table.",
        examples=list(ticket_systems())[:1],
    ),
]

_NOTHING = creates_nothing("it names a ticket, which is read each time; ticket systems send no key")
_SIGNED = signed("the ticket system signs it with the webhook's secret")
_BAD_SIGNATURE: dict[int | str, dict[str, Any]] = {
    401: {
        "description": "The signature does not fit",
        "content": {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
}


def _webhook_body() -> dict[str, Any]:
    examples = [dict(system.webhook_example) for system in ticket_systems().values()]
    schema = {"type": "object", "examples": examples}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def incidents_router(service: IncidentService, webhooks: TicketWebhooks) -> APIRouter:
    """The routes over this service."""
    router = APIRouter(prefix="/incidents", tags=["incidents"])
    _add_reading(router, service)
    _add_changing(router, service)
    _add_webhook(router, webhooks)
    return router


def _add_reading(router: APIRouter, service: IncidentService) -> None:
    @router.get("", summary="List incidents", response_model=list[IncidentSummary])
    async def listing(
        state: Annotated[
            list[IncidentState] | None,
            Query(max_length=limits.FILTERS, description="Only these states; may be repeated."),
        ] = None,
        correlation_id: Annotated[
            str | None, Query(max_length=limits.CORRELATION_ID, description="Only incidents of this correlation id.")
        ] = None,
        limit: Annotated[int, Query(ge=1, le=1000, description="At most so many.")] = 100,
        before: Annotated[
            str | None,
            Query(max_length=limits.ID, description="Only what comes after this incident.", examples=[EXAMPLE_ID]),
        ] = None,
    ) -> list[Document]:
        """The latest opened first. For what follows, give the id of the last one as `before`."""
        return await service.list(state or (), correlation_id, limit, before)

    @router.get("/{incident_id}", summary="Get an incident", response_model=IncidentView)
    async def get(incident_id: IncidentIdPath) -> Document:
        """The incident with its timeline, its threats, the policy decisions that explain it, and its tickets."""
        return await service.get(incident_id)


def _add_changing(router: APIRouter, service: IncidentService) -> None:
    @router.post("", status_code=201, summary="Open an incident by hand", response_model=IncidentView)
    async def open_incident(new: NewIncident, response: Response) -> Document:
        """Publishes `incident.opened`, and creates its tickets.

        Answers 409 when the correlation id has an open incident.
        """
        opened = await service.open(
            new.title,
            new.severity,
            text=new.text,
            correlation_id=new.correlation_id,
            owner=new.owner,
            by=doer(new.by),
            key=request_key(),
        )
        response.headers["Location"] = f"/api/incidents/{opened['id']}"
        return opened

    @router.post("/{incident_id}/state", summary="Move an incident to another state", response_model=IncidentView)
    async def move(incident_id: IncidentIdPath, to: StateChange) -> Document:
        """Its tickets and its threats follow. Answers 409, listing the allowed states, for one that is not."""
        return await service.move(incident_id, to.state, to.note, doer(to.by))

    @router.post("/{incident_id}/owner", summary="Assign an incident", response_model=IncidentView)
    async def assign(incident_id: IncidentIdPath, to: OwnerChange) -> Document:
        """Publishes `incident.updated`."""
        return await service.assign(incident_id, to.owner, doer(to.by))

    @router.post(
        "/{incident_id}/notes", status_code=201, summary="Add a note to an incident", response_model=IncidentView
    )
    async def note(incident_id: IncidentIdPath, new: NewNote) -> Document:
        """It joins the timeline, and the tickets as a comment. Publishes `incident.updated`."""
        return await service.note(incident_id, new.text, doer(new.by), key=request_key())


def _add_webhook(router: APIRouter, webhooks: TicketWebhooks) -> None:
    @router.post(
        "/webhooks/{system}",
        status_code=202,
        summary="Report a change of a ticket",
        openapi_extra={**_webhook_body(), **ANY_QUERY, **_NOTHING, **_SIGNED},  # Jira adds who made the change
        responses=_BAD_SIGNATURE,
    )
    async def webhook(system: KindPath, request: Request) -> WebhookResult:
        """For the ticket systems themselves: needs no API key, but the signature of the webhook's secret.

        The body only names the ticket. The ticket's state is read from its system, so that a webhook that comes late,
        twice or out of order does no harm. Answers 401 for a bad signature, 404 where no secret is set.
        """
        ticket, known = await webhooks.receive(system, request.headers, await request.body())
        return WebhookResult(ticket=ticket, known=known)
