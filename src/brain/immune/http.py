"""The fleet's health over HTTP, below /api/immune."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Path, Query

from brain import limits
from brain.charter import HealthKind, HealthSeverity
from brain.immune.health_summary import HealthSummary, ModuleHealth
from brain.immune.heartbeats import Heartbeat
from brain.immune.http_models import (
    HealthEventNumber,
    HealthEventView,
    HealthSummaryView,
    HeartbeatView,
    ModuleHealthView,
    NewHealthEvent,
    NewHeartbeat,
)
from brain.immune.models import HealthEvent
from brain.immune.service import ImmuneService
from brain.immune.vitals import Vitals
from brain.kit.http import creates_nothing
from brain.kit.idempotency import request_key
from brain.kit.views import list_of


def immune_router(service: ImmuneService, vitals: Vitals) -> APIRouter:
    """The routes over this service."""
    router = APIRouter(prefix="/immune", tags=["immune"])

    @router.post("/events", status_code=201, summary="Record a health event")
    async def record(new: NewHealthEvent) -> HealthEventNumber:
        """Publishes `immune.event_published`, and `immune.critical_event` besides when it is CRITICAL."""
        return HealthEventNumber(id=await service.publish_event(HealthEvent(**new.model_dump()), key=request_key()))

    @router.get("/events", response_model=list_of(HealthEventView), summary="List health events")
    async def listing(
        severity: Annotated[HealthSeverity | None, Query(description="Only this severity.")] = None,
        kind: Annotated[HealthKind | None, Query(description="Only this kind.")] = None,
        module: Annotated[
            str | None, Query(max_length=limits.ID, description="Only about this module.", examples=["billing-agent"])
        ] = None,
        limit: Annotated[int, Query(ge=1, le=10_000, description="At most so many.")] = 100,
    ) -> list[HealthEvent]:
        """Those that fit all filters, the newest first."""
        return await asyncio.to_thread(service.get_recent_events, limit, severity, kind, module)

    @router.get("/health", response_model=HealthSummaryView, summary="Sum up the fleet's health")
    async def health(
        minutes: Annotated[float, Query(gt=0, le=525_600, description="How far back to look.")] = 60,
    ) -> HealthSummary:
        """Counts by severity and kind, and a score with its reasons."""
        return await asyncio.to_thread(service.health_summary, minutes)

    @router.get("/modules", response_model=list_of(ModuleHealthView), summary="Score each module's health")
    async def modules(
        minutes: Annotated[float, Query(gt=0, le=525_600, description="How far back to look.")] = 60,
    ) -> list[ModuleHealth]:
        """Those with health events in that time, the least healthy first, with the reasons of each score."""
        return await asyncio.to_thread(service.health_by_module, minutes)

    _add_heartbeats(router, vitals)
    return router


def _add_heartbeats(router: APIRouter, vitals: Vitals) -> None:
    @router.post(
        "/heartbeat",
        response_model=HeartbeatView,
        summary="Say that an agent is there",
        openapi_extra=creates_nothing("the same again"),
    )
    async def heartbeat(new: NewHeartbeat) -> Heartbeat:
        """Say that an agent is there. One that says nothing for three intervals is an AGENT_FAILURE."""
        return await vitals.beat(new.agent_id, new.interval_seconds, new.resources)

    @router.get("/heartbeats", response_model=list_of(HeartbeatView), summary="List agents that send heartbeats")
    async def heartbeats() -> Sequence[Heartbeat]:
        """Those that are there, and those that have failed."""
        return await vitals.heartbeats()

    @router.delete("/heartbeats/{agent_id:path}", status_code=204, summary="Expect no more heartbeats of an agent")
    async def leave(agent_id: Annotated[str, Path(max_length=limits.NAME)]) -> None:
        """For an agent that is switched off on purpose."""
        await vitals.leave(agent_id)
