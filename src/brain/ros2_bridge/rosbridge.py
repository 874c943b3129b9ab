"""The driver `rosbridge`: rosbridge v2, JSON over WebSocket (RobotWebTools rosbridge_suite, ROSBRIDGE_PROTOCOL.md)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from brain.errors import Unavailable
from brain.extras import needs
from brain.json_text import JSON_FAULTS
from brain.logs import Log
from brain.ros2_bridge.links import Link, Listener, Received
from brain.ros2_bridge.settings import LinkSettings
from brain.stream.retry import Backoff

with needs("links by rosbridge", "robots"):
    from websockets.asyncio.client import connect
    from websockets.exceptions import WebSocketException

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

log: Log = Log("brain.ros2_bridge")

PING, PATIENCE = 0.3, 0.5
"""Seconds between two pings, and until one that is not answered means that the link is down."""
MOST_BYTES = 8 << 20


class RosbridgeLink(Link):
    """A connection to a rosbridge server."""

    def __init__(self, settings: LinkSettings, listener: Listener) -> None:
        super().__init__(settings, listener)
        self._socket: ClientConnection | None = None
        self._advertised: set[str] = set()

    async def run(self) -> None:
        """Connect, and connect again, until cancelled."""
        backoff = Backoff(0.1, 1.0)
        while True:
            reason = "the peer closed the connection"
            try:
                async with connect(
                    self.settings.endpoint,
                    ping_interval=PING,
                    ping_timeout=PATIENCE,
                    open_timeout=2.0,
                    close_timeout=0.2,
                    compression=None,
                    max_size=MOST_BYTES,
                    proxy=None,
                ) as socket:
                    await self._opened(socket)
                    backoff.reset()
                    async for line in socket:
                        self._take(line)
            except (OSError, TimeoutError, WebSocketException) as error:
                reason = f"{type(error).__name__}: {error}"
            finally:
                was_up, self._socket = self._socket is not None, None
                self._advertised.clear()
            if was_up:
                await self.listener.went_down(reason)
            await asyncio.sleep(backoff.next_delay())

    async def send(self, topic: str, type: str, message: Mapping[str, Any]) -> None:
        """Send a message. Raises Unavailable while the link is down."""
        if self._socket is None:
            raise Unavailable(f"the link to {topic} is down")
        if topic not in self._advertised:
            self._advertised.add(topic)
            await self._say({"op": "advertise", "topic": topic, "type": type})
        await self._say({"op": "publish", "topic": topic, "msg": message})

    async def _opened(self, socket: ClientConnection) -> None:
        self._socket = socket
        await self.listener.came_up()
        for topic, type in self.subscriptions().items():
            await self._say({"op": "subscribe", "topic": topic, "type": type, "queue_length": 0})

    async def _say(self, operation: Mapping[str, Any]) -> None:
        if self._socket is None:
            raise Unavailable("the link is down")
        try:
            await self._socket.send(msgspec.json.encode(operation).decode())
        except (OSError, WebSocketException) as error:
            raise Unavailable(f"the link is down: {error}") from error

    def _take(self, line: str | bytes) -> None:
        try:
            found = msgspec.json.decode(line)
            if found.get("op") == "publish":
                self.listener.received(Received(str(found["topic"]), len(line), found["msg"]))
            elif found.get("op") == "status" and found.get("level") in ("error", "warning"):
                log.warning("rosbridge says", level=found["level"], words=str(found.get("msg"))[:500])
        except (*JSON_FAULTS, AttributeError, KeyError, TypeError) as error:
            self._note_undecoded()
            log.warning("a message of rosbridge could not be read", error=str(error)[:200])
