"""Cameras as they are set up: their pictures' source, detector, zones and lines."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from brain.connectors.urls import url_parts
from brain.errors import InvalidInput
from brain.vision.settings import VisionSettings

Point = tuple[float, float]
POSTED, NO_DETECTOR = "posted", "none"
BUILT_IN = ("faces", "people")
"""Detectors that come with OpenCV."""


class Zone(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the picture."""

    zone: Annotated[str, Meta(description="Its name.")]
    polygon: Annotated[list[Point], Meta(description="Its corners in fractions of the picture.")]
    robot: Annotated[str | None, Meta(description="The robot that stands still while a person is in it.")] = None
    dwell: Annotated[float | None, Meta(description="Seconds in it that are announced; null: never.")] = None


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A line in the picture that is crossed."""

    line: Annotated[str, Meta(description="Its name.")]
    start: Point
    end: Point


class Camera(msgspec.Struct, frozen=True, kw_only=True):
    """A camera as it is set up."""

    camera: Annotated[str, Meta(description="Its name.")]
    source: Annotated[str, Meta(description="rtsp://HOST/PATH, a file, or posted: what is posted is looked at.")]
    detector: Annotated[
        str, Meta(description="faces, people, a model of the settings, or none: detections are posted.")
    ]
    zones: list[Zone] = []
    lines: list[Line] = []

    def __post_init__(self) -> None:
        for kind, names in (("zone", [one.zone for one in self.zones]), ("line", [one.line for one in self.lines])):
            if len(set(names)) < len(names):
                raise InvalidInput(f"camera {self.camera}: two {kind}s have the same name")

    @property
    def robots(self) -> list[str]:
        """The robots whose zones it watches."""
        return sorted({zone.robot for zone in self.zones if zone.robot is not None})


def check_camera(camera: Camera, settings: VisionSettings) -> None:
    """Raises InvalidInput for a source or a detector that may not be used here."""
    known = (*BUILT_IN, *settings.models, NO_DETECTOR)
    if camera.detector not in known:
        raise InvalidInput(f"detector: {camera.detector[:100]!r} is not known; take one of {', '.join(known)}")
    if camera.detector == NO_DETECTOR and camera.source != POSTED:
        raise InvalidInput("detector: none goes with the source posted alone: nobody would look at the pictures")
    if camera.source != POSTED and not is_stream(camera.source):
        file_of(camera, settings)


def is_stream(source: str) -> bool:
    """Whether it is an address of RTSP. Raises InvalidInput for one that is no address, or has a password in it."""
    parts = url_parts(source, "source")
    if parts.scheme not in ("rtsp", "rtsps"):
        return False
    if "@" in parts.netloc or not parts.netloc:
        raise InvalidInput("source: write rtsp://HOST/PATH without a password; that goes into [vision.credentials]")
    return True


def file_of(camera: Camera, settings: VisionSettings) -> Path:
    """The video file that the camera plays. Raises InvalidInput for one outside of the folder of the settings."""
    if settings.folder is None:
        raise InvalidInput("source: files are not played, as [vision] folder is not set; take rtsp://... or posted")
    folder = Path(settings.folder).resolve()
    path = (folder / camera.source).resolve()
    if not path.is_relative_to(folder):
        raise InvalidInput(f"source: {camera.source[:200]} is not below [vision] folder")
    return path
