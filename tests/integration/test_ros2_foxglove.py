"""A viewer of the Foxglove protocol sees what links hear, byte for byte, and can send nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from brain.errors import Unavailable
from brain.ros2_bridge.foxglove import FoxgloveServer
from brain.ros2_bridge.links import Received
from brain.ros2_bridge.messages import definition_of, to_cdr
from brain.ros2_bridge.settings import FoxgloveSettings
from support.ports import free_port

STRING, TWIST = "std_msgs/msg/String", "geometry_msgs/msg/Twist"


@asynccontextmanager
async def watched() -> AsyncIterator[tuple[FoxgloveServer, ClientConnection, dict[str, Any]]]:
    """A server, a viewer, and what the server says of itself."""
    settings = FoxgloveSettings(port=free_port())
    server = FoxgloveServer(settings)
    try:
        async with connect(
            f"ws://127.0.0.1:{settings.port}", subprotocols=[Subprotocol("foxglove.sdk.v1")], proxy=None
        ) as viewer:
            yield server, viewer, json.loads(await viewer.recv())
    finally:
        await asyncio.to_thread(server.close)


async def advertised(viewer: ClientConnection, topic: str) -> dict[str, Any]:
    while True:
        said = json.loads(await viewer.recv())
        for channel in said.get("channels", ()):
            if channel["topic"] == topic:
                found: dict[str, Any] = channel
                return found


async def test_a_viewer_sees_messages_of_zenoh_with_their_types_and_those_of_a_rosbridge_as_json() -> None:
    async with asyncio.timeout(20), watched() as (server, viewer, says):
        assert (says["op"], says["capabilities"]) == ("serverInfo", [])
        data = to_cdr(STRING, {"data": "hello"})
        server.show("hall", STRING, Received("/robot/said", len(data), {"data": "hello"}, data))
        channel = await advertised(viewer, "/hall/robot/said")
        assert (channel["encoding"], channel["schemaName"], channel["schema"]) == ("cdr", STRING, definition_of(STRING))
        await viewer.send(json.dumps({"op": "subscribe", "subscriptions": [{"id": 7, "channelId": channel["id"]}]}))
        assert await shown(server, viewer, Received("/robot/said", len(data), {"data": "hello"}, data)) == data
        plain = Received("/robot/odom", 10, {"x": 1.5})
        server.show("hall", "nav_msgs/msg/Odometry", plain)
        channel = await advertised(viewer, "/hall/robot/odom")
        assert channel["encoding"] == "json"


async def shown(server: FoxgloveServer, viewer: ClientConnection, message: Received) -> bytes:
    """What the viewer gets of a message that comes again and again: the server subscribes it when it likes."""
    while True:
        server.show("hall", STRING, message)
        try:
            async with asyncio.timeout(0.1):
                got = await viewer.recv()
        except TimeoutError:
            continue
        if isinstance(got, bytes) and got[0] == 1:  # message data: its subscription and its time come first
            assert int.from_bytes(got[1:5], "little") == 7
            return got[13:]


async def test_an_address_that_is_taken_is_said() -> None:
    settings = FoxgloveSettings(port=free_port())
    server = FoxgloveServer(settings)
    with pytest.raises(Unavailable, match=str(settings.port)):
        FoxgloveServer(settings)
    await asyncio.to_thread(server.close)
