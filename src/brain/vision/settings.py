"""The settings of vision: the table `[vision]` of brain.toml."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from brain.secret import Secret

NAME = r"^[a-z][a-z0-9_-]{0,63}$"
"""What cameras, models, zones and lines may be called."""
_Name = Annotated[str, Field(pattern=NAME)]
_Label = Annotated[str, Field(min_length=1, max_length=60)]


class ModelSettings(BaseModel):
    """A detector as an ONNX file of your own."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True)

    file: str = Field(min_length=1, max_length=1000, description="The ONNX file")
    labels: tuple[_Label, ...] = Field(
        min_length=1, max_length=1000, description="What its classes are, in their order"
    )
    output: Literal["yolo", "boxes"] = Field(
        default="yolo", description="yolo: (1, 4 + classes, n), as YOLOv8 gives; boxes: (1, n, 6) after suppression"
    )
    size: int = Field(default=640, ge=32, le=4096, description="Width and height that its pictures have, in pixels")
    confidence: float = Field(default=0.4, ge=0, le=1, description="What is less sure is left out")


class VisionSettings(BaseModel):
    """What is looked at, how often, and what counts."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True)

    folder: str | None = Field(default=None, description="Cameras may play video files of this folder; none: no files")
    rate: float = Field(default=10.0, gt=0, le=120, description="Most pictures a second of a camera that are looked at")
    window: float = Field(default=10.0, ge=1, le=3600, description="Seconds that one summary of a camera is for")
    silence: float = Field(default=5.0, ge=2, le=3600, description="Seconds without a picture: the camera is down")
    hold: float = Field(default=1.5, gt=0, le=600, description="Seconds of frozen or bad pictures: it is degraded")
    dark: float = Field(default=12.0, ge=0, le=255, description="Pictures whose mean brightness is less are dark")
    blur: float = Field(default=0.3, gt=0, lt=1, description="Pictures with less than this share of detail are blurred")
    moved: float = Field(default=0.3, gt=-1, lt=1, description="Pictures that correlate less with before: it was moved")
    leave: float = Field(default=1.0, ge=0, le=600, description="Seconds outside of a zone until something has left it")
    people: tuple[_Label, ...] = Field(default=("person", "face"), description="The labels that are people")
    evidence_hours: float = Field(
        default=24.0, ge=0, le=8784, description="How long blurred pictures are kept; 0: none"
    )
    models: dict[_Name, ModelSettings] = Field(default_factory=dict, description="Detectors of your own, by name")
    credentials: dict[_Name, Secret] = Field(
        default_factory=dict, description="By camera: `user:password` for its RTSP address"
    )
