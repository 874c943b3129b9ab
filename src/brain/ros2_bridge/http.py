"""The bridge over HTTP, below /api/ros2. Topics have slashes, so they come in bodies and at the ends of paths."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, ClassVar

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field

from brain import limits
from brain.fields import Object
from brain.kit.doer import doer
from brain.kit.http import PROBLEM_TYPE, creates_nothing
from brain.kit.views import list_of, view_of
from brain.ros2_bridge.calls import ServiceAnswer
from brain.ros2_bridge.goals import GoalState
from brain.ros2_bridge.graph import Graph
from brain.ros2_bridge.rates import TopicRate
from brain.ros2_bridge.service import LinkState, RecordedBag, Ros2Service

LinkPath = Annotated[str, Path(max_length=64, description="The link's name in the settings.", examples=["hall"])]
TopicPath = Annotated[
    str, Path(max_length=limits.NAME, description="The topic, with its slashes.", examples=["robot/odom"])
]
LinkView: type[BaseModel] = view_of(LinkState, "Ros2Link")
TopicView: type[BaseModel] = view_of(TopicRate, "Ros2Topic")
GraphView: type[BaseModel] = view_of(Graph, "Ros2Graph")
BagView: type[BaseModel] = view_of(RecordedBag, "Ros2Bag")
AnswerView: type[BaseModel] = view_of(ServiceAnswer, "Ros2Answer")
GoalView: type[BaseModel] = view_of(GoalState, "Ros2Goal")
GoalPath = Annotated[
    str, Path(max_length=64, description="The goal's id.", examples=["5f0c1d9b8a7e4c3fa1b2c3d4e5f60718"])
]
_CALLS = creates_nothing("a call is made at the robot; sent again it is made again")
_GOALS = creates_nothing("a goal is the robot's; sent again the robot gets it again")
_MOVES = creates_nothing("a command moves a robot for half a second; sent again it goes on moving")

_NO_LINK: dict[int | str, dict[str, Any]] = {
    404: {
        "description": "No link has this name, or its settings do not have this topic, service or action",
        "content": {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
}


_NO_GOAL: dict[int | str, dict[str, Any]] = {404: _NO_LINK[404] | {"description": "No goal has this id"}}


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


class NewCall(BaseModel):
    """A call of a service."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        json_schema_extra={
            "examples": [{"link": "hall", "service": "/lights/set", "agent_id": "driver-1", "request": {"data": True}}]
        }
    )

    link: Annotated[str, Field(min_length=1, max_length=limits.ID, description="The link.")]
    service: Annotated[str, Field(min_length=1, max_length=limits.NAME, description="A service of the settings.")]
    agent_id: Annotated[str, Field(min_length=1, max_length=limits.ID, description="The agent.")]
    request: Annotated[Object, Field(description="What is asked; fields that are left out are 0.")]


class NewGoal(BaseModel):
    """A goal of an action."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        json_schema_extra={
            "examples": [{"link": "hall", "action": "/dock", "agent_id": "driver-1", "goal": {"station": "north"}}]
        }
    )

    link: Annotated[str, Field(min_length=1, max_length=limits.ID, description="The link.")]
    action: Annotated[str, Field(min_length=1, max_length=limits.NAME, description="An action of the settings.")]
    agent_id: Annotated[str, Field(min_length=1, max_length=limits.ID, description="The agent.")]
    goal: Annotated[Object, Field(description="The goal; fields that are left out are 0.")]


class GoalCancellation(BaseModel):
    """Who cancels a goal."""

    model_config: ClassVar[ConfigDict] = ConfigDict(json_schema_extra={"examples": [{"by": "ann"}]})

    by: Annotated[str, Field(min_length=1, max_length=limits.ID, description="Who does it.")]


def ros2_router(service: Ros2Service) -> APIRouter:
    """The routes over this service."""
    router = APIRouter(prefix="/ros2", tags=["ros2"])

    @router.get("/links", summary="List links to robots", response_model=list_of(LinkView))
    async def links() -> Any:
        """Each with its topics, their rates, and what became of commands."""
        return service.links()

    @router.get(
        "/links/{link}/topics/{topic:path}",
        summary="Get what came on one topic",
        response_model=TopicView,
        responses=_NO_LINK,
    )
    async def topic_of(link: LinkPath, topic: TopicPath) -> Any:
        """A topic that the settings name; `/robot/odom` is asked for as `.../topics/robot/odom`."""
        return service.topic(link, topic)

    @router.get(
        "/links/{link}/graph",
        summary="List nodes, topics, services and actions",
        response_model=GraphView,
        responses=_NO_LINK,
    )
    async def graph(link: LinkPath) -> Any:
        """As far as the peer tells: Zenoh with publishers and QoS, a rosbridge where the node rosapi is there."""
        return service.graph(link)

    @router.get("/recordings", summary="List recorded bags", response_model=list_of(BagView))
    async def recordings() -> Any:
        """The bags of links with `record`, the latest first."""
        return await asyncio.to_thread(service.recordings)

    @router.post("/publish", summary="Send a command to a robot", responses=_NO_LINK, openapi_extra=_MOVES)
    async def publish(new: NewMessage) -> Published:
        """Sent when rules (`ros2.publish`), bounds and rate let it through.

        Answers 422 beyond the bounds, 403 when the rules deny it, 409 when an interlock is against it, 503 while the
        link is down or the robot contained.
        """
        return Published(rule_id=await service.publish(new.link, new.topic, new.agent_id, new.message))

    @router.post(
        "/call",
        summary="Call a service of a robot",
        response_model=AnswerView,
        responses=_NO_LINK,
        openapi_extra=_CALLS,
    )
    async def call(new: NewCall) -> Any:
        """Called once when rules (`ros2.call`), bounds, rate, interlocks and containment let it through.

        Answers 409 when the robot says that it failed or an interlock is against it, 503 when no answer came: then
        nobody knows whether it was done. Else as `publish`.
        """
        return await service.call(new.link, new.service, new.agent_id, new.request)

    @router.post(
        "/goals",
        summary="Send a goal to an action of a robot",
        response_model=GoalView,
        responses=_NO_LINK,
        openapi_extra=_GOALS,
        status_code=202,
    )
    async def send_goal(new: NewGoal) -> Any:
        """Sent when rules (`ros2.send_goal`), bounds, rate, interlocks and containment let it through.

        Its end is `ros2.goal_changed`, and in the list of goals. Refused as `publish`.
        """
        return await service.send_goal(new.link, new.action, new.agent_id, new.goal)

    @router.get("/goals", summary="List goals of robots", response_model=list_of(GoalView))
    async def goals() -> Any:
        """Those that go on, and the last hundred of each action that ended; the newest first."""
        return service.goals()

    @router.post(
        "/goals/{goal_id}/cancel",
        summary="Have a robot give a goal up",
        response_model=GoalView,
        responses=_NO_GOAL,
        openapi_extra=creates_nothing("a goal that is cancelled stays cancelled"),
    )
    async def cancel(goal_id: GoalPath, new: GoalCancellation) -> Any:
        """Nobody is asked. How it ended is in the list of goals; one that is over stays as it is."""
        return await service.cancel_goal(goal_id, doer(new.by))

    return router
