"""The fleet's health over HTTP, below /api/immune."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query

from brain import limits
from brain.charter import HealthKind, HealthSeverity
from brain.immune.health_summary import HealthSummary
from brain.immune.http_models import HealthEventNumber, HealthEventView, HealthSummaryView, NewHealthEvent
from brain.immune.models import HealthEvent
from brain.immune.service import ImmuneService
from brain.kit.idempotency import request_key
from brain.kit.views import list_of


def immune_router(service: ImmuneService) -> APIRouter:
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

    return router
