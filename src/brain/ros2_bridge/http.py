"""The bridge over HTTP, below /api/ros2. Topics have slashes, so they come in bodies and at the ends of paths."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from brain import limits
from brain.fields import Object
from brain.kit.http import PROBLEM_TYPE, creates_nothing
from brain.kit.views import list_of, view_of
from brain.ros2_bridge.service import LinkState, Ros2Service

LinkView: type[BaseModel] = view_of(LinkState, "Ros2Link")
_MOVES = creates_nothing("a command moves a robot for half a second; sent again it goes on moving")

_NO_LINK: dict[int | str, dict[str, Any]] = {
    404: {
        "description": "No link has this name, or the topic is none of its command topics",
        "content": {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
}


class NewMessage(BaseModel):
    """A command."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        json_schema_extra={
            "examples": [
                {"link": "hall", "topic": "/cmd_vel", "agent_id": "driver-1", "message": {"linear": {"x": 0.3}}}
            ]
        }
    )

    link: Annotated[str, Field(min_length=1, max_length=limits.ID, description="The link.")]
    topic: Annotated[str, Field(min_length=1, max_length=limits.NAME, description="A command topic of the settings.")]
    agent_id: Annotated[str, Field(min_length=1, max_length=limits.ID, description="The agent.")]
    message: Annotated[Object, Field(description="The message; fields that are left out are 0.")]


class Published(BaseModel):
    """A command that was sent."""

    rule_id: Annotated[str | None, Field(description="The rule that let it through; null when none matched.")]


def ros2_router(service: Ros2Service) -> APIRouter:
    """The routes over this service."""
    router = APIRouter(prefix="/ros2", tags=["ros2"])

    @router.get("/links", summary="List links to robots", response_model=list_of(LinkView))
    async def links() -> Any:
        """Each with its topics, their rates, and what became of commands."""
        return service.links()

    @router.post("/publish", summary="Send a command to a robot", responses=_NO_LINK, openapi_extra=_MOVES)
    async def publish(new: NewMessage) -> Published:
        """Sent when rules (`ros2.publish`), bounds and rate let it through.

        Answers 422 beyond the bounds, 403 when the rules deny it, 503 while the link is down or the robot contained.
        """
        return Published(rule_id=await service.publish(new.link, new.topic, new.agent_id, new.message))

    return router
