"""The settings of the bridge to ROS: the table `[ros2_bridge]` of brain.toml."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

_Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,63}$")]
_TWIST = "geometry_msgs/msg/Twist"


class CommandSettings(BaseModel):
    """A topic whose messages move a robot."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True)

    robot: str = Field(min_length=1, max_length=64, description="The robot that the topic moves")
    type: str = Field(default=_TWIST, max_length=200, description="The type of its messages")
    bounds: dict[str, Annotated[float, Field(ge=0)]] = Field(
        default={"linear": 0.5, "angular": 1.0},
        description="Most that a number may be, either way, by the start of its path in the message; others must be 0",
    )
    most_hz: float = Field(default=50.0, gt=0, le=1000, description="Most commands a second; more are refused")
    deadman_seconds: float = Field(default=0.5, gt=0, le=60, description="Without a command so long it gets a zero one")
    speed: tuple[Annotated[str, Field(min_length=1, max_length=200)], ...] = Field(
        default=(), description="Paths of its speed in m/s, for interlocks; none: `linear` of Twist and TwistStamped"
    )
    stop: dict[str, Any] = Field(default_factory=dict, description="The message that stops it; none: all numbers are 0")


class TopicSettings(BaseModel):
    """A topic that is watched."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True)

    type: str = Field(min_length=1, max_length=200, description="The type of its messages")
    silent_seconds: float | None = Field(
        default=10.0, gt=0, le=86_400, description="Silent for so long, it is announced; none: never"
    )


class CallSettings(BaseModel):
    """What services and actions have in common."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True)

    robot: str = Field(min_length=1, max_length=64, description="The robot that it is asked of")
    type: str = Field(min_length=1, max_length=200, description="Its type, as std_srvs/srv/SetBool")
    bounds: dict[str, Annotated[float, Field(ge=0)]] = Field(
        default_factory=dict,
        description="Most that a number may be, either way, by the start of its path (true is 1); others must be 0",
    )
    most_hz: float = Field(default=1.0, gt=0, le=1000, description="Most of them a second; more are refused")
    moves: bool = Field(
        default=True, description="Whether it may move the robot: then it is refused while an interlock limits that"
    )
    definition: str | None = Field(
        default=None,
        min_length=1,
        max_length=20_000,
        description="The text of its .srv or .action file; Zenoh needs it",
    )


class ServiceSettings(CallSettings):
    """A service that agents may call."""

    timeout_seconds: float = Field(default=5.0, gt=0, le=60, description="Seconds that it has to answer")


class ActionSettings(CallSettings):
    """An action that agents may send goals to."""

    timeout_seconds: float = Field(
        default=600.0, gt=0, le=86_400, description="Seconds that a goal may take; then it is cancelled"
    )


class LinkSettings(BaseModel):
    """A way to robots."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True)

    driver: Literal["rosbridge", "zenoh"] = Field(description="rosbridge (JSON over WebSocket), or zenoh (rmw_zenoh)")
    endpoint: str = Field(
        min_length=1, max_length=500, description="As ws://robot:9090, or for Zenoh tcp/robot:7447", repr=False
    )
    domain_id: int = Field(default=0, ge=0, le=232, description="ROS_DOMAIN_ID, which Zenoh's keys begin with")
    topics: dict[str, TopicSettings] = Field(default_factory=dict, description="The topics that are watched, by name")
    commands: dict[str, CommandSettings] = Field(default_factory=dict, description="Command topics, by name")
    services: dict[str, ServiceSettings] = Field(default_factory=dict, description="Services for agents, by name")
    actions: dict[str, ActionSettings] = Field(default_factory=dict, description="Actions for agents, by name")
    record: bool = Field(default=False, description="Record all that comes as bags below `folder`")

    @model_validator(mode="after")
    def _check_definitions(self) -> LinkSettings:
        for name, one in (*self.services.items(), *self.actions.items()):
            if self.driver == "zenoh" and one.definition is None:
                raise ValueError(f"{name}: Zenoh needs its definition, the text of the .srv or .action file")
        return self


class FoxgloveSettings(BaseModel):
    """A server for viewers."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True)

    host: str = Field(default="127.0.0.1", min_length=1, max_length=255, description="Where it listens")
    port: int = Field(default=8766, ge=1, le=65_535, description="Where it listens")


class Ros2Settings(BaseModel):
    """The links."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True)

    links: dict[_Name, LinkSettings] = Field(default_factory=dict, description="The links, by name")
    foxglove: FoxgloveSettings | None = Field(
        default=None, description="A Foxglove server, which shows viewers what links hear; none: there is none"
    )
    folder: str | None = Field(default=None, description="Where links with `record` are recorded; none: nowhere")
    record_minutes: float = Field(default=60.0, ge=0.1, le=10_080, description="Minutes after which a new bag begins")
    window: float = Field(default=60.0, ge=1, le=3600, description="Seconds that one summary of a topic is for")

    @model_validator(mode="after")
    def _check_folder(self) -> Ros2Settings:
        if self.folder is None and (names := [name for name, link in self.links.items() if link.record]):
            raise ValueError(f"links.{names[0]}.record: set [ros2_bridge] folder, where its bags lie")
        return self
