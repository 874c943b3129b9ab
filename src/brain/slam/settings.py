"""The settings of slam: the table `[slam]` of brain.toml."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

_Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,63}$")]
_Metres = Annotated[float, Field(ge=-1e6, le=1e6)]


class ZoneSettings(BaseModel):
    """A part of a map."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["keepout", "speed"] = Field(description="keepout: no robot may be there; speed: it must be slow")
    polygon: tuple[tuple[_Metres, _Metres], ...] = Field(
        min_length=3, max_length=1000, description="Its corners, in metres of the map"
    )
    most: float = Field(default=0.3, gt=0, le=100, description="Most m/s in a zone of kind speed")
    map: str | None = Field(default=None, max_length=100, description="The map that it is on; none: every map")


class SlamSettings(BaseModel):
    """When a robot counts as lost, and what it may do then; the zones."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True)

    jump: float = Field(default=1.0, gt=0, le=1000, description="A step of more metres between two poses is a jump")
    variance: float = Field(default=0.5, gt=0, le=1000, description="More variance of x or y, in m², is lost")
    silence: float = Field(default=10.0, gt=0, le=3600, description="Seconds without a pose after which it is lost")
    good_poses: int = Field(default=3, ge=1, le=1000, description="Good poses in a row that end it")
    crawl: float = Field(
        default=0.1, ge=0, le=100, description="Most m/s of a robot that is lost or in a keep-out zone"
    )
    zones: dict[_Name, ZoneSettings] = Field(default_factory=dict, description="The zones, by name")
