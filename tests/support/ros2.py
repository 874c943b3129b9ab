"""Links to robots for tests: a bridge to a rosbridge server of ours, a Zenoh router, and a wire that can be cut."""

from __future__ import annotations

import asyncio
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import zenoh

from brain.errors import Forbidden
from brain.kit.protocols import MotionInterlock
from brain.ros2_bridge.bounds import numbers
from brain.ros2_bridge.bridge import Bridge
from brain.ros2_bridge.messages import from_cdr
from brain.ros2_bridge.poses import PoseFeed
from brain.ros2_bridge.settings import LinkSettings
from brain.testing import RecordingStream
from support.alerting import memory
from support.ports import free_port
from support.rosbridge import RosbridgeServer
from support.waiting import until

CMD = "/robot/cmd_vel"


class Rules:
    """A guard over a set of contained agents: it permits the others."""

    rule_id = "drivers"
    reason = "drivers drive"
    warnings: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.inside: dict[str, float | None] = {}
        self.denied: set[str] = set()
        self.asked: list[tuple[Any, str, str | None, Any]] = []

    async def check(self, agent: Any, action: str, resource: str | None = None, params: Any = None) -> Rules:
        if action == "ros2.publish":
            assert params["topic"] == CMD
        self.asked.append((agent, action, resource, params))
        if agent not in self.denied:
            return self
        raise Forbidden(f"{agent} may not")

    check_ours = check

    async def contained(self) -> dict[str, float | None]:
        return self.inside

    async def close(self) -> None:
        pass


class Here:
    """A bridge to a rosbridge server of ours."""

    def __init__(self, bridge: Bridge, server: RosbridgeServer, stream: RecordingStream, rules: Rules) -> None:
        self.bridge, self.server, self.stream, self.rules = bridge, server, stream, rules

    async def move(self, x: float) -> str | None:
        return await self.bridge.gate(CMD).publish("driver-1", {"linear": {"x": x}})

    def speeds(self) -> list[float]:
        """What reached the robot."""
        return [dict(numbers(message))["linear.x"] for message in self.server.on(CMD)]

    def reasons(self) -> list[str]:
        return [event.payload["reason"] for event in self.stream.get_events_by_type("ros2.stop_sent")]


@asynccontextmanager
async def linked(
    *,
    interlocks: Sequence[MotionInterlock] = (),
    url: str | None = None,
    server: RosbridgeServer | None = None,
    poses: Sequence[PoseFeed] = (),
    clock: Callable[[], float] = time.time,
    more: Mapping[str, Any] | None = None,
    **command: Any,
) -> AsyncIterator[Here]:
    mine = server is None
    server, stream, rules = server or RosbridgeServer(), RecordingStream(), Rules()
    if mine:
        await server.start()
    one = {"robot": "rover", "most_hz": 1000.0} | command
    topics = {"/odom": {"type": "nav_msgs/msg/Odometry"}}
    topics |= {name: topic.model_dump() for feed in poses for name, topic in feed.topics.items()}
    settings = LinkSettings.model_validate(
        {"driver": "rosbridge", "endpoint": url or server.url, "commands": {CMD: one}, "topics": topics}
        | dict(more or {})
    )
    bridge = Bridge("hall", settings, rules, stream, memory(), clock, interlocks, poses)
    tasks = [asyncio.create_task(bridge.link.run()), asyncio.create_task(bridge.watch(3600.0))]
    tasks += [asyncio.create_task(work()) for work in (bridge.watch_moving, *(feed.run for feed in poses))]
    try:
        await until(lambda: bridge.up and set(bridge.totals) <= set(server.subscribed))
        yield Here(bridge, server, stream, rules)
    finally:
        await bridge.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if mine:
            await server.stop()


@asynccontextmanager
async def zenoh_router() -> AsyncIterator[tuple[str, Counter[str]]]:
    """A router on loopback that decodes what comes; its address, and how many messages came by topic."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        endpoint = f"tcp/127.0.0.1:{probe.getsockname()[1]}"
    counts: Counter[str] = Counter()

    def came(sample: Any) -> None:
        _, *topic, type, _ = str(sample.key_expr).split("/")
        from_cdr(type.replace("::dds_::", "::").replace("::", "/").removesuffix("_"), sample.payload.to_bytes())
        counts["/" + "/".join(topic)] += 1

    settings = zenoh.Config()
    settings.insert_json5("mode", '"router"')
    settings.insert_json5("listen/endpoints", f'["{endpoint}"]')
    settings.insert_json5("scouting/multicast/enabled", "false")
    session = await asyncio.to_thread(zenoh.open, settings)
    session.declare_subscriber("0/**", came)
    try:
        yield endpoint, counts
    finally:
        await asyncio.to_thread(session.close)


def client(endpoint: str) -> Any:
    """The settings of a Zenoh session that connects there."""
    made = zenoh.Config()
    made.insert_json5("mode", '"client"')
    made.insert_json5("connect/endpoints", f'["{endpoint}"]')
    made.insert_json5("scouting/multicast/enabled", "false")
    made.insert_json5("timestamping/enabled", "true")  # what is kept for those who come late needs it
    return made


class Wire:
    """A TCP connection to somebody else that can be cut without a word: what is sent goes nowhere."""

    def __init__(self, port: int) -> None:
        self.port = free_port()
        self.cut = False
        self._to = port
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Wire:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._to)
        for one, other in ((reader, back), (there, writer)):
            task = asyncio.create_task(self._carry(one, other))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(1 << 16):
                if not self.cut:
                    writer.write(data)
        writer.close()
