"""Threats over HTTP, below /api/threats."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import APIRouter, Path, Query, Response

from brain import limits
from brain.charter import Severity, ThreatStatus
from brain.kit.causal_timeline import find_causal_timeline, step_row
from brain.kit.idempotency import request_key
from brain.kit.views import list_of
from brain.stream import EventStream
from brain.threats.http_models import (
    EXAMPLE_ID,
    NewAssignee,
    NewComment,
    NewStatus,
    NewThreat,
    ThreatStatsView,
    ThreatView,
    TimelineView,
)
from brain.threats.models import Threat, ThreatStats
from brain.threats.service import ThreatService

ThreatIdPath = Annotated[str, Path(max_length=limits.ID, description="The threat's id.", examples=[EXAMPLE_ID])]


def threats_router(service: ThreatService, stream: EventStream | None = None) -> APIRouter:
    """The routes over this service; without a stream there are no timelines."""
    router = APIRouter(prefix="/threats", tags=["threats"])
    _add_reading(router, service)
    _add_changing(router, service)
    _add_noting(router, service)
    if stream is not None:
        _add_timeline(router, service, stream)
    return router


def _add_changing(router: APIRouter, service: ThreatService) -> None:
    @router.post("", status_code=201, response_model=ThreatView, summary="Create a threat")
    async def create(new: NewThreat, response: Response) -> Threat:
        """Keeps the threat, OPEN, and publishes `threat.detected`."""
        threat = await service.create_threat(**new.model_dump(), key=request_key())
        response.headers["Location"] = f"/api/threats/{threat.id}"
        return threat

    @router.post("/{threat_id}/status", response_model=ThreatView, summary="Move a threat to another status")
    async def move(threat_id: ThreatIdPath, to: NewStatus) -> Threat:
        """Publishes `threat.status_changed`, and `threat.escalated` or `threat.mitigated` besides.

        Answers 409, listing the allowed moves, for one that is not allowed.
        """
        return await service.update_threat_status(threat_id, to.status, to.reason)


def _add_noting(router: APIRouter, service: ThreatService) -> None:
    @router.post("/{threat_id}/assignee", response_model=ThreatView, summary="Assign a threat")
    async def assign(threat_id: ThreatIdPath, to: NewAssignee) -> Threat:
        """Publishes `threat.assigned`; nothing when the threat was that person's already."""
        return await service.assign(threat_id, to.assignee)

    @router.post(
        "/{threat_id}/comments", status_code=201, response_model=ThreatView, summary="Add a comment to a threat"
    )
    async def comment(threat_id: ThreatIdPath, new: NewComment) -> Threat:
        """Publishes `threat.commented`. Who sent the request is the comment's author."""
        return await service.comment(threat_id, new.text, key=request_key())


def _add_timeline(router: APIRouter, service: ThreatService, stream: EventStream) -> None:
    @router.get("/{threat_id}/timeline", response_model=TimelineView, summary="Get what happened around a threat")
    async def timeline(
        threat_id: ThreatIdPath, limit: Annotated[int, Query(ge=2, le=1000, description="At most so many.")] = 500
    ) -> Response:
        """The events of all modules with the threat's correlation id, and the events that it was detected by.

        Each follows the event that caused it. Of a timeline that is longer than `limit` the middle is left out.
        """
        threat = await service.get_threat(threat_id)
        found = await stream.call_reader(
            find_causal_timeline, stream.backend, threat.correlation_id, most=limit, evidence=threat.evidence_events
        )
        answer = {"correlation_id": threat.correlation_id, "whole": found.whole, "steps": [*map(step_row, found.steps)]}
        return Response(msgspec.json.encode(answer), media_type="application/json")


def _add_reading(router: APIRouter, service: ThreatService) -> None:
    @router.get("", response_model=list_of(ThreatView), summary="List threats")
    async def listing(
        status: Annotated[
            list[ThreatStatus] | None,
            Query(max_length=limits.FILTERS, description="Only these statuses; may be repeated."),
        ] = None,
        severity: Annotated[
            list[Severity] | None,
            Query(max_length=limits.FILTERS, description="Only these severities; may be repeated."),
        ] = None,
        type: Annotated[
            str | None, Query(max_length=limits.TYPE, description="Only this type.", examples=["ssh_brute_force"])
        ] = None,
        source: Annotated[
            str | None, Query(max_length=limits.NAME, description="Only from this source.", examples=["203.0.113.77"])
        ] = None,
        limit: Annotated[int, Query(ge=1, le=10_000, description="At most so many.")] = 100,
        before: Annotated[
            str | None,
            Query(max_length=limits.ID, description="Only what comes after this threat.", examples=[EXAMPLE_ID]),
        ] = None,
    ) -> list[Threat]:
        """Those that fit all filters, the latest detected first. For what follows, give the last id as `before`."""
        return await service.list_threats(status, severity, type, source, limit, before)

    @router.get("/worst", response_model=list_of(ThreatView), summary="List the worst active threats")
    async def worst(
        limit: Annotated[int, Query(ge=1, le=1_000, description="At most so many.")] = 10,
    ) -> list[Threat]:
        """Those OPEN, INVESTIGATING or ESCALATED, the most severe first, among these the latest detected."""
        return await service.worst_threats(limit)

    @router.get("/stats", response_model=ThreatStatsView, summary="Count threats")
    async def stats() -> ThreatStats:
        """Counts by status, severity and type, the mean time to mitigate, and the ages of what is active."""
        return await service.get_stats()

    @router.get("/{threat_id}", response_model=ThreatView, summary="Get a threat")
    async def get(threat_id: ThreatIdPath) -> Threat:
        """The threat with its history and the moves it may make."""
        return await service.get_threat(threat_id)
