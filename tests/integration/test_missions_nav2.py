"""A robot's real run (Nav2, TurtleBot) as an order of VDA 5050, with as few nodes as keep it near the path."""

from __future__ import annotations

import os
import struct
import sys
from importlib.util import module_from_spec, spec_from_file_location
from itertools import pairwise
from math import atan2, hypot
from pathlib import Path

import pytest

from brain.missions.vda5050.messages import Headers
from brain.missions.vda5050.orders import OrderOptions, Pose, make_order, stops_of_path
from brain.missions.vda5050.schemas import Schemas, faults_of

SCRIPT = Path(__file__).parents[2] / "scripts" / "fetch_test_data.py"
FOLDER = os.environ.get("VDA5050_SCHEMAS")
TOLERANCE = 0.2


def recording() -> Path:
    """The file of the run; skips the test where it cannot be had."""
    specification = spec_from_file_location("fetch_test_data", SCRIPT) if SCRIPT.exists() else None
    if specification is None or specification.loader is None:
        pytest.skip("scripts/fetch_test_data.py is not here")
    script = module_from_spec(specification)
    sys.modules[specification.name] = script
    specification.loader.exec_module(script)
    try:
        folder: Path = script.fetched("evo")
    except script.Unreachable as error:
        pytest.skip(str(error))
    return next(folder.rglob("nav2_turtlebot.mcap"))


def driven(file: Path) -> list[Pose]:
    """Where AMCL saw the robot."""
    reader = pytest.importorskip("mcap.reader", reason="mcap is not installed: the extra telemetry brings it")
    with file.open("rb") as opened:
        return [
            pose_of(message.data) for _, _, message in reader.make_reader(opened).iter_messages(topics=["/amcl_pose"])
        ]


def pose_of(data: bytes) -> Pose:
    """A geometry_msgs/PoseWithCovarianceStamped in little-endian CDR (OMG DDS-XTypes 1.3, 7.4)."""
    (length,) = struct.unpack_from("<I", data, 12)  # after 4 bytes of encapsulation and the stamp: the frame's name
    start = 12 + 4 + length
    start += -(start - 4) % 8
    x, y, _, _, _, z, w = struct.unpack_from("<7d", data, start)
    return Pose(x, y, atan2(2 * w * z, 1 - 2 * z * z))


def apart(pose: Pose, start: Pose, end: Pose) -> float:
    """Metres from a place to the line between two others."""
    along = hypot(end.x - start.x, end.y - start.y)
    part = ((pose.x - start.x) * (end.x - start.x) + (pose.y - start.y) * (end.y - start.y)) / along**2 if along else 0
    part = max(0.0, min(1.0, part))
    return hypot(pose.x - start.x - part * (end.x - start.x), pose.y - start.y - part * (end.y - start.y))


def test_the_nav2_run_is_a_valid_order_that_stays_near_it() -> None:
    poses = driven(recording())
    stops = stops_of_path(poses, TOLERANCE)
    order = make_order(Headers("turtlebot", "tb3"), stops, OrderOptions(map_id="map", order_id="nav2", speed=0.5))
    length = sum(edge["length"] for edge in order["edges"])
    print(f"{len(poses)} poses, {len(order['nodes'])} nodes, {len(order['edges'])} edges, {length:.2f} m")
    assert len(poses) == 135
    assert len(order["nodes"]) < len(poses) / 5
    places = [stop.pose for stop in stops]
    assert (places[0], places[-1]) == (poses[0], poses[-1])
    lines = list(pairwise(places))
    assert max(min(apart(pose, *line) for line in lines) for pose in poses) <= TOLERANCE
    assert faults_of("order", order, Schemas(FOLDER) if FOLDER else None) == []
