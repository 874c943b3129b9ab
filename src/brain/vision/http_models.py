"""What the routes of vision take; the command line takes cameras in the same form."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from brain import limits
from brain.fields import Moment
from brain.typed import ready
from brain.vision.boxes import Box, Detection
from brain.vision.cameras import Camera, Line, Zone
from brain.vision.settings import NAME

MOST_DETECTIONS = 200
_Name = Annotated[str, Field(max_length=64, pattern=NAME)]
_Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
_Point = Annotated[list[_Share], Field(min_length=2, max_length=2)]


class NewZone(BaseModel):
    """A part of the picture."""

    zone: _Name = Field(description="Its name.")
    polygon: list[_Point] = Field(min_length=3, max_length=100, description="Its corners in fractions of the picture.")
    robot: _Name | None = Field(default=None, description="The robot that stands still while a person is in it.")
    dwell: float | None = Field(default=None, gt=0, le=86_400, description="Seconds in it that are announced.")


class NewLine(BaseModel):
    """A line in the picture."""

    line: _Name = Field(description="Its name.")
    start: _Point
    end: _Point


class NewCamera(BaseModel):
    """How a camera is set up."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "source": "posted",
                    "detector": "none",
                    "by": "ann",
                    "zones": [{"zone": "cell-1", "polygon": [[0, 0.5], [1, 0.5], [1, 1], [0, 1]], "robot": "rover"}],
                }
            ]
        }
    )

    source: str = Field(
        min_length=1,
        max_length=1000,
        description="rtsp://HOST/PATH, a file below [vision] folder, or posted: what is posted is looked at.",
    )
    detector: str = Field(
        default="people", max_length=64, description="faces, people, a model of the settings, or none."
    )
    by: str = Field(min_length=1, max_length=limits.ID, description="Who sets it up.")
    zones: list[NewZone] = Field(default=[], max_length=50, description="The parts of its picture that are watched.")
    lines: list[NewLine] = Field(default=[], max_length=50, description="The lines that are counted.")

    def camera(self, name: str) -> Camera:
        """The camera itself."""
        zones = [msgspec.convert(zone.model_dump(), ready(Zone)) for zone in self.zones]
        lines = [msgspec.convert(line.model_dump(), ready(Line)) for line in self.lines]
        return Camera(camera=name, source=self.source, detector=self.detector, zones=zones, lines=lines)


class NewDetection(BaseModel):
    """Something that an edge device found."""

    label: str = Field(min_length=1, max_length=60, description="What it is, such as person.")
    confidence: _Share = Field(default=1.0, description="0 to 1.")
    box: list[_Share] = Field(
        min_length=4, max_length=4, description="Left, top, width, height in fractions of the picture."
    )

    def detection(self) -> Detection:
        """The detection itself."""
        return Detection(label=self.label, confidence=self.confidence, box=Box(*self.box))


class NewDetections(BaseModel):
    """What is in one picture."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        json_schema_extra={"examples": [{"detections": [{"label": "person", "box": [0.4, 0.2, 0.1, 0.5]}]}]}
    )

    at: Moment | None = Field(default=None, description="When it was made, in Unix seconds; none: now.")
    detections: list[NewDetection] = Field(max_length=MOST_DETECTIONS, description="Empty when there is nothing.")


class Approval(BaseModel):
    """Who approves a model, and which file of it."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        json_schema_extra={"examples": [{"by": "ann", "sha256": "9f" * 32}]}
    )

    by: str = Field(min_length=1, max_length=limits.ID, description="Who approves it.")
    sha256: str = Field(max_length=64, pattern=r"^[0-9a-f]{64}$", description="Of the file that was looked at.")
