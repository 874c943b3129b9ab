"""A link without a server: a bag is played to it, what comes is recorded, and what the peer knows is asked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from brain.errors import InvalidInput, Unavailable
from brain.ros2_bridge.graph import Graph
from brain.ros2_bridge.links import Link, Received, make_link
from brain.ros2_bridge.settings import LinkSettings, TopicSettings

_MOVING = ("geometry_msgs/msg/Twist", "geometry_msgs/msg/TwistStamped")
_HEADER = {"seq", "stamp", "frame_id"}
_TELLS = 5.0
"""Seconds that a peer has to tell of its topics."""


class Played(msgspec.Struct, frozen=True, kw_only=True):
    """What was sent."""

    sent: int
    left_out: int


class _Listening:
    """Hears what comes."""

    def __init__(self) -> None:
        self.up = asyncio.Event()
        self.known = asyncio.Event()
        self.graph = Graph()
        self.came: asyncio.Queue[Received] = asyncio.Queue()

    async def came_up(self) -> None:
        self.up.set()

    async def went_down(self, reason: str) -> None:
        self.up.clear()

    def received(self, message: Received) -> None:
        self.came.put_nowait(message)

    def unread(self, topic: str, reason: str) -> None:
        pass  # the link counts it, and says so in the log

    def graph_changed(self, graph: Graph) -> None:
        self.graph = graph
        self.known.set()


async def play_bag(file: Path, to: str, speed: float, domain: int) -> Played:
    """Send the bag. Raises InvalidInput for a bad file or address, and Unavailable when nobody answers within 5 s."""
    from brain.ros2_bridge.bags import read_bag
    from brain.ros2_bridge.messages import to_plain

    sent = left_out = 0
    async with _linked(link_settings(to, domain)) as (link, _):
        began, first = time.monotonic(), None
        for message in read_bag(file):
            first = message.at if first is None else first
            if message.type in _MOVING or message.decoded is None:
                left_out += 1
                continue
            if speed:
                await asyncio.sleep(max(0.0, (message.at - first) / speed - (time.monotonic() - began)))
            await link.send(message.topic, message.type, _without_seq(to_plain(message.decoded)))
            sent += 1
            await asyncio.sleep(0)  # whoever sends without a pause must not keep the link from its pings
        await link.flush()
    return Played(sent=sent, left_out=left_out)


async def record_link(file: Path, source: str, topics: Mapping[str, str], seconds: float | None, domain: int) -> int:
    """Record these topics, with their types, or all that the peer tells of; how many messages.

    It ends after so many seconds, or when it is cancelled. Raises InvalidInput, and Unavailable when nobody answers.
    """
    from brain.ros2_bridge.recording import LOOK, BagRecorder

    if not topics:
        topics = {one.topic: one.type for one in (await ask_graph(source, domain)).topics}
        if not topics:
            raise InvalidInput(f"{source}: tells of no topics; name them, as --topic /odom=nav_msgs/msg/Odometry")
    watched = {topic: TopicSettings(type=type) for topic, type in topics.items()}
    settings = link_settings(source, domain).model_copy(update={"topics": watched})
    recorder = BagRecorder(file)
    until = float("inf") if seconds is None else time.monotonic() + seconds
    try:
        async with _linked(settings) as (_, heard):
            while (now := time.monotonic()) < until:
                try:
                    async with asyncio.timeout(min(LOOK, until - now)):
                        message = await heard.came.get()
                except TimeoutError:
                    recorder.look()
                    continue
                recorder.add(message, topics[message.topic], time.time())
                recorder.look()
    finally:
        recorder.close()
    return recorder.written


async def ask_graph(source: str, domain: int) -> Graph:
    """What the peer tells of; nothing when it tells nothing within 5 s. Raises as `play_bag`."""
    async with _linked(link_settings(source, domain)) as (_, heard):
        try:
            async with asyncio.timeout(_TELLS):
                await heard.known.wait()
        except TimeoutError:
            return Graph()
        return heard.graph


def link_settings(to: str, domain: int) -> LinkSettings:
    """The settings of a link to this address. Raises InvalidInput."""
    if to.startswith(("ws://", "wss://")):
        return LinkSettings(driver="rosbridge", endpoint=to)
    if to.startswith("zenoh+"):
        return LinkSettings(driver="zenoh", endpoint=to.removeprefix("zenoh+"), domain_id=domain)
    raise InvalidInput(f"{to}: name a rosbridge as ws://HOST:PORT, or a Zenoh peer as zenoh+tcp/HOST:PORT")


@asynccontextmanager
async def _linked(settings: LinkSettings) -> AsyncIterator[tuple[Link, _Listening]]:
    """A link that is up. Raises Unavailable when nobody answers within 5 s."""
    heard = _Listening()
    link = make_link(settings, heard)
    running = asyncio.create_task(link.run())
    try:
        try:
            async with asyncio.timeout(5.0):
                await heard.up.wait()
        except TimeoutError as error:
            raise Unavailable(f"{settings.endpoint}: nobody answers; is the bridge there?") from error
        yield link, heard
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def _without_seq(value: Any) -> Any:
    """Headers of ROS 1 have a number that those of ROS 2 have not."""
    if isinstance(value, dict):
        kept = {name: one for name, one in value.items() if name != "seq" or set(value) != _HEADER}
        return {name: _without_seq(one) for name, one in kept.items()}
    if isinstance(value, list):
        return [_without_seq(one) for one in value] if value and isinstance(value[0], dict) else value
    return value
