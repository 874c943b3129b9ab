"""Playbooks over HTTP, below /api/playbooks."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from brain import limits
from brain.kit.database import reachable
from brain.kit.database_threads import for_reading, for_writing
from brain.kit.doer import doer
from brain.kit.http import creates_nothing
from brain.kit.views import list_of, view_of
from brain.playbooks.reads import PlaybookRow, RunRow, StopRow, playbook_rows, read_run, read_runs, read_stops
from brain.playbooks.tasks import PlaybookTasks
from brain.plugins import PluginContext

Limit = Annotated[int, Query(ge=1, le=1000, description="At most so many.")]
RunPath = Annotated[str, Path(max_length=limits.ID, description="The run's id.", examples=["run_5f2c9b1e40a7d316"])]

PlaybookView: type[BaseModel] = view_of(PlaybookRow, "PlaybookView")
RunView: type[BaseModel] = view_of(RunRow, "PlaybookRunView")
StopView: type[BaseModel] = view_of(StopRow, "PlaybookStopView")


class NewAnswer(BaseModel):
    """A person's answer to what a run asks."""

    model_config: ClassVar[ConfigDict] = ConfigDict(json_schema_extra={"examples": [{"yes": True, "by": "ann"}]})

    yes: bool = Field(description="Whether it may go on; for a step that a crash cut off: whether it was done.")
    by: Annotated[str, Field(min_length=1, max_length=limits.ID, description="Who answers.", examples=["ann"])]


def playbooks_router(context: PluginContext, tasks: PlaybookTasks) -> APIRouter:
    """The routes over these parts."""
    router = APIRouter(prefix="/playbooks", tags=["playbooks"])
    database = context.database

    @router.get("", summary="List playbooks", response_model=list_of(PlaybookView))
    async def playbooks() -> Any:
        """Those that are loaded: what starts them, and what they do."""
        return playbook_rows(tasks.playbooks)

    @router.get("/runs", summary="List runs", response_model=list_of(RunView))
    async def runs(limit: Limit = 100) -> Any:
        """The last ones with their steps, the newest first."""
        return await for_reading(database, read_runs, database, limit)

    @router.get("/stops", summary="List what was stopped", response_model=list_of(StopView))
    async def stops(limit: Limit = 100) -> Any:
        """The budgets and cool-downs that kept playbooks from starting, and how often."""
        return await for_reading(database, read_stops, database, limit)

    @router.get("/runs/{run_id}", summary="Get a run", response_model=RunView)
    async def run(run_id: RunPath) -> Any:
        """A run with its steps."""
        return await for_reading(database, read_run, database, run_id)

    @router.post(
        "/runs/{run_id}/answer",
        summary="Answer what a run asks",
        response_model=RunView,
        openapi_extra=creates_nothing("answered once"),
    )
    async def answer(run_id: RunPath, given: NewAnswer) -> Any:
        """Answers 409 when the run asks nothing, or was answered otherwise."""

        def write() -> RunRow:
            with reachable(database):
                tasks.records.answer(run_id, given.yes, doer(given.by))
            return read_run(database, run_id)

        answered = await for_writing(database, write)
        tasks.wake()
        return answered

    return router
