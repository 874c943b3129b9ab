"""Links that are cut without a word, topics that fall silent, what a peer tells of, and robots that interlocks stop."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import zenoh
import zenoh.ext

from brain.errors import Conflict, InvalidInput, Unavailable
from brain.kit.protocols import MotionInterlock, MotionLimit
from brain.ros2_bridge.bridge import Bridge
from brain.ros2_bridge.graph import Graph, graph_of_tokens
from brain.ros2_bridge.messages import to_cdr
from brain.ros2_bridge.playing import ask_graph
from brain.ros2_bridge.settings import LinkSettings
from brain.ros2_bridge.zenoh_link import key_of
from brain.slam.interlock import SlamInterlock
from brain.slam.localization import Pose
from brain.slam.service import SlamService
from brain.testing import RecordingStream
from brain.vision.boxes import Box, Detection
from brain.vision.cameras import Camera, Zone
from brain.vision.interlock import VisionInterlock
from brain.vision.service import VisionService
from support.alerting import memory
from support.clock import Clock
from support.ports import free_port
from support.robots import fleet
from support.ros2 import CMD, Rules, Wire, client, linked, zenoh_router
from support.rosbridge import RosbridgeServer
from support.waiting import until

LOWER = [(0.0, 0.5), (1.0, 0.5), (1.0, 1.0), (0.0, 1.0)]
CELL = Camera(camera="hall", source="posted", detector="none", zones=[Zone(zone="cell", polygon=LOWER, robot="rover")])


# links that are cut


@pytest.mark.parametrize("seconds", [1.5, pytest.param(10.0, marks=pytest.mark.long)])
async def test_a_cut_wire_is_found_within_a_second_and_zero_comes_first(seconds: float) -> None:
    server = RosbridgeServer()
    await server.start()
    async with Wire(server.port) as wire:
        url = f"ws://127.0.0.1:{wire.port}"
        async with linked(server=server, url=url, deadman_seconds=30.0) as here:
            await here.move(0.3)
            await until(lambda: here.speeds() == [0.0, 0.3])
            wire.cut, cut = True, time.monotonic()
            await until(lambda: not here.bridge.up)
            assert time.monotonic() - cut < 1.0
            with pytest.raises(Unavailable, match="the link is down"):
                await here.move(0.4)
            await asyncio.sleep(seconds - (time.monotonic() - cut))
            assert not here.bridge.up
            server.messages.clear()
            wire.cut = False
            await until(lambda: here.bridge.up)
            await here.move(0.2)
            await until(lambda: len(here.speeds()) == 2)
            assert here.speeds() == [0.0, 0.2]
            kinds = [event.type for event in here.stream.events if event.type.startswith("ros2.link")]
            assert kinds == ["ros2.link_up", "ros2.link_down", "ros2.link_up"]
    await server.stop()


@pytest.mark.parametrize("seconds", [1.5, pytest.param(10.0, marks=pytest.mark.long)])
async def test_a_cut_wire_of_zenoh_is_found_within_a_second_and_zero_comes_first(seconds: float) -> None:
    commands = {"commands": {CMD: {"robot": "rover", "deadman_seconds": 30.0}}}
    async with zenoh_router() as (endpoint, counts), Wire(int(endpoint.rpartition(":")[2])) as wire:
        speeds: list[float] = []
        robot = await asyncio.to_thread(zenoh.open, client(endpoint))
        key = key_of(0, CMD, "geometry_msgs/msg/Twist")
        robot.declare_subscriber(
            key, lambda sample: speeds.append(struct.unpack_from("<d", sample.payload.to_bytes(), 4)[0])
        )
        async with zenoh_linked(f"tcp/127.0.0.1:{wire.port}", **commands) as (bridge, stream):
            await until(lambda: counts[CMD] == 1)
            await bridge.gate(CMD).publish("driver-1", {"linear": {"x": 0.2}})
            await until(lambda: speeds[-1:] == [0.2])
            speeds.clear()
            wire.cut, cut = True, time.monotonic()
            await until(lambda: not bridge.up)
            assert time.monotonic() - cut < 1.0
            with pytest.raises(Unavailable, match="the link is down"):
                await bridge.gate(CMD).publish("driver-1", {"linear": {"x": 0.4}})
            await asyncio.sleep(seconds - (time.monotonic() - cut))
            assert not bridge.up
            wire.cut = False
            await until(lambda: bridge.up)
            await bridge.gate(CMD).publish("driver-1", {"linear": {"x": 0.3}})
            await until(lambda: len(speeds) == 2)
            assert speeds == [0.0, 0.3]
        await asyncio.to_thread(robot.close)
        kinds = [event.type for event in stream.events if event.type.startswith("ros2.link")]
        assert kinds == ["ros2.link_up", "ros2.link_down", "ros2.link_up"]


@asynccontextmanager
async def zenoh_linked(endpoint: str, **more: Any) -> AsyncIterator[tuple[Bridge, RecordingStream]]:
    given = {"driver": "zenoh", "endpoint": endpoint, "commands": {CMD: {"robot": "rover"}}, **more}
    stream = RecordingStream()
    bridge = Bridge("hall", LinkSettings.model_validate(given), Rules(), stream, memory())
    running = asyncio.create_task(bridge.link.run())
    try:
        await until(lambda: bridge.up)
        yield bridge, stream
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


# silence


async def test_a_topic_that_never_came_is_silent_too_but_not_while_the_link_is_down() -> None:
    clock = Clock(1_800_000_000.0)
    settings = LinkSettings.model_validate(
        {
            "driver": "rosbridge",
            "endpoint": f"ws://127.0.0.1:{free_port()}",
            "topics": {"/scan": {"type": "sensor_msgs/msg/LaserScan", "silent_seconds": 5}},
        }
    )
    stream, database = RecordingStream(), memory()
    bridge = Bridge("hall", settings, None, stream, database, clock)

    def silent() -> list[Any]:
        bridge.look(3600.0)
        return [event.payload for event in stream.get_events_by_type("ros2.topic_silent")]

    clock.advance(60)
    assert silent() == []  # that the link is down is told already
    await bridge.came_up()
    clock.advance(5.1)
    (first,) = silent()
    assert (first["topic"], first["last_at"], first["expected_hz"]) == ("/scan", None, 0.0)
    assert len(silent()) == 1
    await until(lambda: reports(database) == ["AGENT_FAILURE"])


def reports(database: Any) -> list[str]:
    import sqlalchemy as sa

    from brain.kit.outbox.reports import reports as table

    if not sa.inspect(database).has_table(table.name):
        return []
    with database.connect() as db:
        return [row.report["kind"] for row in db.execute(sa.select(table))]


# graphs


def token(kind: str, node: str, *rest: str) -> str:
    return "/".join(["@ros2_lv", "0", "a1b2", "0", "7", kind, "%", "%robot", node, *rest])


TWIST = ("geometry_msgs::msg::dds_::Twist_", "RIHS01_0")
TOKENS = [
    token("NN", "planner"),
    token("MP", "planner", "%robot%cmd_vel", *TWIST, "::,10:,:,:,,"),
    token("MS", "base", "%robot%cmd_vel", *TWIST, "2:2:,5:,:,:,,"),
    token("SS", "planner", "%robot%clear", "std_srvs::srv::dds_::Empty_", "RIHS01_0", "::,10:,:,:,,"),
    token("SS", "planner", "%robot%spin%_action%send_goal", "a::srv::dds_::B_", "RIHS01_0", "::,10:,:,:,,"),
    "@ros2_lv/0/short",
    "0/robot/odom/x/y",
]


def test_tokens_of_rmw_zenoh_tell_nodes_topics_with_qos_services_and_actions() -> None:
    graph = graph_of_tokens(TOKENS)
    assert (graph.nodes, graph.services, graph.actions) == (["/robot/planner"], ["/robot/clear"], ["/robot/spin"])
    (topic,) = graph.topics
    assert (topic.topic, topic.type) == (CMD, "geometry_msgs/msg/Twist")
    assert topic.publishers is not None
    assert topic.subscribers is not None
    (publisher,), (subscriber,) = topic.publishers, topic.subscribers
    assert (publisher.node, publisher.reliability, publisher.durability, publisher.depth) == (
        "/robot/planner",
        "reliable",
        "transient_local",
        10,
    )
    assert (subscriber.reliability, subscriber.durability, subscriber.depth) == ("best_effort", "volatile", 5)


async def test_over_zenoh_the_graph_is_told_and_a_node_that_may_command_the_robot_is_a_threat() -> None:
    async with zenoh_router() as (endpoint, _):
        peer = await asyncio.to_thread(zenoh.open, client(endpoint))
        tokens = [peer.liveliness().declare_token(one) for one in TOKENS[:4]]
        odom = {"/robot/odom": {"type": "std_msgs/msg/String"}}
        key = key_of(0, "/robot/odom", "std_msgs/msg/String")
        kept = zenoh.ext.declare_advanced_publisher(peer, key, cache=zenoh.ext.CacheConfig(1))
        kept.put(to_cdr("std_msgs/msg/String", {"data": "said before anybody listened"}))
        async with zenoh_linked(endpoint, topics=odom) as (bridge, stream):
            await until(lambda: bridge.graph is not None and len(bridge.graph.topics) == 1)
            await until(lambda: bridge.totals["/robot/odom"].count == 1)  # transient_local
            below = to_cdr("geometry_msgs/msg/Twist", {})
            peer.put(key_of(0, "/robot/odom/raw", "geometry_msgs/msg/Twist"), below)
            peer.put(key, to_cdr("std_msgs/msg/String", {"data": "another"}))
            await until(lambda: bridge.totals["/robot/odom"].count == 2)
            assert bridge.link.undecoded == 0
            await until(lambda: threats(bridge) == [("node /robot/planner", "/robot/planner")])
            await asyncio.to_thread(tokens[0].undeclare)
            await until(lambda: bridge.graph is not None and not bridge.graph.nodes)
            changes = [event.payload for event in stream.get_events_by_type("ros2.graph_changed")]
            assert f"topic {CMD} geometry_msgs/msg/Twist" in changes[0]["added"]
            assert changes[-1]["removed"] == ["node /robot/planner"]
        asked = await ask_graph(f"zenoh+{endpoint}", 0)
        assert [topic.topic for topic in asked.topics] == [CMD]
        await asyncio.to_thread(peer.close)


def threats(bridge: Bridge) -> list[tuple[str, str]]:
    import sqlalchemy as sa

    from brain.kit.outbox.reports import reports as table

    if not sa.inspect(bridge._database).has_table(table.name):
        return []
    with bridge._database.connect() as db:
        found = [row.report for row in db.execute(sa.select(table))]
    return [(report["reading"], report["metadata"]["node"]) for report in found]


async def test_a_rosbridge_tells_its_graph_by_rosapi_and_one_without_it_nothing() -> None:
    server = RosbridgeServer()
    server.services = {
        "/rosapi/topics": {
            "topics": ["/odom", "/cmd_vel"],
            "types": ["nav_msgs/msg/Odometry", "geometry_msgs/msg/Twist"],
        },
        "/rosapi/nodes": {"nodes": ["/base"]},
        "/rosapi/services": {"services": ["/clear"]},
        "/rosapi/action_servers": {"action_servers": ["/spin"]},
    }
    await server.start()
    found = await ask_graph(server.url, 0)
    assert [(one.topic, one.type, one.publishers) for one in found.topics] == [
        ("/cmd_vel", "geometry_msgs/msg/Twist", None),
        ("/odom", "nav_msgs/msg/Odometry", None),
    ]
    assert (found.nodes, found.services, found.actions) == (["/base"], ["/clear"], ["/spin"])
    server.services = {}
    async with linked(server=server) as here:
        await until(lambda: here.server.asked >= 8)
        assert here.bridge.graph is None
    await server.stop()
    assert found.names() > Graph().names()


async def test_whatever_a_peer_sends_the_link_goes_on() -> None:
    server = RosbridgeServer()
    await server.start()
    server.services = {"/rosapi/topics": {"topics": 5, "types": None}, "/rosapi/nodes": {"nodes": [None, 7, "/base"]}}
    async with linked(server=server) as here:
        (connection,) = server.subscribed["/odom"]
        odd = [b"\xff", "", "5", "null", '{"op": "publish"}', '{"op": "publish", "topic": 5, "msg": []}', "[" * 9000]
        odd += [
            f'{{"op": "publish", "topic": "{CMD}", "msg": {msg}}}' for msg in ("5", "null", "[1e999]", '{"a": 1e999}')
        ]
        odd += [
            '{"op": "service_response", "id": [], "values": 5}',
            '{"op": "publish", "topic": "/odom", "msg": %s}' % ("9" * 400),
        ]
        for line in odd:
            await connection.send(line)
        await server.publish("/odom", {"pose": {}})
        await until(lambda: here.bridge.totals["/odom"].count == 2)
        assert here.bridge.link.undecoded >= 6
        await until(lambda: here.bridge.graph is not None and here.bridge.graph.nodes == ["/base", "7", "None"])
        await here.move(0.1)
    await server.stop()


# interlocks


class Limit:
    """An interlock that says what the test sets."""

    def __init__(self) -> None:
        self.now: MotionLimit | None = None
        self.away = False

    async def limit(self, robot: str) -> MotionLimit | None:
        assert robot == "rover"
        if self.away:
            raise Unavailable("the database is away")
        return self.now


async def test_commands_and_robots_that_move_are_held_to_what_interlocks_let_them() -> None:
    limit = Limit()
    async with linked(interlocks=[limit], deadman_seconds=30.0) as here:
        await here.move(0.3)
        limit.now = MotionLimit(0.3, "a speed zone")
        await here.move(0.3)
        with pytest.raises(Conflict, match=r"a speed zone: it may go at 0\.3 m/s at most"):
            await here.move(0.31)
        limit.now = MotionLimit(0.1, "it is lost")
        await until(lambda: here.reasons()[-1] == "interlock")
        await here.move(0.1)
        limit.now = MotionLimit(0.0, "a person is there")
        await until(lambda: here.reasons().count("interlock") == 2)
        for twist in ({"linear": {"x": 0.05}}, {"angular": {"z": 0.2}}):
            with pytest.raises(Conflict, match="a person is there"):
                await here.bridge.gate(CMD).publish("driver-1", twist)
        await here.move(0.0)  # a stop asks no interlock
        limit.now = None
        await here.move(0.4)
        limit.away = True
        await until(lambda: here.reasons().count("interlock") == 3)
        with pytest.raises(Unavailable, match="an interlock cannot be asked"):
            await here.move(0.2)
        stop = here.stream.get_events_by_type("ros2.stop_sent")[-1].payload
        assert stop["detail"] == "an interlock cannot be asked: the database is away"
        assert here.bridge.gate(CMD).counts["interlock"] == 3


async def test_a_message_whose_speed_nobody_knows_does_not_pass_while_a_limit_holds() -> None:
    limit = Limit()
    joints: dict[str, Any] = {"type": "std_msgs/msg/Float64MultiArray", "bounds": {"data": 2.0}}
    async with linked(interlocks=[limit], deadman_seconds=30.0, **joints) as here:
        await here.bridge.gate(CMD).publish("driver-1", {"data": [0.1]})
        limit.now = MotionLimit(1.0, "it is lost")
        await until(lambda: here.reasons()[-1] == "interlock")
        with pytest.raises(Conflict, match="it is lost"):
            await here.bridge.gate(CMD).publish("driver-1", {"data": [0.1]})
    async with linked(interlocks=[limit], deadman_seconds=30.0, speed=["data.0"], **joints) as here:
        await here.bridge.gate(CMD).publish("driver-1", {"data": [0.9, 2.0]})
        with pytest.raises(Conflict, match="it is lost"):
            await here.bridge.gate(CMD).publish("driver-1", {"data": [1.1]})


async def test_what_is_no_number_passes_nowhere() -> None:
    async with linked() as here:
        for wrong in ({"linear": {"x": None}}, {"linear": {"x": "0.1"}}, {"linear": {"x": 10**400}}, {"linear": 0.1}):
            with pytest.raises(InvalidInput):
                await here.bridge.gate(CMD).publish("driver-1", wrong)
        assert here.speeds() == [0.0]


async def test_cameras_and_localisation_stop_a_robot_that_is_driven_over_a_link(tmp_path: Path) -> None:
    clock = Clock()
    async with fleet(tmp_path, clock=clock) as fleet_here:
        context = fleet_here.context
        vision, slam = VisionService(context, clock), SlamService(context, clock)
        interlocks: list[MotionInterlock] = [VisionInterlock(context, clock), SlamInterlock(context)]
        await vision.put(CELL, "ann")

        async def look(foot: float) -> None:
            for _ in range(3):
                clock.advance(0.1)
                seen = Detection(label="person", confidence=0.9, box=Box(0.4, foot - 0.3, 0.1, 0.3))
                await vision.post_detections("hall", [seen])

        async with linked(interlocks=interlocks, deadman_seconds=60.0) as here:
            with pytest.raises(Conflict, match="does not see the zone of robot rover"):
                await here.move(0.3)
            await look(0.4)
            await here.move(0.3)
            await look(0.9)
            await until(lambda: here.reasons()[-1] == "interlock")
            with pytest.raises(Conflict, match="a person is in zone cell of robot rover"):
                await here.move(0.1)
            await vision.remove("hall", "ann")
            await here.move(0.3)
            for x in (0.0, 3.0):
                clock.advance(0.1)
                await slam.note("rover", "hall", Pose(x=x, y=0.0, theta=0.0, at=clock()))
            await until(lambda: here.reasons().count("interlock") == 2)
            await here.move(0.1)  # it may crawl
            await until(lambda: len(here.speeds()) == 6)
            assert here.speeds() == [0.0, 0.3, 0.0, 0.3, 0.0, 0.1]
        await vision.close()
