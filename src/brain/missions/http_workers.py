"""What agents ask for and say over HTTP, below /api/tasks and /api/agents."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from brain import limits
from brain.kit.doer import doer
from brain.kit.http import creates_nothing, unless_gone
from brain.missions.claiming import ClaimedTask, Wanted
from brain.missions.finishing import Answer
from brain.missions.http_models import (
    EXAMPLE_TASK,
    AgentView,
    ClaimedView,
    CompleteRequest,
    FailRequest,
    GiveBackRequest,
    HeartbeatRequest,
    HeartbeatView,
    LeaseRequest,
    PersonAnswer,
    TaskView,
    UnregisteredView,
)
from brain.missions.service import Document, MissionService

TaskPath = Annotated[str, Path(max_length=limits.ID, description="The task's id.", examples=[EXAMPLE_TASK])]
AgentPath = Annotated[str, Path(max_length=limits.ID, description="The agent's id.", examples=["agent-7"])]

_LEASES = creates_nothing("what a lost answer gave is free again when its lease ends")
_ANSWERS = creates_nothing("a task is answered once")
_HELD = creates_nothing("it names a lease, whose token lets it happen once")


def tasks_router(service: MissionService) -> APIRouter:
    """The routes for those who do tasks."""
    router = APIRouter(prefix="/tasks", tags=["missions"])

    @router.post("/lease", summary="Lease tasks", response_model=list[ClaimedView], openapi_extra=_LEASES)
    async def lease(wanted: LeaseRequest, request: Request) -> list[ClaimedTask]:
        """Tasks that the agent can do and that policy lets it do (`task.<type>`), the most urgent first.

        Each comes with a token. Waits up to `wait_seconds` for the first one; empty when there is none. Who goes while
        it waits gets none.
        """
        seconds = wanted.lease_seconds or service.settings.lease_seconds
        can, types = frozenset(wanted.capabilities), frozenset(wanted.types)
        leasing = service.lease(Wanted(wanted.agent_id, can, types, wanted.most, seconds), wanted.wait_seconds)
        if not wanted.wait_seconds:
            return await leasing
        return await unless_gone(request, leasing) or []

    @router.post(
        "/{task_id}/heartbeat", summary="Hold a task longer", response_model=HeartbeatView, openapi_extra=_HELD
    )
    async def heartbeat(task_id: TaskPath, beat: HeartbeatRequest) -> Answer:
        """Answers `stop` when its mission stops, and 409 when the lease is over: somebody else may have the task."""
        return await service.heartbeat(task_id, beat.token, beat.lease_seconds or 0, beat.progress)

    @router.post("/{task_id}/complete", status_code=204, summary="Complete a task", openapi_extra=_HELD)
    async def complete(task_id: TaskPath, done: CompleteRequest) -> Response:
        """Answered once it is on the disk. Answers 409 when the lease is over; sent again it is answered as before."""
        await service.complete(task_id, done.token, done.result)
        return Response(status_code=204)

    @router.post("/{task_id}/fail", status_code=204, summary="Report a failed try", openapi_extra=_HELD)
    async def fail(task_id: TaskPath, failed: FailRequest) -> Response:
        """The task is tried again later, or its mission has failed. Answers 409 when the lease is over."""
        await service.fail(task_id, failed.token, failed.error, failed.retry)
        return Response(status_code=204)

    @router.post("/{task_id}/give-back", status_code=204, summary="Give a task back", openapi_extra=_HELD)
    async def give_back(task_id: TaskPath, given: GiveBackRequest) -> Response:
        """Others can have it; or, when its mission stops, the agent acknowledges that. Answers 409 as `complete`."""
        await service.give_back(task_id, given.token)
        return Response(status_code=204)

    @router.post(
        "/{task_id}/answer", summary="Answer a task's question", response_model=TaskView, openapi_extra=_ANSWERS
    )
    async def answer(task_id: TaskPath, given: PersonAnswer) -> Document:
        """A person's yes completes the task, a no ends the mission. Answers 409 for a task that does not wait."""
        return await service.answer(task_id, given.approved, doer(given.by), given.note)

    return router


def agents_router(service: MissionService) -> APIRouter:
    """The routes about those who do tasks."""
    router = APIRouter(prefix="/agents", tags=["missions"])

    @router.get("", summary="List agents", response_model=list[AgentView])
    async def listing() -> list[Document]:
        """Those that ever asked for tasks, by name."""
        return await service.agents()

    @router.delete("/{agent_id}", summary="Unregister an agent", response_model=UnregisteredView)
    async def unregister(agent_id: AgentPath) -> dict[str, int]:
        """It is offline at once, and its tasks go to others."""
        return {"released": await service.unregister(agent_id)}

    return router
