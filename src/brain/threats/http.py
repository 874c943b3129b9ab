"""Threats over HTTP, below /api/threats."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from brain import limits
from brain.charter import Severity
from brain.charter import ThreatStatus as Status
from brain.errors import BrainError
from brain.fields import Object, Text
from brain.logs import Log
from brain.plugins import Component, PluginContext
from brain.threats.detections import FORMER_GROUP, GROUP, DenialDetection
from brain.threats.models import Threat
from brain.threats.service import REASON_CHARACTERS, ThreatService

log = Log("brain.threats")

LOOK_SECONDS = 0.5
EXAMPLE_ID = "thr_4f1a09be27c3d815"
_EXAMPLE: dict[str, Any] = {
    "type": "ssh_brute_force",
    "severity": "HIGH",
    "source": "203.0.113.77",
    "description": "80 failed passwords for root from 203.0.113.77",
    "metadata": {"evidence": {"failed_passwords": 80}},
}


class NewThreat(BaseModel):
    """A threat to be created."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})

    type: str = Field(
        min_length=1, max_length=limits.TYPE, description="What kind of threat, such as `ssh_brute_force`."
    )
    source: str = Field(
        min_length=1, max_length=limits.NAME, description="Whom or what it comes from: an address, an agent."
    )
    severity: Severity = Field(Severity.MEDIUM, description="How bad it is.")
    description: Text = Field("", description="What was seen, for a person to read.")
    metadata: Object = Field(default_factory=dict, description="The detector's own data, at most 64 KiB.")


class NewStatus(BaseModel):
    """A move of a threat."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"status": "INVESTIGATING", "reason": "looking at the logins"}]}
    )

    status: Status = Field(description="The status to move to; a threat's `allowed_moves` lists those possible now.")
    reason: str = Field("", max_length=REASON_CHARACTERS, description="Why, for the record.")


class MoveView(BaseModel):
    """One move that a threat made."""

    model_config = ConfigDict(from_attributes=True)

    old: Status = Field(description="The status before.")
    new: Status = Field(description="The status after.")
    at: float = Field(description="When, in Unix seconds.")
    reason: str = Field(description="Why; empty when nothing was given.")


class ThreatView(BaseModel):
    """A threat."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "examples": [
                {
                    **_EXAMPLE,
                    "id": EXAMPLE_ID,
                    "status": "INVESTIGATING",
                    "correlation_id": EXAMPLE_ID,
                    "detected_at": 1703001234.567,
                    "last_seen": 1703001234.567,
                    "updated_at": 1703001301.2,
                    "mitigated_at": None,
                    "allowed_moves": ["ESCALATED", "MITIGATED", "IGNORED"],
                    "history": [{"old": "OPEN", "new": "INVESTIGATING", "at": 1703001301.2, "reason": ""}],
                }
            ]
        },
    )

    id: str = Field(description="The threat's id; it never changes.")
    type: str = Field(description="What kind of threat.")
    severity: Severity = Field(description="How bad it is.")
    source: str = Field(description="Whom or what it comes from.")
    status: Status = Field(description="Where it stands.")
    description: str = Field(description="What was seen.")
    metadata: dict[str, Any] = Field(description="The detector's own data; `evidence` holds counts where it counted.")
    correlation_id: str = Field(description="In the meta of every event about this threat.")
    detected_at: float = Field(description="When it was detected, in Unix seconds.")
    last_seen: float = Field(description="When the latest evidence is from, in Unix seconds.")
    updated_at: float = Field(description="When it was last changed, in Unix seconds.")
    mitigated_at: float | None = Field(description="When it was mitigated, in Unix seconds; null while it is not.")
    allowed_moves: list[Status] = Field(description="The statuses it may move to now.")
    history: list[MoveView] = Field(description="Its moves, the oldest first; at most the last 100.")


class ThreatStatsView(BaseModel):
    """Counts and times over all threats."""

    model_config = ConfigDict(from_attributes=True)

    total: int = Field(description="All threats.")
    active: int = Field(description="Those OPEN, INVESTIGATING or ESCALATED.")
    by_status: dict[str, int] = Field(description="How many in each status.")
    by_severity: dict[str, int] = Field(description="How many of each severity.")
    by_type: dict[str, int] = Field(description="How many of each type.")
    mitigated: int = Field(description="Those mitigated or resolved: what `mttm_seconds` is the mean over.")
    mttm_seconds: float | None = Field(description="Mean seconds from detection to mitigation; null when none was.")
    active_mean_age_seconds: float | None = Field(description="Mean age of the active ones, in seconds.")
    active_oldest_age_seconds: float | None = Field(description="Age of the oldest active one, in seconds.")
    active_oldest_id: str | None = Field(description="The id of the oldest active one.")


ThreatIdPath = Annotated[str, Path(max_length=limits.ID, description="The threat's id.", examples=[EXAMPLE_ID])]


def threats_router(service: ThreatService) -> APIRouter:
    """The routes over this service."""
    router = APIRouter(prefix="/threats", tags=["threats"])

    @router.post("", status_code=201, summary="Create a threat")
    async def create(new: NewThreat, response: Response) -> ThreatView:
        """Keeps the threat, OPEN, and publishes `threat.detected`."""
        threat = await service.create_threat(**new.model_dump())
        response.headers["Location"] = f"/api/threats/{threat.id}"
        return _view(threat)

    @router.get("", summary="List threats")
    async def listing(
        status: Annotated[
            list[Status] | None, Query(max_length=limits.FILTERS, description="Only these statuses; may be repeated.")
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
    ) -> list[ThreatView]:
        """Those that fit all filters, the latest detected first."""
        return [_view(threat) for threat in await service.list_threats(status, severity, type, source, limit)]

    @router.get("/stats", summary="Count threats")
    async def stats() -> ThreatStatsView:
        """Counts by status, severity and type, the mean time to mitigate, and the ages of what is active."""
        return ThreatStatsView.model_validate(await service.get_stats())

    @router.get("/{threat_id}", summary="Get a threat")
    async def get(threat_id: ThreatIdPath) -> ThreatView:
        """The threat with its history and the moves it may make."""
        return _view(await service.get_threat(threat_id))

    @router.post("/{threat_id}/status", summary="Move a threat to another status")
    async def move(threat_id: ThreatIdPath, to: NewStatus) -> ThreatView:
        """Publishes `threat.status_changed`, and `threat.escalated` or `threat.mitigated` besides.

        Answers 409, listing the allowed moves, for one that is not allowed.
        """
        return _view(await service.update_threat_status(threat_id, to.status, to.reason))

    return router


def _view(threat: Threat) -> ThreatView:
    return ThreatView.model_validate(threat)


@asynccontextmanager
async def open_component(context: PluginContext) -> AsyncIterator[Component]:
    """Threats on a server's stream and store, detections included."""
    service = ThreatService(context.stream, context.store)
    context.stream.plugin_consumer(GROUP, "policy.action_denied", DenialDetection(service).handle, former=FORMER_GROUP)
    yield Component(threats_router(service), tasks=(partial(_keep_looking, service),))


async def _keep_looking(service: ThreatService) -> None:
    """Look at the store now and then, so that what it has lost is written back without anybody asking."""
    while True:
        try:
            await service.refresh()
        except BrainError as error:
            log.error("threats not looked at", error=str(error))
        await asyncio.sleep(LOOK_SECONDS)
