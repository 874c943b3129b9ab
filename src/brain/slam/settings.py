"""The settings of slam: the table `[slam]` of brain.toml."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

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


class RobotSettings(BaseModel):
    """A robot that says where it is on a topic of a link."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True)

    link: _Name = Field(description="The link, as `[ros2_bridge.links.NAME]` has it")
    topic: str = Field(min_length=1, max_length=200, pattern="^/", description="The topic, as /amcl_pose")
    type: Literal[
        "geometry_msgs/msg/PoseWithCovarianceStamped",
        "geometry_msgs/msg/PoseStamped",
        "geometry_msgs/msg/TransformStamped",
        "nav_msgs/msg/Odometry",
        "tf2_msgs/msg/TFMessage",
    ] = Field(default="geometry_msgs/msg/PoseWithCovarianceStamped", description="The type of its messages")
    frame: str = Field(default="map", min_length=1, max_length=200, description="With /tf: the frame of the map")
    child: str = Field(default="base_link", min_length=1, max_length=200, description="With /tf: the robot's frame")
    map: str | None = Field(default=None, max_length=100, description="The map that its poses are on; none: not said")
    most_hz: float = Field(default=10.0, ge=0.1, le=1000, description="Most poses a second; the newest is taken")

    @property
    def says(self) -> str:
        """What tells it from others on its link: its topic, and on `/tf` its frame."""
        return f"{self.child} of {self.topic}" if self.type.endswith("TFMessage") else self.topic


class SlamSettings(BaseModel):
    """When a robot counts as lost, and what it may do then; the zones; where robots say where they are."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True)

    jump: float = Field(default=1.0, gt=0, le=1000, description="A step of more metres between two poses is a jump")
    variance: float = Field(default=0.5, gt=0, le=1000, description="More variance of x or y, in m², is lost")
    silence: float = Field(default=10.0, gt=0, le=3600, description="Seconds without a pose after which it is lost")
    good_poses: int = Field(default=3, ge=1, le=1000, description="Good poses in a row that end it")
    crawl: float = Field(
        default=0.1, ge=0, le=100, description="Most m/s of a robot that is lost or in a keep-out zone"
    )
    zones: dict[_Name, ZoneSettings] = Field(default_factory=dict, description="The zones, by name")
    robots: dict[Annotated[str, Field(min_length=1, max_length=64)], RobotSettings] = Field(
        default_factory=dict, description="Robots that say where they are on a topic of a link, by name"
    )

    @model_validator(mode="after")
    def _check_topics(self) -> SlamSettings:
        robots: dict[tuple[str, str], str] = {}
        for name, one in self.robots.items():
            other = robots.setdefault((one.link, one.says), name)
            if other != name:
                raise ValueError(
                    f"robots.{name}.topic: {one.says} of link {one.link} is that of robot {other}; name its own"
                )
        return self
