"""A Foxglove server: viewers see what links hear, live. They can send nothing. Needs the extra `foxglove`."""

from __future__ import annotations

from typing import Any

import msgspec

from brain.errors import BrainError, Unavailable
from brain.extras import needs
from brain.logs import Log
from brain.ros2_bridge.links import Received
from brain.ros2_bridge.messages import definition_of
from brain.ros2_bridge.settings import FoxgloveSettings

with needs("a Foxglove server", "foxglove"):
    import foxglove

log: Log = Log("brain.ros2_bridge")


class FoxgloveServer:
    """One server for all links; a topic of a link is `/LINK/TOPIC` there. `close` at the end."""

    def __init__(self, settings: FoxgloveSettings) -> None:
        """Raises Unavailable when its address is taken."""
        self._context = foxglove.Context()
        self._channels: dict[tuple[str, str], Any] = {}
        try:
            # No capabilities: whoever watches can neither publish nor call.
            self._server = foxglove.start_server(
                name="BRAiN EventStream",
                host=settings.host,
                port=settings.port,
                capabilities=[],
                context=self._context,
            )
        except Exception as error:
            where = f"{settings.host}:{settings.port}"
            raise Unavailable(f"the Foxglove server cannot listen on {where}: {error}") from error

    def show(self, link: str, type: str, message: Received) -> None:
        """Give a message to those who look at its topic."""
        channel = self._channels.get((link, message.topic))
        if channel is None:
            channel = self._channels[link, message.topic] = self._made(link, type, message)
        data = msgspec.json.encode(message.message) if message.cdr is None else message.cdr
        channel.log(data)

    def close(self) -> None:
        """End it. Blocks for a moment."""
        self._server.stop()

    def _made(self, link: str, type: str, message: Received) -> Any:
        """Zenoh's messages go on as they came, with their definition; those of a rosbridge as JSON."""
        schema = None
        encoding = "json"
        if message.cdr is not None:
            encoding = "cdr"
            try:
                schema = foxglove.Schema(name=type, encoding="ros2msg", data=definition_of(type).encode())
            except BrainError as error:
                log.warning("viewers cannot read a topic", topic=message.topic, error=str(error)[:200])
        else:
            schema = foxglove.Schema(name=type, encoding="jsonschema", data=b'{"type": "object"}')
        topic = f"/{link}/{message.topic.strip('/')}"
        return foxglove.Channel(topic, schema=schema, message_encoding=encoding, context=self._context)
