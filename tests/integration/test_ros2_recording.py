"""What comes over a link is recorded: a killed recorder loses a second at most, and bags that end anywhere are read."""

from __future__ import annotations

import asyncio
import hashlib
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import zenoh
from mcap.reader import make_reader
from typer.testing import CliRunner

from brain.errors import InvalidInput
from brain.ros2_bridge.bags import bag_info, read_bag
from brain.ros2_bridge.bridge import Bridge
from brain.ros2_bridge.commands import app
from brain.ros2_bridge.links import Received
from brain.ros2_bridge.messages import to_cdr
from brain.ros2_bridge.playing import play_bag, record_link
from brain.ros2_bridge.recording import BagRecorder, LinkRecorder
from brain.ros2_bridge.service import Ros2Service
from brain.ros2_bridge.settings import LinkSettings, Ros2Settings
from brain.ros2_bridge.zenoh_link import key_of
from brain.testing import RecordingStream
from support.alerting import memory
from support.clock import Clock
from support.ports import free_port
from support.recorded import data_file
from support.ros2 import CMD, client, zenoh_router
from support.rosbridge import RosbridgeServer
from support.waiting import until

STRING, SCAN = "std_msgs/msg/String", "sensor_msgs/msg/LaserScan"


async def test_a_killed_recorder_loses_a_second_at_most(tmp_path: Path) -> None:
    server, bag = RosbridgeServer(), tmp_path / "run.mcap"
    await server.start()
    command = [
        "-m",
        "brain",
        "ros2",
        "bag",
        "record",
        str(bag),
        "--from",
        server.url,
        "--topic",
        f"/robot/said={STRING}",
    ]
    recorder = await asyncio.create_subprocess_exec(sys.executable, *command)
    try:
        await until(lambda: bool(server.subscribed.get("/robot/said")))
        sent = 0
        ends = time.monotonic() + 1.6
        while time.monotonic() < ends:
            await server.publish("/robot/said", {"data": f"{sent} {time.time()}"})
            sent += 1
            await asyncio.sleep(0.01)
        killed = time.time()
        recorder.send_signal(signal.SIGKILL)
    finally:
        await recorder.wait()
    messages = [message.decoded.data.split() for message in read_bag(bag)]
    assert [int(number) for number, _ in messages] == list(range(len(messages)))
    assert killed - float(messages[-1][1]) < 1.0
    info = bag_info(bag, decode=True)
    assert (info.cut_off, info.messages, info.decoded) == (True, len(messages), len(messages))
    assert "it ends in the middle" in CliRunner().invoke(app, ["bag", "info", str(bag)]).output
    played = await play_bag(bag, server.url, 0.0, 0)
    await until(lambda: len(server.on("/robot/said")) == len(messages))
    assert played.sent == len(messages)
    await server.stop()


async def test_what_is_played_over_zenoh_is_recorded_byte_for_byte(tmp_path: Path) -> None:
    bag, made = data_file("evo", "tf_example.db3"), tmp_path / "copy.mcap"
    topics = {"/tf": "tf2_msgs/msg/TFMessage", "/tf_static": "tf2_msgs/msg/TFMessage", "/probe": STRING}
    async with zenoh_router() as (endpoint, _):
        recording = asyncio.create_task(record_link(made, f"zenoh+{endpoint}", topics, None, 0))
        peer = await asyncio.to_thread(zenoh.open, client(endpoint))
        await until(made.exists)
        key, probe = key_of(0, "/probe", STRING), to_cdr(STRING, {"data": "is anybody there?"})

        def heard() -> bool:
            peer.put(key, probe)
            return bag_info(made).messages > 0

        await until(heard)
        await play_bag(bag, f"zenoh+{endpoint}", 0.0, 0)
        await until(lambda: sum(topic.count for topic in bag_info(made).topics if topic.topic != "/probe") == 518)
        recording.cancel()
        await asyncio.gather(recording, return_exceptions=True)
        await asyncio.to_thread(peer.close)
    first, second = (
        Counter((one.topic, one.type, one.raw) for one in read_bag(file) if one.topic != "/probe")
        for file in (bag, made)
    )
    assert first == second
    assert not bag_info(made).cut_off
    with made.open("rb") as file:
        summary = make_reader(file).get_summary()
    assert summary is not None
    assert {schema.encoding for schema in summary.schemas.values()} == {"ros2msg"}


