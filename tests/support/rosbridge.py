"""A rosbridge server of ours on loopback: it keeps what is published, and sends it to those who subscribed."""

from __future__ import annotations

import json
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve

SILENT: dict[str, Any] = {"silent": True}
"""What stands for a service that never answers."""


class RosbridgeServer:
    """Speaks the operations that the driver uses. `messages` has what was published, in order."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, dict[str, Any]]] = []
        self.connections: set[ServerConnection] = set()
        self.subscribed: dict[str, set[ServerConnection]] = {}
        self.services: dict[str, dict[str, Any]] = {}
        """What services answer; others are not there."""
        self.asked = 0
        self.called: list[tuple[str, dict[str, Any]]] = []
        """Calls of services, with what was asked."""
        self.goals: dict[str, dict[str, Any]] = {}
        """Goals as they came, by id; `finish` ends one."""
        self.cancelled: list[str] = []
        """The ids of goals that were to be given up."""
        self.takes_goals = True
        """Whether it knows actions: those of before 2023 do not."""
        self.port = 0
        self._server: Server | None = None

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    async def start(self) -> None:
        self._server = await serve(self._talk, "127.0.0.1", self.port, compression=None, max_size=None)
        self.port = next(iter(self._server.sockets)).getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        for connection in list(self.connections):
            connection.transport.abort()
        self._server.close()
        await self._server.wait_closed()

    async def publish(self, topic: str, message: dict[str, Any]) -> None:
        """As a publisher that is not ours."""
        for connection in self.subscribed.get(topic, set()):
            await connection.send(json.dumps({"op": "publish", "topic": topic, "msg": message}))

    async def finish(self, goal_id: str, status: int, values: Any, result: bool = True) -> None:
        """The end of a goal, as action_msgs/msg/GoalStatus has it."""
        said = {"op": "action_result", "id": goal_id, "action": self.goals[goal_id]["action"]}
        for connection in self.connections:
            await connection.send(json.dumps(said | {"values": values, "status": status, "result": result}))

    def on(self, topic: str) -> list[dict[str, Any]]:
        return [message for name, message in self.messages if name == topic]

    async def _talk(self, connection: ServerConnection) -> None:
        self.connections.add(connection)
        try:
            async for line in connection:
                said = json.loads(line)
                if said["op"] == "subscribe":
                    self.subscribed.setdefault(said["topic"], set()).add(connection)
                elif said["op"] == "call_service":
                    self.asked += 1
                    self.called.append((said["service"], said["args"]))
                    if self.services.get(said["service"]) is not SILENT:
                        await connection.send(json.dumps(self._answer(said)))
                elif said["op"] == "send_action_goal" and self.takes_goals:
                    self.goals[said["id"]] = said
                elif said["op"] == "cancel_action_goal":
                    self.cancelled.append(said["id"])
                elif said["op"] == "send_action_goal":
                    words = {"op": "status", "level": "error", "msg": "Unknown operation: send_action_goal."}
                    await connection.send(json.dumps(words | {"id": said["id"]}))
                elif said["op"] == "publish":
                    self.messages.append((said["topic"], said["msg"]))
                    await self.publish(said["topic"], said["msg"])
        finally:
            self.connections.discard(connection)
            for connections in self.subscribed.values():
                connections.discard(connection)

    def _answer(self, said: dict[str, Any]) -> dict[str, Any]:
        answer = {"op": "service_response", "id": said["id"], "service": said["service"]}
        values = self.services.get(said["service"])
        return answer | {"result": values is not None, "values": "no such service" if values is None else values}
