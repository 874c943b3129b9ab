"""The links of the settings, and what is asked of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta

from brain.errors import MissingExtra, NotFound, Unavailable
from brain.kit.protocols import EffectGuard, MotionInterlock, RobotPoses
from brain.logs import Log
from brain.plugins import PluginContext
from brain.ros2_bridge.bridge import Bridge
from brain.ros2_bridge.calls import ServiceAnswer
from brain.ros2_bridge.goals import GoalState
from brain.ros2_bridge.graph import Graph
from brain.ros2_bridge.poses import PoseFeed, PoseFeedState, with_pose_topics
from brain.ros2_bridge.rates import TopicRate
from brain.ros2_bridge.settings import Ros2Settings

if TYPE_CHECKING:
    from brain.ros2_bridge.foxglove import FoxgloveServer

log: Log = Log("brain.ros2_bridge")


class LinkState(msgspec.Struct, frozen=True, kw_only=True):
    """A link now."""

    link: Annotated[str, Meta(description="Its name in the settings.")]
    driver: Annotated[str, Meta(description="rosbridge or zenoh.")]
    up: Annotated[bool, Meta(description="Whether messages go over it now.")]
    reason: Annotated[str, Meta(description="Why it is down; empty when it is up.")]
    undecoded: Annotated[int, Meta(description="Messages that could not be read.")]
    commands: Annotated[
        dict[str, dict[str, int]], Meta(description="By command topic: sent, stops, refused ones by code, rogue ones.")
    ]
    services: Annotated[
        dict[str, dict[str, int]], Meta(description="By service: calls sent, refused by code, and their outcomes.")
    ]
    actions: Annotated[
        dict[str, dict[str, int]], Meta(description="By action: goals sent, refused by code, and how they ended.")
    ]
    topics: Annotated[list[TopicRate], Meta(description="What came since the start.")]
    poses: Annotated[list[PoseFeedState], Meta(description="Topics on which robots say where they are.")]


class RecordedBag(msgspec.Struct, frozen=True, kw_only=True):
    """A bag that links were recorded to."""

    file: Annotated[str, Meta(description="Its name below `[ros2_bridge] folder`.")]
    bytes: Annotated[int, Meta(description="Its size now.")]
    at: Annotated[float, Meta(description="When it was written last, in Unix seconds.")]


class Ros2Service:
    """All links."""

    def __init__(self, bridges: Mapping[str, Bridge], settings: Ros2Settings, clock: Callable[[], float]) -> None:
        self._bridges = bridges
        self._settings = settings
        self._clock = clock

    @classmethod
    @asynccontextmanager
    async def open(cls, context: PluginContext) -> AsyncIterator[Ros2Service]:
        """The service on these parts; at the end robots that move are stopped.

        Raises InvalidInput when a robot is to be followed by a link that the settings do not have.
        """
        import time

        settings = context.table(Ros2Settings)
        poses = context.find(RobotPoses)
        feeds = [] if poses is None else [PoseFeed(topic, poses) for topic in poses.topics()]
        links = with_pose_topics(settings, feeds)
        guard = context.find(EffectGuard) if links else None
        interlocks = context.find_all(MotionInterlock) if links else ()
        bridges = {
            name: Bridge(
                name,
                one,
                guard,
                context.stream,
                context.database,
                interlocks=interlocks,
                poses=[feed for feed in feeds if feed.topic.link == name],
            )
            for name, one in links.items()
        }
        for bridge in bridges.values():
            if bridge.settings.record:
                bridge.record_below(settings)
        viewers = _viewers(settings)
        for bridge in bridges.values():
            bridge.viewers = viewers
        try:
            yield cls(bridges, settings, time.time)
        finally:
            if viewers is not None:
                await asyncio.to_thread(viewers.close)
            for bridge in bridges.values():
                await bridge.close()
            if guard is not None:
                await guard.close()

    @property
    def tasks(self) -> Sequence[Callable[[], Coroutine[Any, Any, None]]]:
        """What runs until cancelled."""
        bridges = self._bridges.values()
        links = [work for bridge in bridges for work in (bridge.link.run, bridge.watch_moving)]
        poses = [feed.run for bridge in bridges for feed in bridge.poses]
        return (*links, *poses, *(partial(bridge.watch, self._settings.window) for bridge in bridges))

    def links(self) -> list[LinkState]:
        """All links, by name."""
        now = self._clock()
        return [
            LinkState(
                link=name,
                driver=bridge.settings.driver,
                up=bridge.up,
                reason="" if bridge.up else bridge.link.trouble[:300] or bridge.reason,
                undecoded=bridge.link.undecoded,
                commands={topic: dict(gate.counts) for topic, gate in bridge.gates.items()},
                services={service: dict(gate.counts) for service, gate in bridge.services.items()},
                actions={action: dict(gate.counts) for action, gate in bridge.actions.items()},
                topics=[counter.rate(now) for counter in bridge.totals.values()],
                poses=[feed.state() for feed in bridge.poses],
            )
            for name, bridge in sorted(self._bridges.items())
        ]

    async def publish(self, link: str, topic: str, agent: str, message: Mapping[str, Any]) -> str | None:
        """Send a command; the rule that let it through. Raises NotFound, and what it was refused with."""
        return await self._bridge(link).gate(topic).publish(agent, message)

    async def call(self, link: str, service: str, agent: str, request: Mapping[str, Any]) -> ServiceAnswer:
        """Call a service. Raises NotFound, and as `ServiceGate.call`."""
        return await self._bridge(link).service(service).call(agent, request)

    async def send_goal(self, link: str, action: str, agent: str, goal: Mapping[str, Any]) -> GoalState:
        """Send a goal; its state now. Raises NotFound, and what it was refused with."""
        return await self._bridge(link).action(action).send(agent, goal)

    async def cancel_goal(self, goal_id: str, by: str) -> GoalState:
        """Have the robot give a goal up; nobody is asked. Raises NotFound, and Unavailable while its link is down."""
        for bridge in self._bridges.values():
            for gate in bridge.actions.values():
                if gate.has(goal_id):
                    return await gate.cancel(goal_id, f"cancelled by {by}")
        raise NotFound(f"no goal has the id {goal_id[:64]!r}; a server that is started again knows none from before")

    def goals(self) -> list[GoalState]:
        """The goals of all links that go on, and those that ended last; the newest first."""
        found = [one for bridge in self._bridges.values() for gate in bridge.actions.values() for one in gate.goals()]
        return sorted(found, key=lambda one: -one.sent_at)

    def topic(self, link: str, topic: str) -> TopicRate:
        """One topic of a link; its name may come without the first slash. Raises NotFound."""
        bridge, name = self._bridge(link), f"/{topic.strip('/')}"
        counter = bridge.totals.get(name)
        if counter is None:
            known = ", ".join(bridge.totals) or "none"
            raise NotFound(f"link {link}: {name[:200]} is not listened to; the settings have {known}")
        return counter.rate(self._clock())

    def graph(self, link: str) -> Graph:
        """What the peer of a link tells of; nothing before it said anything. Raises NotFound."""
        return self._bridge(link).graph or Graph()

    def recordings(self) -> list[RecordedBag]:
        """The bags that were recorded, the latest first. Blocks."""
        folder = self._settings.folder
        found = [] if folder is None else [(path, path.stat()) for path in Path(folder).glob("*.mcap")]
        bags = [RecordedBag(file=path.name, bytes=stat.st_size, at=stat.st_mtime) for path, stat in found]
        return sorted(bags, key=lambda bag: bag.at, reverse=True)

    def _bridge(self, link: str) -> Bridge:
        if link not in self._bridges:
            known = ", ".join(sorted(self._bridges)) or "none"
            raise NotFound(f"no link has the name {link[:100]!r}; the settings have {known} ([ros2_bridge.links.NAME])")
        return self._bridges[link]


def _viewers(settings: Ros2Settings) -> FoxgloveServer | None:
    """The server for viewers, if one is set up; robots are bridged without it, too."""
    if settings.foxglove is None:
        return None
    try:
        from brain.ros2_bridge.foxglove import FoxgloveServer

        return FoxgloveServer(settings.foxglove)
    except (MissingExtra, Unavailable) as error:
        log.error("there is no Foxglove server", error=str(error))
        return None
