"""The fleet's health over HTTP, below /api/immune."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from brain import limits
from brain.charter import HealthKind, HealthSeverity
from brain.fields import Object, Text
from brain.immune.healing import FORMER_GROUP, GROUP, Healing
from brain.immune.health import HealthStatus
from brain.immune.models import HealthEvent
from brain.immune.service import ImmuneService
from brain.plugins import Component, PluginContext

if TYPE_CHECKING:
    pass

_EXAMPLE: dict[str, Any] = {
    "severity": "CRITICAL",
    "kind": "AGENT_FAILURE",
    "module": "billing-agent",
    "message": "billing-agent has not answered for 30 s",
    "details": {"restarts": 0},
    "correlation_id": "health_5d0c9a7e4b1f2836",
}


class NewHealthEvent(BaseModel):
    """A health event to be recorded."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})

    severity: HealthSeverity = Field(description="How much it matters.")
    kind: HealthKind = Field(description="Which kind of event it is.")
    module: str = Field(min_length=1, max_length=limits.ID, description="Which module, agent or service it is about.")
    message: Text = Field(description="What happened, for a person to read.")
    details: Object = Field(default_factory=dict, description="The reporter's own data, at most 64 KiB.")
    correlation_id: str | None = Field(
        None, min_length=1, max_length=limits.STORY, description="The story it belongs to; null begins one."
    )


class HealthEventNumber(BaseModel):
    """Where a health event was recorded."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"id": 42}]})

    id: int = Field(description="The event's number, counted from 1.")


class HealthEventView(BaseModel):
    """A recorded health event."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={"examples": [{**_EXAMPLE, "id": 42, "timestamp": 1703001234.567}]},
    )

    id: int = Field(description="The event's number, counted from 1.")
    timestamp: float = Field(description="When it was recorded, in Unix seconds.")
    severity: HealthSeverity = Field(description="How much it matters.")
    kind: HealthKind = Field(description="Which kind of event it is.")
    module: str = Field(description="Which module, agent or service it is about.")
    message: str = Field(description="What happened.")
    details: dict[str, Any] = Field(description="The reporter's own data.")
    correlation_id: str | None = Field(description="The story it belongs to.")


class ReasonView(BaseModel):
    """Why points are missing from the score."""

    model_config = ConfigDict(from_attributes=True)

    points: float = Field(description="How many points are missing for this.")
    text: str = Field(description="What happened, how often, and how much of it was healed.")


class HealthSummaryView(BaseModel):
    """How healthy the fleet is."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "examples": [
                {
                    "minutes": 60,
                    "total": 3,
                    "by_severity": {"INFO": 1, "WARNING": 1, "CRITICAL": 1},
                    "by_kind": {"AGENT_FAILURE": 1, "ERROR_SPIKE": 1, "SELF_HEALING_ACTION": 1},
                    "score": 92,
                    "status": "HEALTHY",
                    "reasons": [
                        {"points": 5.0, "text": "billing-agent: 1 CRITICAL AGENT_FAILURE, 1 of them healed"},
                        {"points": 3.0, "text": "search-agent: 1 WARNING ERROR_SPIKE"},
                    ],
                }
            ]
        },
    )

    minutes: float = Field(description="How far back the summary looks.")
    total: int = Field(description="The events in that time.")
    by_severity: dict[str, int] = Field(description="How many of each severity.")
    by_kind: dict[str, int] = Field(description="How many of each kind.")
    score: int = Field(ge=0, le=100, description="100 is perfect health.")
    status: HealthStatus = Field(description="The score in one word: HEALTHY from 80, DEGRADED from 50, else CRITICAL.")
    reasons: list[ReasonView] = Field(description="What took points off, the gravest first.")


def immune_router(service: ImmuneService) -> APIRouter:
    """The routes over this service."""
    router = APIRouter(prefix="/immune", tags=["immune"])

    @router.post("/events", status_code=201, summary="Record a health event")
    async def record(new: NewHealthEvent) -> HealthEventNumber:
        """Publishes `immune.event_published`, and `immune.critical_event` besides when it is CRITICAL."""
        return HealthEventNumber(id=await service.publish_event(HealthEvent(**new.model_dump())))

    @router.get("/events", summary="List health events")
    async def listing(
        severity: Annotated[HealthSeverity | None, Query(description="Only this severity.")] = None,
        kind: Annotated[HealthKind | None, Query(description="Only this kind.")] = None,
        module: Annotated[
            str | None, Query(max_length=limits.ID, description="Only about this module.", examples=["billing-agent"])
        ] = None,
        limit: Annotated[int, Query(ge=1, le=10_000, description="At most so many.")] = 100,
    ) -> list[HealthEventView]:
        """Those that fit all filters, the newest first."""
        events = await asyncio.to_thread(service.get_recent_events, limit, severity, kind, module)
        return [HealthEventView.model_validate(event) for event in events]

    @router.get("/health", summary="Sum up the fleet's health")
    async def health(
        minutes: Annotated[float, Query(gt=0, le=525_600, description="How far back to look.")] = 60,
    ) -> HealthSummaryView:
        """Counts by severity and kind, and a score with its reasons."""
        return HealthSummaryView.model_validate(await asyncio.to_thread(service.health_summary, minutes))

    return router


@asynccontextmanager
async def open_component(context: PluginContext) -> AsyncIterator[Component]:
    """Health on a server's stream and store, healing included."""
    service = ImmuneService(context.stream, context.store)
    context.stream.plugin_consumer(
        GROUP, "immune.critical_event", Healing(service, context.store).handle, former=FORMER_GROUP
    )
    yield Component(immune_router(service))
