"""Robots that are followed over links alone: by rosbridge and Zenoh, as by poses that are posted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import cache
from math import pi
from pathlib import Path
from typing import Any

import pytest
import zenoh
from pydantic import ValidationError

from brain import Condition, Rule
from brain.charter import Effect, Event
from brain.errors import Conflict, InvalidInput, Unavailable
from brain.kit.protocols import PoseReport, PoseTopic
from brain.ros2_bridge.bags import read_bag
from brain.ros2_bridge.graph import Graph, GraphTopic
from brain.ros2_bridge.links import Received
from brain.ros2_bridge.messages import from_cdr, to_cdr
from brain.ros2_bridge.playing import play_bag
from brain.ros2_bridge.poses import PoseFeed, PoseFeedState, pose_of
from brain.ros2_bridge.recording import BagRecorder
from brain.ros2_bridge.service import Ros2Service
from brain.ros2_bridge.settings import Ros2Settings
from brain.ros2_bridge.zenoh_link import key_of
from brain.slam.localization import Pose
from brain.slam.poses import LinkedPoses
from brain.slam.service import SlamService
from brain.slam.settings import SlamSettings
from support.clock import Clock
from support.log_lines import caught_logs
from support.recorded import data_file
from support.robots import Fleet, fleet
from support.ros2 import CMD, client, linked, zenoh_router
from support.rosbridge import RosbridgeServer
from support.waiting import until

AMCL = "geometry_msgs/msg/PoseWithCovarianceStamped"
ODOMETRY = "nav_msgs/msg/Odometry"
TOPIC = PoseTopic("rover", "hall", "/amcl_pose", AMCL, 1000.0, "map", "base_link")
DRIVERS = Rule(
    id="ros",
    name="Drivers drive over links",
    effect=Effect.ALLOW,
    conditions=[Condition("agent_id", "matches", "driver"), Condition("action", "==", "ros2.publish")],
)


@cache
def run() -> list[tuple[float, dict[str, Any]]]:
    """The 135 poses that AMCL gave during the recorded run of Nav2, with their times."""
    bag = read_bag(data_file("evo", "nav2_turtlebot.mcap"), decode=False)
    return [(one.at, from_cdr(AMCL, one.raw)) for one in bag if one.topic == "/amcl_pose"]


def moved(message: Mapping[str, Any], x: float) -> dict[str, Any]:
    """The message with its place moved along x."""
    copy: dict[str, Any] = json.loads(json.dumps(message))
    copy["pose"]["pose"]["position"]["x"] += x
    return copy


def robots(**more: Any) -> dict[str, Any]:
    return {"rover": {"link": "hall", "topic": "/amcl_pose", "most_hz": 1000, **more}}


async def test_the_recorded_run_over_a_link_is_what_it_is_when_it_is_posted(tmp_path: Path) -> None:
    clock = Clock(run()[0][0])
    jump = run()[0][0] + 50.0
    settings = SlamSettings.model_validate({"robots": robots(map="hall")})
    async with fleet(tmp_path, clock=clock, run=False, more={"slam": settings}) as here:
        slam, linked_poses = SlamService(here.context, clock), LinkedPoses(here.context, clock)
        (topic,) = linked_poses.topics()
        assert topic == TOPIC
        feed = PoseFeed(topic, linked_poses)
        async with linked(poses=[feed], clock=clock) as link:
            for number, (at, message) in enumerate(run(), 1):
                clock.now = at
                message = moved(message, 3.0 if at >= jump else 0.0)
                await link.server.publish("/amcl_pose", message)
                await until(lambda count=number: feed.counts["taken"] == count)  # type: ignore[misc]
                pose = pose_of(AMCL, message, at)
                await slam.note(
                    "posted", "hall", Pose(**{name: getattr(pose, name) for name in Pose.__struct_fields__})
                )
        assert feed.state() == PoseFeedState(topic="/amcl_pose", robot="rover", counts={"taken": 135}, trouble="")
        (posted, rover) = await slam.places()
        assert (rover.pose, rover.loss, rover.map) == (posted.pose, None, "hall")
        assert await slam.track("rover", 1000) == await slam.track("posted", 1000)
        async with working(slam):
            events = await here.events("slam.*")
        assert said_of("rover", events) == said_of("posted", events)
        kinds = [event.type for event in events if event.payload["robot_id"] == "rover"]
        assert kinds.count("slam.localization_lost") == kinds.count("slam.localization_recovered") == 1
        (lost,) = [payload for kind, payload in said_of("rover", events) if kind == "slam.localization_lost"]
        assert lost["reason"] == "jump"


async def test_a_bag_that_is_played_to_the_link_is_followed(tmp_path: Path) -> None:
    bag = BagRecorder(tmp_path / "run.mcap")
    for at, message in run():
        bag.add(Received("/amcl_pose", 0, message), AMCL, at)
    assert bag.close().messages == 135
    settings = SlamSettings.model_validate({"robots": robots()})
    async with fleet(tmp_path, run=False, more={"slam": settings}) as here:
        feed = PoseFeed(TOPIC, LinkedPoses(here.context))
        async with linked(poses=[feed]) as link:
            await play_bag(tmp_path / "run.mcap", link.server.url, 100.0, 0)
            await until(lambda: feed.counts["taken"] + feed.counts["skipped"] == 135)
        (place,) = await SlamService(here.context).places()
        last = pose_of(AMCL, run()[-1][1], 0.0)
        assert (place.pose.x, place.pose.y, place.pose.var_x) == (last.x, last.y, last.var_x)


def said_of(robot: str, events: list[Event]) -> list[tuple[str, dict[str, Any]]]:
    mine = (event for event in events if event.payload["robot_id"] == robot)
    return [(event.type, {**event.payload, "robot_id": ""}) for event in mine]


@asynccontextmanager
async def working(slam: SlamService) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(task()) for task in slam.tasks]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def bridged(folder: Path, endpoint: str, **slam: Any) -> AsyncIterator[tuple[Fleet, Ros2Service]]:
    """A bridge by Zenoh as a server opens it, with the rules and slam of the same settings."""
    link = {"driver": "zenoh", "endpoint": endpoint, "commands": {CMD: {"robot": "rover", "deadman_seconds": 30.0}}}
    more = {
        "slam": SlamSettings.model_validate({"robots": robots(), **slam}),
        "ros2_bridge": Ros2Settings.model_validate({"links": {"hall": link}}),
    }
    async with fleet(folder, run=False, more=more) as here:
        await asyncio.to_thread(here.engine.add_rule, DRIVERS)
        async with Ros2Service.open(here.context) as service:
            tasks = [asyncio.create_task(task()) for task in service.tasks]
            try:
                await until(lambda: service.links()[0].up)
                yield here, service
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_command_is_held_to_what_came_over_the_link_alone(tmp_path: Path) -> None:
    zone = {"kind": "keepout", "polygon": [(99, 99), (101, 99), (101, 101), (99, 101)]}
    async with zenoh_router() as (endpoint, _):
        peer = await asyncio.to_thread(zenoh.open, client(endpoint))
        async with bridged(tmp_path, endpoint, jump=2.0, zones={"ramp": zone}) as (_, service):
            sent = 0

            async def say(x: float, y: float = 0.0) -> None:
                nonlocal sent
                place = {"position": {"x": x, "y": y}, "orientation": {"w": 1.0}}
                peer.put(key_of(0, "/amcl_pose", AMCL), to_cdr(AMCL, {"pose": {"pose": place}}))
                sent += 1
                await until(lambda: service.links()[0].poses[0].counts.get("taken") == sent)

            async def drive(speed: float) -> str | None:
                return await service.publish("hall", CMD, "driver-1", {"linear": {"x": speed}})

            with pytest.raises(Conflict, match=r"never said where it is on /amcl_pose of hall: it may go at 0\.1 m/s"):
                await drive(0.3)
            await say(0.0)
            assert await drive(0.3) == "ros"
            await say(3.0)
            with pytest.raises(Conflict, match=r"does not know where it is \(jump\): it may go at 0\.1 m/s"):
                await drive(0.3)
            assert await drive(0.1) == "ros"
            for _ in range(3):
                await say(3.0)
            assert await drive(0.3) == "ros"
            for x in (100.0, 100.1, 100.2, 100.3):
                await say(x, 100.0)
            with pytest.raises(Conflict, match="is in the keepout zone ramp"):
                await drive(0.3)
        await asyncio.to_thread(peer.close)


async def test_over_zenoh_another_type_and_what_does_not_fit_are_said_once(tmp_path: Path) -> None:
    async with zenoh_router() as (endpoint, _):
        peer = await asyncio.to_thread(zenoh.open, client(endpoint))
        async with bridged(tmp_path, endpoint) as (_, service):

            def state() -> PoseFeedState:
                return service.links()[0].poses[0]

            with caught_logs() as lines:
                for _ in range(3):
                    peer.put(key_of(0, "/amcl_pose", ODOMETRY), to_cdr(ODOMETRY, {}))
                await until(lambda: state().counts == {"refused": 3})
                words = "the topic has messages of type nav_msgs/msg/Odometry, the settings have " + AMCL
                assert state().trouble == words
                for _ in range(2):
                    peer.put(key_of(0, "/amcl_pose", AMCL), to_cdr(AMCL, {}))
                await until(lambda: state().counts == {"refused": 5})
                assert state().trouble == f"{AMCL}: pose.pose.orientation is no quaternion: all its numbers are 0"
            assert [one["reason"] for one in lines if one["event"] == "no pose is taken"] == [words, state().trouble]
            assert service.links()[0].undecoded == 3
            _, message = run()[0]
            peer.put(key_of(0, "/amcl_pose", AMCL), to_cdr(AMCL, message))
            await until(lambda: state().counts == {"refused": 5, "taken": 1})
            assert state().trouble == ""
        await asyncio.to_thread(peer.close)


class Taker:
    """Takes poses when it is let, or raises."""

    def __init__(self) -> None:
        self.taken: list[float] = []
        self.let = asyncio.Event()
        self.error: Exception | None = None

    def topics(self) -> list[PoseTopic]:
        return [TOPIC]

    async def take(self, robot: str, pose: PoseReport) -> None:
        await self.let.wait()
        if self.error is not None:
            raise self.error
        self.taken.append(pose.x)


def message_at(x: Any, sec: int = 0, **covariance: Any) -> dict[str, Any]:
    place = {"position": {"x": x, "y": 0.0, "z": 0.0}, "orientation": {"x": 0.0, "y": 0.0, "z": 0.0, "w": 1.0}}
    return {"header": {"stamp": {"sec": sec, "nanosec": 0}}, "pose": {"pose": place, "covariance": [0.0] * 36}}


async def test_the_newest_pose_is_taken_and_a_message_that_is_sent_again_is_none() -> None:
    taker = Taker()
    feed = PoseFeed(TOPIC, taker)
    working = asyncio.create_task(feed.run())
    feed.add("/amcl_pose", message_at(0.0), 1.0)
    await until(lambda: not feed._came.is_set())
    for x in (1.0, 2.0, 3.0):
        feed.add("/amcl_pose", message_at(x, 7), 2.0)
    taker.let.set()
    await until(lambda: feed.counts["taken"] == 2)
    feed.add("/amcl_pose", message_at(3.0, 7), 3.0)  # as a publisher does that keeps its last message
    assert (taker.taken, feed.counts["skipped"]) == ([0.0, 3.0], 3)
    feed.add("/amcl_pose", message_at(4.0), 4.0)
    feed.add("/amcl_pose", message_at(4.0), 5.0)  # without a stamp nobody knows: it stands still
    await until(lambda: feed.counts["taken"] == 3)
    taker.error = Unavailable("the database is away")
    with caught_logs() as lines:
        for x in (5.0, 6.0):
            feed.add("/amcl_pose", message_at(x), 6.0)
            await until(lambda count=x - 4: feed.counts["unavailable"] == count)  # type: ignore[misc]
    assert len(lines) == 1
    assert feed.state().trouble == "it cannot be kept: the database is away"
    taker.error = None
    feed.add("/amcl_pose", message_at(7.0), 7.0)
    await until(lambda: feed.counts["taken"] == 4)
    assert (feed.trouble, taker.taken) == ("", [0.0, 3.0, 4.0, 7.0])
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)


async def test_at_most_so_many_poses_a_second_are_taken() -> None:
    taker, loop = Taker(), asyncio.get_running_loop()
    taker.let.set()
    feed = PoseFeed(PoseTopic("rover", "hall", "/amcl_pose", AMCL, 20.0), taker)
    working = asyncio.create_task(feed.run())
    began, number = loop.time(), 0

    def flooded() -> bool:
        nonlocal number
        number += 1
        feed.add("/amcl_pose", message_at(float(number)), 0.0)
        return len(taker.taken) == 6

    await until(flooded)  # with up to a hundred messages a second
    assert loop.time() - began >= 5 / 20.0
    assert taker.taken[-1] >= number - 1
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)


def test_every_type_has_its_place_turn_and_variances() -> None:
    place, turn = {"x": 1.0, "y": -2.0, "z": 9.0}, {"x": 0.0, "y": 0.0, "z": 2.0, "w": 2.0}  # any length
    covariance = [float(number) for number in range(36)]
    sure = {"pose": {"position": place, "orientation": turn}}
    messages = {
        AMCL: {"pose": {**sure, "covariance": covariance}},
        ODOMETRY: {"pose": {**sure, "covariance": covariance}},
        "geometry_msgs/msg/PoseStamped": sure,
        "geometry_msgs/msg/TransformStamped": {"transform": {"translation": place, "rotation": turn}},
    }
    for type, message in messages.items():
        found = pose_of(type, message, 5.0)
        assert (found.x, found.y, found.at) == (1.0, -2.0, 5.0)
        assert found.theta == pytest.approx(pi / 2)
        variances = (found.var_x, found.var_y, found.var_theta)
        assert variances == ((0.0, 7.0, 35.0) if type in (AMCL, ODOMETRY) else (0.0, 0.0, 0.0))


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (5, "the message has no pose.pose.position.x"),
        ({"pose": {}}, "the message has no pose.pose.position.x"),
        (message_at(None), "pose.pose.position.x is no number"),
        (message_at(True), "pose.pose.position.x is no number"),
        (message_at(float("nan")), "pose.pose.position.x is not finite"),
        (message_at(10**400), "pose.pose.position.x is not finite"),
        ({"pose": {**message_at(0.0)["pose"], "covariance": [0.0] * 35}}, "pose.covariance has not 36 numbers"),
        ({"pose": {**message_at(0.0)["pose"], "covariance": [None] * 36}}, r"pose.covariance\[0\] is no number"),
    ],
)
def test_what_is_no_pose_is_refused_with_the_field(message: Any, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        pose_of(AMCL, message, 0.0)


async def test_a_pose_beyond_what_may_be_posted_is_refused(tmp_path: Path) -> None:
    settings = SlamSettings.model_validate({"robots": robots()})
    async with fleet(tmp_path, run=False, more={"slam": settings}) as here:
        poses = LinkedPoses(here.context)
        good = {"x": 0.0, "y": 0.0, "theta": 0.0, "var_x": 0.0, "var_y": 0.0, "var_theta": 0.0, "at": 1.0}
        for name, wrong in (("x", 1.1e6), ("y", float("nan")), ("theta", -2e3), ("var_x", -1.0), ("var_y", 1e10)):
            with pytest.raises(InvalidInput, match=rf"^{name} is not"):
                await poses.take("rover", PoseReport(**{**good, name: wrong}))


async def test_a_peer_that_tells_of_another_type_is_said_and_rosbridge_goes_on(tmp_path: Path) -> None:
    taker = Taker()
    taker.let.set()
    feed = PoseFeed(TOPIC, taker)
    server = RosbridgeServer()
    await server.start()
    async with linked(server=server, poses=[feed]) as here:
        for type in ("geometry_msgs/PoseWithCovarianceStamped", AMCL):  # as ROS 1 and ROS 2 write it
            here.bridge.graph_changed(told(type))
            assert feed.trouble == ""
        here.bridge.graph_changed(told(ODOMETRY))
        assert feed.trouble == f"the topic has messages of type {ODOMETRY}, the settings have {AMCL}"
        await server.publish("/amcl_pose", {"pose": {"position": {}}})
        await until(lambda: feed.trouble == f"{AMCL}: the message has no pose.pose.position.x")
        await server.publish("/amcl_pose", message_at(1.0))
        await until(lambda: taker.taken == [1.0])
    await server.stop()


def told(type: str) -> Graph:
    return Graph(topics=[GraphTopic(topic="/amcl_pose", type=type, publishers=None, subscribers=None)])


@pytest.mark.parametrize(
    ("link", "words"),
    [
        ({}, r"\[slam.robots.rover\] link: no link has the name hall; \[ros2_bridge.links\] has other"),
        (
            {"topics": {"/amcl_pose": {"type": ODOMETRY}}},
            r"\[slam.robots.rover\] type: is .* has /amcl_pose as nav_msgs",
        ),
        ({"commands": {"/amcl_pose": {"robot": "rover"}}}, "/amcl_pose is a command topic of link hall"),
    ],
)
async def test_a_link_that_cannot_be_is_refused_at_the_start(tmp_path: Path, link: dict[str, Any], words: str) -> None:
    one = {"driver": "rosbridge", "endpoint": "ws://127.0.0.1:9", **link}
    more = {
        "slam": SlamSettings.model_validate({"robots": robots()}),
        "ros2_bridge": Ros2Settings.model_validate({"links": {"hall" if link else "other": one}}),
    }
    async with fleet(tmp_path, run=False, more=more) as here:
        with pytest.raises(InvalidInput, match=words):
            async with Ros2Service.open(here.context):
                pass


def test_two_robots_on_one_topic_and_other_types_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"robots\.other\.topic: /amcl_pose of link hall is that of robot rover"):
        SlamSettings.model_validate({"robots": {**robots(), "other": robots()["rover"]}})
    with pytest.raises(ValidationError, match=r"nav_msgs/msg/Odometry"):
        SlamSettings.model_validate({"robots": robots(type="sensor_msgs/msg/Imu")})