def test_json_of_a_rosbridge_becomes_messages_and_what_is_no_message_is_left_out(tmp_path: Path) -> None:
    recorder = BagRecorder(tmp_path / "run.mcap")
    scan = {"ranges": [1.5, None, 2.5], "intensities": []}
    image = {"height": 1, "width": 3, "encoding": "mono8", "step": 3, "data": "AQID"}
    for topic, type, message in (
        ("/scan", SCAN, scan),
        ("/image", "sensor_msgs/msg/Image", image),
        ("/image", "sensor_msgs/msg/Image", {**image, "data": "!"}),
        ("/own", "my_robot/msg/Own", {}),
    ):
        recorder.add(Received(topic, 1, message), type, 1_800_000_000.0)
    assert (recorder.close().messages, recorder.left_out) == (2, 2)
    found = {message.topic: message.decoded for message in read_bag(tmp_path / "run.mcap")}
    assert [str(value) for value in found["/scan"].ranges] == ["1.5", "nan", "2.5"]
    assert found["/image"].data.tolist() == [1, 2, 3]
    with pytest.raises(InvalidInput, match="cannot be written"):
        BagRecorder(tmp_path / "run.mcap")


async def test_a_link_is_recorded_in_bags_that_are_closed_in_time_and_announced(tmp_path: Path) -> None:
    clock, stream = Clock(1_800_000_000.0), RecordingStream()
    settings = Ros2Settings.model_validate(
        {
            "folder": str(tmp_path / "bags"),
            "record_minutes": 10,
            "links": {
                "hall": {
                    "driver": "rosbridge",
                    "endpoint": f"ws://127.0.0.1:{free_port()}",
                    "record": True,
                    "topics": {"/said": {"type": STRING}},
                    "commands": {CMD: {"robot": "rover"}},
                }
            },
        }
    )
    bridge = Bridge("hall", settings.links["hall"], None, stream, memory(), clock)
    bridge.record_below(settings)
    running = asyncio.create_task(bridge.watch_moving())

    def closed() -> list[Any]:
        return stream.get_events_by_type("ros2.recording_closed")

    def say(text: str) -> None:
        bridge.received(Received("/said", 10, {"data": text}))

    say("one")
    clock.advance(5)
    say("two")
    clock.advance(596)
    await until(lambda: len(closed()) == 1)
    say("three")
    await bridge.close()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    first, second = (event.payload for event in closed())
    assert (first["messages"], first["seconds"], second["messages"]) == (2, 5.0, 1)
    for payload in (first, second):
        content = (tmp_path / "bags" / payload["file"]).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (payload["bytes"], payload["sha256"])
    service = Ros2Service({"hall": bridge}, settings, clock)
    assert {bag.file for bag in service.recordings()} == {first["file"], second["file"]}
    assert service.topic("hall", "said").count == 3
    assert service.topic("hall", "/robot/cmd_vel").count == 0
    with pytest.raises(ValueError, match="folder"):
        Ros2Settings.model_validate({"links": {"hall": {"driver": "zenoh", "endpoint": "x", "record": True}}})


async def test_a_disk_that_cannot_be_written_keeps_nobody_from_driving(tmp_path: Path) -> None:
    (tmp_path / "bags").write_text("a file where the folder should be")
    links = {"hall": {"driver": "rosbridge", "endpoint": "ws://127.0.0.1:1", "record": True, "topics": {}}}
    settings = Ros2Settings.model_validate({"folder": str(tmp_path / "bags"), "links": links})
    bridge = Bridge("hall", settings.links["hall"], None, RecordingStream(), memory())
    bridge.totals["/said"] = bridge.totals.get("/said") or rate("/said")
    bridge.record_below(settings)
    for _ in range(3):
        bridge.received(Received("/said", 10, {"data": "one"}))
    assert bridge.totals["/said"].count == 3


def test_a_clock_that_is_set_back_stops_no_recording(tmp_path: Path) -> None:
    clock, blocked = Clock(), tmp_path / "bags"
    blocked.write_text("a file where the folder should be")
    recorder = LinkRecorder(blocked, "hall", 60.0, clock)
    recorder.add(Received("/said", 10, {"data": "one"}), STRING)
    assert recorder.end() is None
    blocked.unlink()
    clock.advance(-86_400.0)
    recorder.add(Received("/said", 10, {"data": "two"}), STRING)
    assert recorder.look() is None
    clock.advance(-86_400.0)
    bag = recorder.look()  # longer than it should be, as far as the clock says
    assert bag is not None
    assert bag.close().messages == 1


