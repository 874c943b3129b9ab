"""Orders for robots over HTTP, below /api/missions: VDA 5050 3.0.0."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from brain import limits
from brain.fields import Object
from brain.kit.database_threads import for_reading
from brain.kit.http import creates_nothing
from brain.missions.http_models import EXAMPLE_ID
from brain.missions.service import MissionService
from brain.missions.vda5050.messages import Headers
from brain.missions.vda5050.orders import OrderOptions, make_order, stops_of_mission
from brain.missions.vda5050.schemas import Schemas, faults_of

_EXAMPLE: dict[str, Any] = {"topic": "connection", "message": {"headerId": 0, "connectionState": "ONLINE"}}


class CheckRequest(BaseModel):
    """A message of VDA 5050, and its topic."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", json_schema_extra={"examples": [_EXAMPLE]})

    topic: str = Field(max_length=limits.TYPE, description="order, state, instantActions, connection, ...")
    message: Object = Field(description="The message")


class CheckView(BaseModel):
    """What is wrong with a message."""

    valid: bool
    by_schema: bool = Field(description="Whether the official schemas were used (the setting vda5050_schemas)")
    faults: list[str] = Field(description="Each with its place in the message")


def add_robots(router: APIRouter, service: MissionService) -> None:
    """Add the routes. They must come before those of a mission's id."""

    @router.post(
        "/vda5050/check",
        summary="Check a message of VDA 5050",
        response_model=CheckView,
        openapi_extra=creates_nothing("it only reads"),
    )
    async def check(given: CheckRequest) -> CheckView:
        """By the official schemas, where the setting names their folder, and by what these do not see.

        Answers 422 for a folder without schemas, or without the extra `vda5050`.
        """
        folder = service.settings.vda5050_schemas

        def faults() -> list[str]:
            return faults_of(given.topic, given.message, None if folder is None else Schemas(folder))

        found = await for_reading(service.database, faults)
        return CheckView(valid=not found, by_schema=folder is not None, faults=found)

    @router.get("/{mission_id}/order", summary="Get a mission as an order for a robot")
    async def order(
        mission_id: Annotated[str, Path(max_length=limits.ID, description="The mission's id.", examples=[EXAMPLE_ID])],
        robot: Annotated[str, Query(max_length=limits.ID, description="The robot's serial number.")],
        map_id: Annotated[str, Query(max_length=limits.ID, description="The map that the places are on.")],
        manufacturer: Annotated[str, Query(max_length=limits.ID, description="The robot's manufacturer.")] = "brain",
    ) -> dict[str, Any]:
        """Each task whose input has `x` and `y` is a node, each other one an action at the node before.

        Answers 422 when its first task has no place.
        """
        found = await service.get(mission_id)
        tasks = [task for task in found["tasks"] if task["undoes"] is None]
        options = OrderOptions(map_id=map_id, order_id=mission_id, description=found["name"])
        return make_order(Headers(manufacturer, robot), stops_of_mission(tasks), options)
