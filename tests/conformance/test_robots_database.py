"""Cameras, models, evidence, poses and maps are stored alike in SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from brain.errors import Conflict, NotFound
from brain.slam.interlock import SlamInterlock
from brain.slam.localization import Pose
from brain.slam.map_forms import MapForm
from brain.slam.service import SlamService
from brain.vision import detectors
from brain.vision.boxes import Box, Detection
from brain.vision.cameras import Camera, Zone
from brain.vision.interlock import VisionInterlock
from brain.vision.service import VisionService
from brain.vision.settings import ModelSettings, VisionSettings
from support.clock import Clock
from support.onnx_file import bright_box
from support.robots import fleet

NOW = 1_800_000_000.0
ALL = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)]
CELL = Camera(
    camera="hall", source="posted", detector="none", zones=[Zone(zone="cell", polygon=ALL, robot="rover", dwell=0.2)]
)
FORM = MapForm(
    resolution=0.05, origin=(-1.0, 2.5, 0.1), occupied_thresh=0.65, free_thresh=0.2, negate=False, mode="trinary"
)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/consumers.db"
    url: str = request.getfixturevalue("postgres").url
    return url


async def test_cameras_models_and_evidence(database: str, tmp_path: Path) -> None:
    clock = Clock(NOW)
    file = tmp_path / "bright.onnx"
    file.write_bytes(bright_box([8, 8, 24, 32]))
    settings = VisionSettings(models={"lamp": ModelSettings(file=str(file), labels=("lamp",), output="boxes", size=32)})
    async with fleet(tmp_path, database=database, clock=clock, more={"vision": settings}) as here:
        service = VisionService(here.context, clock)
        interlock = VisionInterlock(here.context, clock)
        shipping = asyncio.create_task(service.tasks[0]())
        assert await interlock.limit("rover") is None
        await service.put(CELL, "ann")
        for _ in range(6):
            clock.advance(0.1)
            await service.post_detections(
                "hall", [Detection(label="person", confidence=0.9, box=Box(0.4, 0.4, 0.2, 0.4))]
            )
        (state,) = await service.cameras()
        assert (state.up, state.present, state.seen_at) == (True, {"cell": 1}, pytest.approx(NOW + 0.6))
        limit = await interlock.limit("rover")
        assert limit is not None
        assert limit.reason == "a person is in zone cell of robot rover, as camera hall sees"
        await service.put(CELL, "ann")  # again: nobody is in its zones
        assert (await service.cameras())[0].present == {"cell": 0}
        await service.remove("hall", "ann")
        with pytest.raises(NotFound):
            await service.remove("hall", "ann")
        with pytest.raises(Conflict, match="nobody approved"):
            await service.detect("lamp", bytes(detectors.cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1]))
        first = await service.approve("lamp", None, "ann")
        second = await service.approve("lamp", None, "ben")
        assert (first.approved_by, second.approved_by) == ("ann", "ann")
        kinds = Counter(event.type.removeprefix("vision.") for event in await here.events("vision.*"))
        assert {name: kinds[name] for name in ("camera_up", "object_entered", "person_in_zone", "dwelled")} == {
            "camera_up": 1,
            "object_entered": 1,
            "person_in_zone": 1,
            "dwelled": 1,
        }
        shipping.cancel()
        await asyncio.gather(shipping, return_exceptions=True)
        await service.close()


async def test_poses_tracks_and_maps(database: str, tmp_path: Path) -> None:
    clock = Clock(NOW)
    async with fleet(tmp_path, database=database, clock=clock) as here:
        service = SlamService(here.context, clock)
        interlock = SlamInterlock(here.context)
        assert await interlock.limit("rover") is None
        for number, x in enumerate((0.0, 0.5, 1.2, 5.0)):
            await service.note("rover", "hall", Pose(x=x, y=0.0, theta=0.0, at=NOW + number), "f" * 64)
        limit = await interlock.limit("rover")
        assert limit is not None
        assert limit.most == 0.1
        assert [point.x for point in await service.track("rover", 10)] == [5.0, 1.2, 0.0]
        (place,) = await service.places()
        assert (place.pose.x, place.loss is None) == (5.0, False)
        made = [
            await service.maps.publish("hall", FORM, b"P5 2 2 255 " + bytes(cells), "ann")
            for cells in ([0, 0, 254, 254], [0, 254, 254, 254], [0, 0, 254, 254])
        ]
        assert [one.version for one in made] == [1, 2, 1]
        with pytest.raises(Conflict, match="nobody approved"):
            await service.maps.load("hall", None, "rover", "ann")
        await service.maps.approve("hall", 1, made[0].sha256, "ben")
        assert (await service.maps.load("hall", None, "rover", "ann")).version == 1
        assert (await service.maps.difference("hall", 1, 2)).changed_cells == 1
        assert [one.version for one in await service.maps.maps()] == [2]
        assert await service.maps.image("hall", 2) == b"P5 2 2 255 " + bytes([0, 254, 254, 254])
        await service.maps.close()