def rate(topic: str) -> Any:
    from brain.ros2_bridge.rates import RateCounter

    return RateCounter(topic, STRING)


# bags that are cut off, or damaged


@pytest.mark.parametrize(
    ("share", "least", "most"), [(0.0, 0, 0), (0.001, 0, 0), (0.3, 2500, 4500), (0.75, 8197, 8197), (0.999, 8197, 8197)]
)
def test_a_bag_in_mcap_that_is_cut_off_is_read_as_far_as_it_goes(
    share: float, least: int, most: int, tmp_path: Path
) -> None:
    """Its one chunk goes to three quarters of it; indexes follow."""
    whole = data_file("evo", "nav2_turtlebot.mcap").read_bytes()
    (tmp_path / "run.mcap").write_bytes(whole[: 8 + int(len(whole) * share)])
    found = bag_info(tmp_path / "run.mcap", decode=share < 0.5)
    assert found.cut_off
    assert found.decoded in (None, found.messages)
    assert least <= found.messages <= most


@pytest.mark.parametrize("name", ["tf_example.bag", "tf_example.db3", "nav2_turtlebot.mcap"])
def test_a_bag_that_is_damaged_is_refused_by_its_name(name: str, tmp_path: Path) -> None:
    whole = data_file("evo", name).read_bytes()
    for place in (5, len(whole) // 2, len(whole) - 30):
        damaged = bytearray(whole)
        damaged[place : place + 25] = bytes(25)
        for content in (bytes(damaged), whole[:place]):
            (tmp_path / name).write_bytes(content)
            with suppress(InvalidInput):  # what can be read is; nothing else may be raised
                bag_info(tmp_path / name)
    (tmp_path / name).write_bytes(whole[:5])
    with pytest.raises(InvalidInput, match=name):
        bag_info(tmp_path / name)


# summaries


@pytest.mark.parametrize("driver", ["zenoh", "rosbridge"])
@pytest.mark.parametrize("name", ["tf_example.db3", pytest.param("nav2_turtlebot.mcap", marks=pytest.mark.long)])
async def test_summaries_of_a_bag_that_is_played_over_a_link_equal_a_recount(name: str, driver: str) -> None:
    bag = data_file("evo", name)
    recount = {topic.topic: topic for topic in bag_info(bag).topics}
    topics = {topic: {"type": one.type} for topic, one in recount.items()} | {"/probe": {"type": STRING}}
    async with peer(driver) as (endpoint, play, probe):
        settings = LinkSettings.model_validate({"driver": driver, "endpoint": endpoint, "topics": topics})
        stream = RecordingStream()
        bridge = Bridge("hall", settings, None, stream, memory())
        tasks = [asyncio.create_task(bridge.link.run()), asyncio.create_task(bridge.watch(1.0))]

        async def probed() -> bool:
            await probe()
            return bridge.totals["/probe"].count > 0

        await until(probed)
        played = await play_bag(bag, play, 0.0, 0)

        def counted(field: str) -> Counter[str]:
            found: Counter[str] = Counter()
            for event in stream.get_events_by_type("ros2.topic_summary"):
                found[event.payload["topic"]] += event.payload[field]
            del found["/probe"]
            return found

        expected = Counter({topic: one.count for topic, one in recount.items()})
        await until(lambda: counted("count") == expected)
        assert (played.sent, bridge.link.undecoded) == (sum(expected.values()), 0)
        if driver == "zenoh":  # the same bytes as in the bag
            assert counted("bytes") == Counter({topic: one.bytes for topic, one in recount.items()})
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def peer(driver: str) -> AsyncIterator[tuple[str, str, Callable[[], Awaitable[None]]]]:
    """A peer's address for a link, that for `play_bag`, and what sends a message on `/probe`."""
    if driver == "rosbridge":
        server = RosbridgeServer()
        await server.start()
        yield server.url, server.url, lambda: server.publish("/probe", {"data": "?"})
        await server.stop()
        return
    async with zenoh_router() as (endpoint, _):
        session = await asyncio.to_thread(zenoh.open, client(endpoint))
        key, message = key_of(0, "/probe", STRING), to_cdr(STRING, {"data": "?"})
        yield endpoint, f"zenoh+{endpoint}", lambda: asyncio.to_thread(session.put, key, message)
        await asyncio.to_thread(session.close)
