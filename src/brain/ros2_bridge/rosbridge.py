"""The driver `rosbridge`: rosbridge v2, JSON over WebSocket (RobotWebTools rosbridge_suite, ROSBRIDGE_PROTOCOL.md)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from itertools import count
from typing import TYPE_CHECKING, Any

import msgspec

from brain.errors import Unavailable
from brain.extras import needs
from brain.logs import Log
from brain.ros2_bridge.graph import graph_of_rosapi
from brain.ros2_bridge.links import GOAL_STATUS, Answer, GoalEnd, Link, Listener, Received
from brain.ros2_bridge.settings import LinkSettings
from brain.stream.retry import Backoff

with needs("links by rosbridge", "robots"):
    from websockets.asyncio.client import connect
    from websockets.exceptions import WebSocketException

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

log: Log = Log("brain.ros2_bridge")

PING, PATIENCE, CLOSING = 0.25, 0.4, 0.1
"""Seconds between two pings, until one that is not answered means that the link is down, then until that is said."""
MOST_BYTES = 8 << 20
GRAPH_EVERY, ANSWER = 5.0, 2.0
"""Seconds between two looks at the graph, and that a service has to answer."""
_ROSAPI = ("topics", "nodes", "services", "action_servers")


class RosbridgeLink(Link):
    """A connection to a rosbridge server."""

    def __init__(self, settings: LinkSettings, listener: Listener) -> None:
        super().__init__(settings, listener)
        self._socket: ClientConnection | None = None
        self._advertised: set[str] = set()
        self._numbers = count(1)
        self._asked: dict[str, asyncio.Future[dict[str, Any]]] = {}
        """What an answer is waited for, by the id that was sent along."""

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
                    close_timeout=CLOSING,
                    compression=None,
                    max_size=MOST_BYTES,
                    proxy=None,
                ) as socket:
                    await self._opened(socket)
                    backoff.reset()
                    looking = asyncio.create_task(self._follow_graph())
                    try:
                        async for line in socket:
                            self._take(line)
                    finally:
                        looking.cancel()
                        await asyncio.gather(looking, return_exceptions=True)
            except (OSError, TimeoutError, WebSocketException) as error:
                reason = f"{type(error).__name__}: {error}"
                self._note_trouble(reason)
            finally:
                was_up, self._socket = self._socket is not None, None
                self._advertised.clear()
            for one in self._asked.values():
                if not one.done():
                    one.set_exception(Unavailable(f"the link went down: {reason}"))
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

    async def call(self, service: str, type: str, request: Mapping[str, Any], seconds: float) -> Answer:
        """Call a service once, and wait so long for its answer. Raises Unavailable and TimeoutError."""
        number = f"brain-{next(self._numbers)}"
        said = await self._answer_to(
            {"op": "call_service", "id": number, "service": service, "args": request}, number, seconds
        )
        values = said.get("values")
        if not said.get("result"):
            return Answer(False, {}, _words(said))
        return Answer(True, values if isinstance(values, dict) else {})

    async def run_goal(
        self,
        action: str,
        type: str,
        goal_id: str,
        goal: Mapping[str, Any],
        accepted: Callable[[], None],
        seconds: float,
    ) -> GoalEnd:
        """Send a goal, and wait so long for its end; it never says that one is accepted. Raises as `call`."""
        asked = {"op": "send_action_goal", "id": goal_id, "action": action, "action_type": type, "args": goal}
        said = await self._answer_to(asked | {"feedback": False}, goal_id, seconds)
        if not said.get("result"):
            return GoalEnd("failed", {}, _words(said))
        status, values = said.get("status"), said.get("values")
        known = GOAL_STATUS.get(status, "unknown") if isinstance(status, int) else "unknown"
        return GoalEnd(known, values if isinstance(values, dict) else {})

    async def cancel_goal(self, action: str, type: str, goal_id: str) -> None:
        """Ask the robot to give a goal up. Raises Unavailable."""
        await self._say({"op": "cancel_action_goal", "id": goal_id, "action": action})

    async def flush(self) -> None:
        """Wait until the peer has what was sent: it answers a ping after that. Raises Unavailable."""
        if self._socket is None:
            raise Unavailable("the link is down")
        try:
            await (await self._socket.ping())
        except (OSError, WebSocketException) as error:
            raise Unavailable(f"the link is down: {error}") from error

    async def _opened(self, socket: ClientConnection) -> None:
        self._socket = socket
        await self.listener.came_up()
        for topic, type in self.subscriptions().items():
            await self._say({"op": "subscribe", "topic": topic, "type": type, "queue_length": 0})

    async def _follow_graph(self) -> None:
        """Ask rosapi what there is, again and again. A peer without it tells nothing."""
        before = None
        while True:
            answers = {}
            for name in _ROSAPI:
                answer = await self._ask(f"/rosapi/{name}")
                if answer is not None:
                    answers[name] = answer
            graph = graph_of_rosapi(answers)
            if answers and graph != before:
                before = graph
                self.listener.graph_changed(graph)
            await asyncio.sleep(GRAPH_EVERY)

    async def _ask(self, service: str) -> dict[str, Any] | None:
        """What the service answers; None when it does not, or says that it cannot."""
        try:
            answer = await self.call(service, "", {}, ANSWER)
        except (Unavailable, TimeoutError):
            return None
        return dict(answer.values) if answer.ok and answer.values else None

    async def _answer_to(self, operation: Mapping[str, Any], number: str, seconds: float) -> dict[str, Any]:
        """What comes back with this id. Raises Unavailable and TimeoutError."""
        answer: asyncio.Future[dict[str, Any]]
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        try:
            await self._say(operation)
            async with asyncio.timeout(seconds):
                return await answer
        finally:
            del self._asked[number]

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
            elif found.get("op") in ("service_response", "action_result"):
                self._answered(found)
            elif found.get("op") == "status" and found.get("level") in ("error", "warning"):
                if found.get("level") == "error":  # an operation that it does not know, or that does not fit
                    self._answered({"id": found.get("id"), "result": False, "values": found.get("msg")})
                log.warning("rosbridge says", level=found["level"], words=str(found.get("msg"))[:500])
        except Exception as error:  # noqa: BLE001  (what a peer sends may be anything; the link goes on)
            self._note_undecoded()
            log.warning("a message of rosbridge could not be read", error=str(error)[:200])

    def _answered(self, found: dict[str, Any]) -> None:
        asked = self._asked.get(str(found.get("id")))
        if asked is not None and not asked.done():
            asked.set_result(found)


def _words(said: Mapping[str, Any]) -> str:
    """Why the peer says that it failed."""
    return str(said.get("values") or "the peer says that it failed, and not why")[:500]
