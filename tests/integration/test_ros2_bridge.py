"""Links to robots on loopback: every command passes rules, bounds and rate; a stop asks nobody; bags arrive whole."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from brain.errors import BrainError, InvalidInput, Unavailable
from brain.ros2_bridge.bags import bag_info
from brain.ros2_bridge.bridge import Bridge
from brain.ros2_bridge.playing import play_bag
from brain.ros2_bridge.rates import RateCounter
from brain.ros2_bridge.settings import LinkSettings
from brain.testing import RecordingStream
from support.alerting import memory
from support.recorded import data_file
from support.ros2 import CMD, Rules, linked, zenoh_router
from support.rosbridge import RosbridgeServer
from support.waiting import until

BAGS = {
    "ROS_example.bag": 26_566,
    "nav2_turtlebot.mcap": 8_197,
    "2026-04-06-16-53-32.bag": 23_249,
    "tf_example.bag": 518,
    "tf_example.db3": 518,
}


async def test_of_a_thousand_commands_exactly_the_hundred_beyond_the_bound_are_refused() -> None:
    speeds = [0.51 + number / 1000 if number % 10 == 3 else number / 2000 for number in range(1000)]
    refused = 0
    async with linked(deadman_seconds=30.0) as here:
        # The rate allows a thousand a second and no more: a machine that is quicker must wait.
        for speed in speeds:
            try:
                await here.move(speed)
            except InvalidInput:
                refused += 1
        good = [speed for speed in speeds if speed <= 0.5]
        await until(lambda: len(here.speeds()) == 1 + len(good))
        assert here.speeds() == [0.0, *good]
        events = Counter(event.type for event in here.stream.events)
        assert (refused, events["ros2.command_refused"], events["ros2.command_sent"]) == (100, 100, 900)
        assert here.bridge.gate(CMD).counts["rogue"] == 0


async def test_a_link_that_is_cut_is_down_within_a_second_and_the_robot_gets_zero_first() -> None:
    async with linked(deadman_seconds=30.0) as here:
        await here.move(0.3)
        await here.server.stop()
        cut = time.monotonic()
        await until(lambda: not here.bridge.up)
        assert time.monotonic() - cut < 1.0
        with pytest.raises(Unavailable, match="the link is down"):
            await here.move(0.4)
        here.server.messages.clear()
        await here.server.start()
        await until(lambda: here.bridge.up)
        await here.move(0.2)
        await until(lambda: len(here.speeds()) == 2)
        assert here.speeds() == [0.0, 0.2]
        kinds = [event.type for event in here.stream.events if event.type.startswith("ros2.link")]
        assert kinds == ["ros2.link_up", "ros2.link_down", "ros2.link_up"]


async def test_the_deadman_and_containment_each_give_one_zero_command() -> None:
    async with linked(deadman_seconds=0.1) as here:
        await here.move(0.3)
        await until(lambda: here.reasons() == ["link_up", "deadman"])
        here.rules.inside = {"rover": None}
        await until(lambda: here.reasons() == ["link_up", "deadman", "contained"])
        for _ in range(3):
            with pytest.raises(Unavailable, match="rover is contained"):
                await here.move(0.1)
        here.rules.inside = {}
        await here.move(0.2)
        await until(lambda: len(here.speeds()) >= 5)
        assert here.speeds()[:5] == [0.0, 0.3, 0.0, 0.0, 0.2]


async def test_another_publisher_on_a_command_topic_is_a_threat_and_bad_numbers_pass_nowhere() -> None:
    async with linked() as here:
        await here.server.publish(CMD, {"linear": {"x": 0.4}})
        await until(lambda: here.bridge.gate(CMD).counts["rogue"] == 1)
        for wrong in ({"linear": {"x": float("nan")}}, {"linear": {"x": 1e400}}, {"speed": 3}):
            with pytest.raises(InvalidInput):
                await here.bridge.gate(CMD).publish("driver-1", wrong)
        await until(lambda: _threats(here.bridge) == ["ros2_rogue_publisher"])
        with pytest.raises(BrainError, match="no command topic"):
            here.bridge.gate("/odom")


def _threats(bridge: Bridge) -> list[str]:
    import sqlalchemy as sa

    from brain.kit.outbox.reports import reports

    database: sa.Engine = bridge._database
    if not sa.inspect(database).has_table(reports.name):
        return []
    with database.connect() as db:
        return [row.report["type"] for row in db.execute(sa.select(reports))]


@pytest.mark.parametrize("name", ["nav2_turtlebot.mcap", "tf_example.bag", "tf_example.db3"])
def test_a_bag_is_decoded_whole(name: str) -> None:
    found = bag_info(data_file("evo", name), decode=True)
    assert (found.messages, found.decoded) == (BAGS[name], BAGS[name])


@pytest.mark.long
@pytest.mark.parametrize("name", ["ROS_example.bag", "2026-04-06-16-53-32.bag"])
def test_a_large_bag_is_decoded_whole(name: str) -> None:
    found = bag_info(data_file("evo", name), decode=True)
    assert (found.messages, found.decoded) == (BAGS[name], BAGS[name])


def test_the_topics_of_the_recorded_run_have_their_rates() -> None:
    topics = {topic.topic: topic for topic in bag_info(data_file("evo", "nav2_turtlebot.mcap")).topics}
    assert {name: topic.count for name, topic in topics.items()} == {
        "/amcl_pose": 135,
        "/odom": 2639,
        "/tf": 5422,
        "/tf_static": 1,
    }
    assert round(topics["/odom"].hz, 1) == 27.1
    assert not any(topic.silent for topic in topics.values())


def test_a_topic_that_is_ten_times_later_than_its_pace_is_silent() -> None:
    counter = RateCounter("/odom", "nav_msgs/msg/Odometry")
    for number in range(20):
        counter.add(number / 10, 8)
    assert not counter.rate(2.5).silent
    assert counter.rate(3.0).silent


def test_what_is_no_bag_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run.mcap").write_bytes(b"no bag")
    for name in ("run.mcap", "nothing.bag"):
        with pytest.raises(InvalidInput, match=name):
            bag_info(tmp_path / name)


async def test_the_recorded_run_played_over_rosbridge_arrives_whole() -> None:
    server = RosbridgeServer()
    await server.start()
    run = data_file("evo", "nav2_turtlebot.mcap")
    try:
        played = await play_bag(run, server.url, 0.0, 0)
        await until(lambda: len(server.messages) == played.sent)
        counts = Counter(topic for topic, _ in server.messages)
        assert (played.sent, played.left_out) == (8_197, 0)
        assert counts == Counter({topic.topic: topic.count for topic in bag_info(run).topics})
    finally:
        await server.stop()


@pytest.mark.parametrize("name", ["tf_example.db3", pytest.param("nav2_turtlebot.mcap", marks=pytest.mark.long)])
async def test_a_bag_played_over_zenoh_is_received_and_decoded_whole(name: str) -> None:
    run = data_file("evo", name)
    async with zenoh_router() as (endpoint, counts):
        played = await play_bag(run, f"zenoh+{endpoint}", 0.0, 0)
        await until(lambda: counts.total() == played.sent)
        assert (played.sent, played.left_out) == (BAGS[name], 0)
        assert counts == Counter({topic.topic: topic.count for topic in bag_info(run).topics})


async def test_a_link_by_zenoh_sends_a_zero_command_first_and_is_down_when_its_router_is() -> None:
    async with zenoh_router() as (endpoint, counts):
        settings = LinkSettings.model_validate(
            {"driver": "zenoh", "endpoint": endpoint, "commands": {CMD: {"robot": "rover"}}}
        )
        stream = RecordingStream()
        bridge = Bridge("hall", settings, Rules(), stream, memory())
        running = asyncio.create_task(bridge.link.run())
        await until(lambda: bridge.up)
        await bridge.gate(CMD).publish("driver-1", {"linear": {"x": 0.2}})
        await until(lambda: counts[CMD] == 2)
        await until(lambda: bridge.totals[CMD].count >= 1)  # heard again, and known as its own
        assert bridge.gate(CMD).counts["rogue"] == 0
    await until(lambda: not bridge.up)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    kinds = [event.type for event in stream.events if event.type.startswith("ros2.link")]
    assert kinds == ["ros2.link_up", "ros2.link_down"]


def test_the_command_line_prints_the_topics_of_a_bag() -> None:
    file = data_file("evo", "tf_example.bag")
    command = [sys.executable, "-m", "brain", "ros2", "bag", "info", str(file), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert {topic["topic"]: topic["count"] for topic in json.loads(done.stdout)} == {"/tf": 517, "/tf_static": 1}
