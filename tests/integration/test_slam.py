"""Trajectories against the truth, robots that are lost and found, maps, zones, and the interlock of movements."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from math import atan2
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec import structs

from brain.errors import Conflict, InvalidInput
from brain.hardware.models import Movement
from brain.ros2_bridge.bags import read_bag
from brain.slam.evaluation import evaluate
from brain.slam.localization import Localization, Pose, at_time, with_pose
from brain.slam.maps import difference, read_map
from brain.slam.service import SlamService
from brain.slam.settings import SlamSettings, ZoneSettings
from brain.slam.trajectories import read_trajectory
from brain.slam.zones import inside, zones_at
from support.clock import Clock
from support.recorded import data_file
from support.robots import fleet
from support.waiting import until

FIGURES = {
    # estimate, its format, ground truth, its format: pairs, ATE, its maximum, RPE; as evo 1.38.1 says
    ("KITTI_00_ORB.txt", "kitti", "KITTI_00_gt.txt", "kitti"): (4541, 1.303450, 3.587949, 0.028120),
    ("KITTI_00_SPTAM.txt", "kitti", "KITTI_00_gt.txt", "kitti"): (4541, 3.738488, 7.768977, 0.034919),
    ("fr2_desk_ORB.txt", "tum", "fr2_desk_groundtruth.txt", "tum"): (2174, 0.008119, 0.0243, 0.003490),
    ("freiburg1_xyz-rgbdslam.txt", "tum", "freiburg1_xyz-groundtruth.txt", "tum"): (785, 0.013470, 0.03476, 0.005764),
    ("V102.txt", "tum", "V102_groundtruth.csv", "euroc"): (798, 0.091727, 0.255817, None),
}


@pytest.mark.parametrize("files", FIGURES)
def test_ate_and_rpe_are_those_of_evo(files: tuple[str, str, str, str]) -> None:
    estimate, format, reference, reference_format = files
    truth = read_trajectory(data_file("evo", reference), reference_format)
    found = evaluate(read_trajectory(data_file("evo", estimate), format), truth)
    pairs, ate, ate_max, rpe = FIGURES[files]
    assert (found.pairs, found.ate_rmse, found.ate_max) == (
        pairs,
        pytest.approx(ate, abs=1e-6),
        pytest.approx(ate_max, abs=1e-6),
    )
    assert rpe is None or found.rpe_rmse == pytest.approx(rpe, abs=1e-6)


def test_what_is_no_trajectory_is_refused(tmp_path: Path) -> None:
    for text in ("", "1 2 3\n", "0 nan 0 0 0 0 0 1\n", "a b\n", "0 1 2 3 0 0 0 0\n"):
        (tmp_path / "run.txt").write_text(text)
        with pytest.raises(InvalidInput, match=r"run\.txt"):
            read_trajectory(tmp_path / "run.txt", "tum")


def poses() -> list[Pose]:
    """The 135 poses that AMCL gave during the recorded run."""
    found = []
    for message in read_bag(data_file("evo", "nav2_turtlebot.mcap")):
        if message.topic == "/amcl_pose":
            pose, variance = message.decoded.pose.pose, message.decoded.pose.covariance
            theta = 2 * atan2(pose.orientation.z, pose.orientation.w)
            x, y = pose.position.x, pose.position.y
            found.append(Pose(x=x, y=y, theta=theta, var_x=float(variance[0]), var_y=float(variance[7]), at=message.at))
    return found


def losses(run: list[Pose]) -> list[tuple[str, int]]:
    """Why the robot was lost, and at which pose."""
    known, found = Localization(), []
    for number, pose in enumerate(run):
        known_then = at_time(known, pose.at, SlamSettings())
        known, was = with_pose(known_then, pose, SlamSettings()), known.loss
        if known.loss is not None and was is None:
            found.append((known.loss.reason, number))
    return found


def test_the_recorded_run_is_never_lost_and_with_a_jump_once() -> None:
    run = poses()
    start = run[0].at
    place = next(number for number, pose in enumerate(run) if pose.at - start >= 50.0)
    fields = [{name: getattr(pose, name) for name in pose.__struct_fields__} for pose in run]
    moved = [
        Pose(**{**one, "x": one["x"] + 3.0}) if number >= place else run[number] for number, one in enumerate(fields)
    ]
    assert (len(run), losses(run), losses(moved)) == (135, [], [("jump", place)])


def test_silence_and_variance_lose_a_robot_and_three_good_poses_find_it() -> None:
    limits = SlamSettings()
    known = with_pose(Localization(), Pose(x=0, y=0, theta=0, at=0.0), limits)
    assert at_time(known, 10.0, limits).loss is None
    silent = at_time(known, 10.1, limits)
    assert silent.loss is not None
    assert silent.loss.reason == "silence"
    for number in range(3):
        assert silent.loss is not None
        silent = with_pose(silent, Pose(x=0, y=0, theta=0, at=10.2 + number / 10 - 1), limits)
    assert silent.loss is None
    vague = with_pose(silent, Pose(x=0, y=0, theta=0, var_y=0.51, at=11.0), limits)
    assert vague.loss is not None
    assert vague.loss.reason == "covariance"


def test_the_zones_that_a_track_enters_are_those_of_the_polygon() -> None:
    run = poses()
    middle = run[len(run) // 2]
    corners = ((-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0))
    box = tuple((middle.x + x, middle.y + y) for x, y in corners)
    zones = {"box": ZoneSettings(kind="keepout", polygon=box)}
    here = [bool(zones_at(pose.x, pose.y, None, zones)) for pose in run]
    counted = [abs(pose.x - middle.x) < 1 and abs(pose.y - middle.y) < 1 for pose in run]
    assert here == counted
    assert any(here)
    assert not all(here)
    assert inside(0.5, 0.2, ((0, 0), (1, 0), (0.5, 1)))


def is_around(x: float, y: float, corners: tuple[tuple[float, float], ...]) -> bool:
    """By how often the corners go around the point: other code than that of the product."""
    turns = np.arctan2([b - y for _, b in corners], [a - x for a, _ in corners])
    steps = np.diff(np.append(turns, turns[0]))
    return round(float(((steps + np.pi) % (2 * np.pi) - np.pi).sum() / (2 * np.pi))) != 0


async def test_the_entries_into_a_zone_on_the_track_are_those_of_the_polygon(tmp_path: Path) -> None:
    run = poses()
    xs, ys = [pose.x for pose in run], [pose.y for pose in run]
    middle, wide, high = (max(xs) + min(xs)) / 2, (max(xs) - min(xs)) / 4, max(ys) - min(ys)
    # A zone with a bay, over the middle of the track: the robot goes in and out of it.
    zone = (
        (middle - wide, min(ys) - 1),
        (middle + wide, min(ys) - 1),
        (middle + wide / 2, min(ys) + high / 2),
        (middle + wide, max(ys) + 1),
        (middle - wide, max(ys) + 1),
    )
    settings = SlamSettings.model_validate({"zones": {"bay": {"kind": "keepout", "polygon": zone}}})
    clock = Clock(run[0].at)
    async with fleet(tmp_path, clock=clock, run=False, more={"slam": settings}) as here:
        slam = SlamService(here.context, clock)
        for pose in run:
            clock.now = pose.at
            await slam.note("rover", None, pose)
        tasks = [asyncio.create_task(task()) for task in slam.tasks]
        counted = [False, *(is_around(pose.x, pose.y, zone) for pose in run)]
        entries = [pose for pose, was, now in zip(run, counted, counted[1:], strict=False) if now and not was]
        events = await here.events("slam.zone_entered")
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert [event.payload["pose"]["x"] for event in events] == [pose.x for pose in entries]
    assert len(entries) >= 1


def write_map(folder: Path, name: str, cells: bytes, width: int) -> Path:
    (folder / f"{name}.pgm").write_bytes(b"P5\n# made\n%d %d\n255\n" % (width, len(cells) // width) + cells)
    said = f"image: {name}.pgm\nresolution: 0.05\norigin: [0.0, 0.0, 0]\nnegate: 0\n"
    path = folder / f"{name}.yaml"
    path.write_text(said + "occupied_thresh: 0.65\nfree_thresh: 0.25\n")
    return path


def test_the_difference_of_two_maps_is_counted_in_cells_and_area(tmp_path: Path) -> None:
    old = read_map(write_map(tmp_path, "old", bytes([254] * 6 + [205] * 3 + [0] * 3), 4))
    new = read_map(write_map(tmp_path, "new", bytes([254] * 5 + [0] * 4 + [254] * 3), 4))
    found = difference(old, new)
    assert (found.changed_cells, found.became_occupied, found.became_free) == (7, 4, 3)
    assert found.area_m2 == pytest.approx(7 * 0.0025)
    assert old.sha256 != new.sha256
    assert difference(new, new).changed_cells == 0
    with pytest.raises(InvalidInput, match="size, resolution or origin"):
        difference(old, replace(new, form=structs.replace(new.form, resolution=0.1)))
    (tmp_path / "new.pgm").write_bytes(b"P5 400 300 255\n0")
    with pytest.raises(InvalidInput, match="cut off"):
        read_map(tmp_path / "new.yaml")


async def test_a_lost_robot_may_only_crawl_until_it_is_found(tmp_path: Path) -> None:
    async with fleet(tmp_path) as here:
        slam = SlamService(here.context, lambda: 10.0)
        working = [asyncio.create_task(task()) for task in slam.tasks]

        async def said(x: float, at: float, **more: Any) -> None:
            await slam.note("rover", "hall", Pose(x=x, y=0.0, theta=0.0, at=at, **more))

        token = await here.drive()
        await said(0.0, 1.0)
        await said(3.0, 2.0)
        with pytest.raises(Conflict, match=r"does not know where it is \(jump\): it may go at 0.1 m/s at most"):
            await here.service.command("rover", "driver-1", token, Movement(linear_x=0.3))
        crawling = await here.service.command("rover", "driver-1", token, Movement(linear_x=0.1))
        assert crawling.state == "ACKED"
        for number in range(3):
            await said(3.0, 3.0 + number)
        assert (await here.service.command("rover", "driver-1", token, Movement(linear_x=0.3))).state == "ACKED"
        assert [place.loss for place in await slam.places()] == [None]
        assert [point.x for point in await slam.track("rover", 10)] == [3.0, 0.0]
        await until(lambda: here.service.parts.refusals.counts["interlock"] == 1)
        refused = await here.events("hardware.command_refused")
        assert [event.payload["code"] for event in refused] == ["interlock"]
        kinds = [event.type for event in await here.events("slam.*")]
        assert kinds == [
            f"slam.{name}" for name in ("pose_updated", "pose_updated", "localization_lost", "localization_recovered")
        ]
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)


async def test_a_robot_whose_clock_is_wrong_is_followed_all_the_same(tmp_path: Path) -> None:
    clock = Clock(1_800_000_000.0)
    async with fleet(tmp_path, clock=clock) as here:
        slam = SlamService(here.context, clock)

        async def said(x: float, at: float) -> str:
            place = await slam.note("rover", "hall", Pose(x=x, y=0.0, theta=0.0, at=at))
            slam._look()
            (now,) = await slam.places()
            assert now.pose == place.pose
            return "" if now.loss is None else now.loss.reason

        behind = [await said(number / 10, clock() - 3600 + number) for number in range(3)]
        assert behind == ["", "", ""]  # an hour behind, and it says so each second
        assert await said(0.4, clock() + 240) == "silence"  # a step of its clock
        for number in range(3):
            clock.advance(1)
            reason = await said(0.5 + number / 10, clock())
        assert reason == ""  # its clock is right again: what it says now is not left out
        assert await said(0.2, clock() - 5) == ""  # late on its way
        assert [place.pose.x for place in await slam.places()] == [0.7]
        clock.advance(10.1)
        slam._look()
        assert [place.loss is None for place in await slam.places()] == [False]
