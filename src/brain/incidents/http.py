"""Incidents over HTTP, below /api/incidents, and the consumer opened: its routes and its work."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, Field

from brain import limits
from brain.charter import IncidentState as State
from brain.incidents.http_models import (
    EXAMPLE_ID,
    IncidentView,
    NewIncident,
    NewNote,
    NewOwner,
    NewState,
    Summary,
)
from brain.incidents.service import IncidentService
from brain.incidents.settings import IncidentSettings
from brain.incidents.tasks import IncidentWork
from brain.incidents.webhooks import EXAMPLE_WEBHOOK, Webhooks
from brain.kit.http import ANY_QUERY, PROBLEM_TYPE
from brain.plugins import Component, PluginContext

IncidentIdPath = Annotated[str, Path(max_length=limits.ID, description="The incident's id.", examples=[EXAMPLE_ID])]

_WEBHOOK_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"type": "object", "examples": [EXAMPLE_WEBHOOK]}}},
    }
}
_BAD_SIGNATURE: dict[int | str, dict[str, Any]] = {
    401: {
        "description": "The signature does not fit",
        "content": {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
}


class Looked(BaseModel):
    """What came of a webhook."""

    ticket: str = Field(description="The ticket that it is about.")
    known: bool = Field(description="Whether it is the ticket of an incident, whose state will now be looked at.")


def incidents_router(service: IncidentService, webhooks: Webhooks) -> APIRouter:
    """The routes over this service."""
    router = APIRouter(prefix="/incidents", tags=["incidents"])

    @router.get("", summary="List incidents")
    async def listing(
        state: Annotated[
            list[State] | None, Query(max_length=limits.FILTERS, description="Only these states; may be repeated.")
        ] = None,
        correlation_id: Annotated[
            str | None, Query(max_length=limits.STORY, description="Only those of this story.")
        ] = None,
        limit: Annotated[int, Query(ge=1, le=1000, description="At most so many.")] = 100,
    ) -> list[Summary]:
        """The latest opened first."""
        found = await service.list(state or (), correlation_id, limit)
        return [Summary.model_validate(incident) for incident in found]

    @router.post("", status_code=201, summary="Open an incident by hand")
    async def open_incident(new: NewIncident, response: Response) -> IncidentView:
        """Publishes `incident.opened`, and creates its tickets. Answers 409 when the story has an open incident."""
        opened = await service.open(
            new.title, new.severity, text=new.text, correlation_id=new.correlation_id, owner=new.owner, by=new.by
        )
        response.headers["Location"] = f"/api/incidents/{opened['id']}"
        return IncidentView.model_validate(opened)

    @router.get("/{incident_id}", summary="Get an incident")
    async def get(incident_id: IncidentIdPath) -> IncidentView:
        """The incident with its timeline, its threats, the policy decisions behind it, and its tickets."""
        return IncidentView.model_validate(await service.get(incident_id))

    @router.post("/{incident_id}/state", summary="Move an incident to another state")
    async def move(incident_id: IncidentIdPath, to: NewState) -> IncidentView:
        """Its tickets and its threats follow. Answers 409, listing the allowed states, for one that is not."""
        return IncidentView.model_validate(await service.move(incident_id, to.state, to.note, to.by))

    @router.post("/{incident_id}/owner", summary="Give an incident to somebody")
    async def assign(incident_id: IncidentIdPath, to: NewOwner) -> IncidentView:
        """Publishes `incident.updated`."""
        return IncidentView.model_validate(await service.assign(incident_id, to.owner, to.by))

    @router.post("/{incident_id}/notes", status_code=201, summary="Add a note to an incident")
    async def note(incident_id: IncidentIdPath, new: NewNote) -> IncidentView:
        """It joins the timeline, and the tickets as a comment."""
        return IncidentView.model_validate(await service.note(incident_id, new.text, new.by))

    @router.post(
        "/webhooks/{system}",
        status_code=202,
        summary="Tell of a ticket's change",
        openapi_extra={**_WEBHOOK_BODY, **ANY_QUERY},  # Jira adds who made the change
        responses=_BAD_SIGNATURE,
    )
    async def webhook(
        system: Annotated[str, Path(max_length=limits.TYPE, description="`jira` or `servicenow`.", examples=["jira"])],
        request: Request,
    ) -> Looked:
        """For the ticket systems themselves: needs no API key, and the signature of the webhook's secret instead.

        The body only names the ticket; its state is read from the system, so that a webhook that comes late, twice or
        out of order does no harm. Answers 401 for a bad signature, 404 where no secret is set.
        """
        key, known = await webhooks.take(system, request.headers, await request.body())
        return Looked(ticket=key, known=known)

    return router


@asynccontextmanager
async def open_component(context: PluginContext) -> AsyncIterator[Component]:
    """Incident automation on these parts."""
    settings = context.table(IncidentSettings)
    async with IncidentWork.open(context) as work:
        service = IncidentService(context.database, settings, time.time, work.nudge)
        webhooks = Webhooks(context.database, settings, time.time, work.nudge)
        yield Component(incidents_router(service, webhooks), work.loops, work.families)
