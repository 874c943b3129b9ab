"""Missions over HTTP, below /api/missions, /api/tasks and /api/agents; and the plug-in opened."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from brain import limits
from brain.kit.doer import doer
from brain.kit.http import creates_nothing
from brain.kit.idempotency import request_key
from brain.missions.http_models import (
    EXAMPLE_ID,
    GraphView,
    MissionRequest,
    MissionSummary,
    MissionView,
    Reason,
    StatsView,
)
from brain.missions.http_robots import add_robots
from brain.missions.http_workers import agents_router, tasks_router
from brain.missions.models import MissionStatus
from brain.missions.service import Document, MissionService

MissionPath = Annotated[str, Path(max_length=limits.ID, description="The mission's id.", examples=[EXAMPLE_ID])]

_MOVES = creates_nothing("it moves a mission; sent again it finds it moved, and answers the same or 409")


def missions_router(service: MissionService) -> APIRouter:
    """The routes over this service."""
    router = APIRouter(prefix="/missions", tags=["missions"])
    add_robots(router, service)
    _add_reading(router, service)
    _add_making(router, service)
    _add_moves(router, service)
    return router


def _add_reading(router: APIRouter, service: MissionService) -> None:
    @router.get("", summary="List missions", response_model=list[MissionSummary])
    async def listing(
        status: Annotated[
            list[MissionStatus] | None,
            Query(max_length=limits.FILTERS, description="Only these statuses; may be repeated."),
        ] = None,
        limit: Annotated[int, Query(ge=1, le=1000, description="At most so many.")] = 100,
    ) -> list[Document]:
        """The latest first."""
        return await service.list([one.value for one in status or ()], limit)

    @router.get("/stats", summary="Count missions, tasks and agents", response_model=StatsView)
    async def stats() -> Document:
        """By status."""
        return await service.stats()

    @router.get("/{mission_id}", summary="Get a mission", response_model=MissionView)
    async def get(mission_id: MissionPath) -> Document:
        """The mission with its tasks, each after those that it depends on."""
        return await service.get(mission_id)

    @router.get("/{mission_id}/graph", summary="Get the graph of a mission", response_model=GraphView)
    async def graph(mission_id: MissionPath) -> Document:
        """Its tasks as nodes, what they wait for as edges."""
        return await service.graph(mission_id)


def _add_making(router: APIRouter, service: MissionService) -> None:
    @router.post("", status_code=201, summary="Make a mission", response_model=MissionView)
    async def create(new: MissionRequest, response: Response) -> Document:
        """Makes it and starts it, unless `start` is false. Policy decides on `mission.start` for the agent `by`."""
        made = await service.create(new.model_copy(update={"by": doer(new.by)}), key=request_key())
        response.headers["Location"] = f"/api/missions/{made['id']}"
        return made


def _add_moves(router: APIRouter, service: MissionService) -> None:
    @router.post("/{mission_id}/start", summary="Start a mission", response_model=MissionView, openapi_extra=_MOVES)
    async def start(mission_id: MissionPath, given: Reason) -> Document:
        """For one that was made with `start` false. Policy decides on `mission.start`."""
        return await service.start(mission_id, doer(given.by))

    @router.post("/{mission_id}/pause", summary="Pause a mission", response_model=MissionView, openapi_extra=_MOVES)
    async def pause(mission_id: MissionPath, given: Reason) -> Document:
        """Its running tasks go on; no other begins."""
        return await service.pause(mission_id, given.reason, doer(given.by))

    @router.post("/{mission_id}/resume", summary="Resume a mission", response_model=MissionView, openapi_extra=_MOVES)
    async def resume(mission_id: MissionPath, given: Reason) -> Document:
        """Its tasks can begin again."""
        return await service.resume(mission_id, given.reason, doer(given.by))

    @router.post("/{mission_id}/cancel", summary="Cancel a mission", response_model=MissionView, openapi_extra=_MOVES)
    async def cancel(mission_id: MissionPath, given: Reason) -> Document:
        """It is over once its agents have acknowledged, or their time is over, and what was done is undone.

        Policy decides on `mission.cancel`.
        """
        return await service.cancel(mission_id, given.reason, doer(given.by))

    @router.post(
        "/{mission_id}/retry", summary="Try a failed mission again", response_model=MissionView, openapi_extra=_MOVES
    )
    async def retry(mission_id: MissionPath, given: Reason) -> Document:
        """From where it failed. Policy decides on `mission.start`."""
        return await service.retry(mission_id, doer(given.by))


def whole_router(service: MissionService) -> APIRouter:
    """All routes of the plug-in, of missions, of tasks for workers, and of agents."""
    router = APIRouter()
    for part in (missions_router(service), tasks_router(service), agents_router(service)):
        router.include_router(part)
    return router
