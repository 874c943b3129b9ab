"""Frames of /tf: put together as matrices do it, at one time; what is missing is said; robots are followed by them."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from itertools import islice
from math import atan2, cos, pi, sin
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from brain.errors import InvalidInput
from brain.kit.protocols import PoseReport, PoseTopic
from brain.ros2_bridge.bags import read_bag
from brain.ros2_bridge.frames import KEPT, MOST_FRAMES, MOST_KEPT, TF, FrameTree
from brain.ros2_bridge.messages import to_plain
from brain.ros2_bridge.poses import PoseFeed, with_pose_topics, yaw_of
from brain.ros2_bridge.settings import Ros2Settings
from brain.slam.poses import LinkedPoses
from brain.slam.service import SlamService
from brain.slam.settings import SlamSettings
from support.recorded import data_file
from support.robots import fleet
from support.ros2 import linked
from support.waiting import until

ROVER = PoseTopic("rover", "hall", "/tf", TF, 1000.0, "map", "base_footprint")


def told(parent: str, child: str, at: float, x: float = 0.0, yaw: float = 0.0, y: float = 0.0) -> dict[str, Any]:
    stamp = {"sec": int(at), "nanosec": round(at % 1 * 1e9)}
    turn = {"x": 0.0, "y": 0.0, "z": sin(yaw / 2), "w": cos(yaw / 2)}
    moved = {"translation": {"x": x, "y": y, "z": 0.0}, "rotation": turn}
    return {"header": {"stamp": stamp, "frame_id": parent}, "child_frame_id": child, "transform": moved}


def message(*transforms: dict[str, Any]) -> dict[str, Any]:
    return {"transforms": list(transforms)}


@cache
def run(most: int) -> list[tuple[str, dict[str, Any]]]:
    """The first messages of /tf, /tf_static and /amcl_pose of the recorded run of Nav2."""
    bag = read_bag(data_file("evo", "nav2_turtlebot.mcap"))
    wanted = ("/tf", "/tf_static", "/amcl_pose")
    return list(islice(((one.topic, to_plain(one.decoded)) for one in bag if one.topic in wanted), most))


def seconds(stamp: dict[str, Any]) -> float:
    return float(stamp["sec"] + stamp["nanosec"] / 1e9)


def in_plane(x: float, y: float, yaw: float) -> NDArray[Any]:
    return np.array([[cos(yaw), -sin(yaw), x], [sin(yaw), cos(yaw), y], [0, 0, 1]])


@pytest.mark.parametrize("most", [500, pytest.param(6_000, marks=pytest.mark.long)])
def test_the_recorded_run_is_put_together_as_matrices_in_the_plane_do_it(most: int) -> None:
    """Counted by other code: turns unwrapped and interpolated, then multiplied as matrices."""
    tree, found, links, amcl, missing = FrameTree("map", "base_link"), [], {}, [], 0
    for topic, said in run(most):
        if topic == "/amcl_pose":
            place = said["pose"]["pose"]["position"]
            amcl.append((seconds(said["header"]["stamp"]), place["x"], place["y"]))
            continue
        tree.add(said, topic == "/tf_static")
        for one in said["transforms"]:
            place, turn = one["transform"]["translation"], one["transform"]["rotation"]
            yaw = 2 * atan2(turn["z"], turn["w"])
            at = seconds(one["header"]["stamp"])
            links.setdefault((one["header"]["frame_id"], one["child_frame_id"]), {})[at] = (place["x"], place["y"], yaw)
        try:
            found.append(tree.place())
        except InvalidInput:
            missing += 1  # AMCL's first transform is of a second after the odometry's
    assert len(found) + missing + len(amcl) == len(run(most))
    assert missing < 80
    tables = []
    for key in (("map", "odom"), ("odom", "base_link")):
        times = np.array(sorted(links[key]))
        x, y, yaw = np.array([links[key][at] for at in times]).T
        tables.append((times, x, y, np.unwrap(yaw)))
    worst = 0.0
    for at, transform in found:
        first, second = (in_plane(*(float(np.interp(at, t, one)) for one in rest)) for t, *rest in tables)
        counted = first @ second
        yaw = atan2(counted[1, 0], counted[0, 0])
        off = (yaw_of(*transform[3:]) - yaw + pi) % (2 * pi) - pi
        worst = max(worst, abs(transform.x - counted[0, 2]), abs(transform.y - counted[1, 2]), abs(off))
    assert worst < 1e-4  # a later transform may have come out of order; else the same to a tenth of a millimetre
    times = np.array([at for at, _ in found])
    near = [
        float(
            np.hypot(
                np.interp(at, times, [t.x for _, t in found]) - x, np.interp(at, times, [t.y for _, t in found]) - y
            )
        )
        for at, x, y in amcl
        if times[0] <= at <= times[-1]
    ]
    assert len(near) > len(amcl) * 0.7
    assert median(near) < 0.05  # AMCL's own pose is of a moment later than the transform that it had published


def test_between_two_transforms_it_turns_evenly_and_goes_straight() -> None:
    tree = FrameTree("map", "base")
    tree.add(message(told("map", "odom", 10.0, x=1.0, yaw=3.0), told("map", "odom", 11.0, x=2.0, yaw=-3.0)), False)
    tree.add(message(told("odom", "base", 10.25, x=2.0)), False)
    at, found = tree.place()
    yaw = 3.0 + 0.25 * (2 * pi - 6.0)  # the shorter way, over pi
    assert at == 10.25
    assert (found.x, found.y) == pytest.approx((1.25 + 2 * cos(yaw), 2 * sin(yaw)))
    assert yaw_of(*found[3:]) == pytest.approx(yaw)


def test_what_is_missing_is_said() -> None:
    tree = FrameTree("/map", "base_link")
    with pytest.raises(InvalidInput, match="from base_link to map: nobody says where base_link is"):
        tree.place()
    tree.add(message(told("/odom", "base_link", 5.0)), False)
    with pytest.raises(InvalidInput, match="nobody says where odom is"):
        tree.place()
    tree.add(message(told("map", "odom", 6.0)), False)
    with pytest.raises(InvalidInput, match=r"map -> odom is known from 1\.000 s after"):
        tree.place()
    tree.add(message(told("base_link", "odom", 6.0)), False)
    with pytest.raises(InvalidInput, match="in a circle"):
        tree.place()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({}, "no transforms"),
        (message({"header": {}}), "does not fit"),
        (message(told("map", "map", 1.0)), "says where 'map' is in 'map'"),
        (message(told("map", "odom", 1.0, x=float("nan"))), "finite"),
        (message(told("map", "odom", 1.0) | {"transform": {"translation": 3, "rotation": 4}}), "does not fit"),
    ],
)
def test_what_is_no_transform_is_refused_and_nothing_of_its_message_taken(wrong: Any, words: str) -> None:
    tree = FrameTree("map", "odom")
    if wrong:
        wrong = message(told("map", "odom", 1.0), *wrong["transforms"])
    with pytest.raises(InvalidInput, match=words):
        tree.add(wrong, False)
    with pytest.raises(InvalidInput, match="nobody says"):
        tree.place()


def test_what_is_kept_is_bounded_and_a_clock_that_went_back_begins_anew() -> None:
    tree = FrameTree("map", "base")
    for number in range(3 * MOST_KEPT):
        tree.add(message(told("map", "base", number / 1000, x=number)), False)
    edge = tree._edges["base"]
    assert len(edge.stamps) == len(edge.transforms) == MOST_KEPT
    tree.add(message(told("map", "base", 100.0, x=1.0)), False)
    assert edge.stamps == [100.0]
    tree.add(message(told("map", "base", 100.0 - KEPT - 1, x=2.0)), False)
    assert tree.place()[1].x == 2.0
    with pytest.raises(InvalidInput, match="more than 2,000 frames"):
        tree.add(message(*(told("map", f"f{number}", 1.0) for number in range(MOST_FRAMES))), False)


async def test_a_robot_is_followed_by_its_frames_over_a_link(tmp_path: Path) -> None:
    settings = SlamSettings.model_validate(
        {"robots": {"rover": {"link": "hall", "topic": "/tf", "type": TF, "child": "base_footprint", "most_hz": 1000}}}
    )
    messages = [one for one in run(500) if one[0] != "/amcl_pose"][:400]
    tree, offered = FrameTree("map", "base_footprint"), {}
    for topic, said in messages:
        tree.add(said, topic == "/tf_static")
        with suppress(InvalidInput):
            at, last = tree.place()
            offered[at] = last
    async with fleet(tmp_path, run=False, more={"slam": settings}) as here:
        poses = LinkedPoses(here.context)
        assert poses.topics() == [ROVER]
        feed = PoseFeed(ROVER, poses)
        assert set(feed.topics) == {"/tf", "/tf_static"}
        async with linked(poses=[feed]) as link:
            for topic, said in messages:
                await link.server.publish(topic, said)
                if topic == "/tf_static":
                    await until(lambda: link.bridge.totals["/tf_static"].count == 1)
                if link.bridge.totals["/tf"].count == 0:
                    await until(lambda: "nobody says where" in feed.state().trouble)
            heard = {"/tf": len(messages) - 1, "/tf_static": 1}
            await until(lambda: {name: link.bridge.totals[name].count for name in heard} == heard)
            await until(lambda: feed.counts["taken"] + feed.counts["skipped"] == len(offered))
        (place,) = await SlamService(here.context).places()
        assert (place.pose.x, place.pose.y, place.pose.theta) == (last.x, last.y, yaw_of(*last[3:]))
        assert feed.state().trouble == ""


def test_robots_share_tf_by_their_frames_and_what_stays_the_same_is_never_silent() -> None:
    one = {"link": "hall", "topic": "/tf", "type": TF}
    robots = {"a": one | {"child": "a/base_link"}, "b": one | {"child": "b/base_link"}}
    settings = SlamSettings.model_validate({"robots": robots})
    assert [robot.says for robot in settings.robots.values()] == ["a/base_link of /tf", "b/base_link of /tf"]
    with pytest.raises(ValueError, match=r"base_link of /tf of link hall is that of robot a"):
        SlamSettings.model_validate({"robots": {"a": one, "b": one}})
    links = {"links": {"hall": {"driver": "rosbridge", "endpoint": "ws://a:1"}}}
    found = with_pose_topics(Ros2Settings.model_validate(links), [PoseFeed(ROVER, _Nobody())])["hall"].topics
    assert {name: topic.silent_seconds for name, topic in found.items()} == {"/tf": 10.0, "/tf_static": None}


class _Nobody:
    def topics(self) -> list[PoseTopic]:
        return []

    async def take(self, robot: str, pose: PoseReport) -> None:
        raise AssertionError
