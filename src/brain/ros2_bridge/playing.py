"""A bag played to a link: its messages in their order, at their times or faster."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import msgspec

from brain.errors import InvalidInput, Unavailable
from brain.ros2_bridge.links import Received, make_link
from brain.ros2_bridge.settings import LinkSettings

_MOVING = ("geometry_msgs/msg/Twist", "geometry_msgs/msg/TwistStamped")


class Played(msgspec.Struct, frozen=True, kw_only=True):
    """What was sent."""

    sent: int
    left_out: int


class _Waiting:
    """Hears when the link is up."""

    def __init__(self) -> None:
        self.up = asyncio.Event()

    async def came_up(self) -> None:
        self.up.set()

    async def went_down(self, reason: str) -> None:
        self.up.clear()

    def received(self, message: Received) -> None:
        """Nothing is listened to."""


async def play_bag(file: Path, to: str, speed: float, domain: int) -> Played:
    """Send the bag. Raises InvalidInput for a bad file or address, and Unavailable when nobody answers within 5 s."""
    from brain.ros2_bridge.bags import read_bag
    from brain.ros2_bridge.messages import to_plain

    waiting = _Waiting()
    link = make_link(_settings(to, domain), waiting)
    running = asyncio.create_task(link.run())
    sent = left_out = 0
    try:
        await _until_up(waiting, to)
        began, first = time.monotonic(), None
        for message in read_bag(file):
            first = message.at if first is None else first
            if message.type in _MOVING:
                left_out += 1
                continue
            if speed:
                await asyncio.sleep(max(0.0, (message.at - first) / speed - (time.monotonic() - began)))
            await link.send(message.topic, message.type, to_plain(message.decoded))
            sent += 1
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    return Played(sent=sent, left_out=left_out)


async def _until_up(waiting: _Waiting, to: str) -> None:
    try:
        async with asyncio.timeout(5.0):
            await waiting.up.wait()
    except TimeoutError as error:
        raise Unavailable(f"{to}: nobody answers; is the bridge there?") from error


def _settings(to: str, domain: int) -> LinkSettings:
    if to.startswith(("ws://", "wss://")):
        return LinkSettings(driver="rosbridge", endpoint=to)
    if to.startswith("zenoh+"):
        return LinkSettings(driver="zenoh", endpoint=to.removeprefix("zenoh+"), domain_id=domain)
    raise InvalidInput(f"--to {to}: name a rosbridge as ws://HOST:PORT, or a Zenoh peer as zenoh+tcp/HOST:PORT")
