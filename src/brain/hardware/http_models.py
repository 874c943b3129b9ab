"""What the routes of hardware take and answer."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from brain import limits
from brain.hardware.devices import Device
from brain.hardware.models import CommandResult, Movement
from brain.hardware.readings import HostReading
from brain.hardware.service import Robot, RobotLease, StopReport
from brain.hardware.settings import MOST_SPEED
from brain.kit.views import view_of

AgentId = Annotated[str, Field(min_length=1, max_length=limits.ID, description="The agent.", examples=["driver-1"])]
ByName = Annotated[str, Field(min_length=1, max_length=limits.ID, description="Who does it.", examples=["ann"])]
Reason = Annotated[str, Field(min_length=1, max_length=limits.REASON, description="Why.", examples=["smoke"])]
Token = Annotated[int, Field(ge=1, le=limits.COUNT, description="The token of the agent's lease.", examples=[7])]

Speed = Annotated[float, Field(ge=-MOST_SPEED, le=MOST_SPEED, allow_inf_nan=False)]


def _example(body: dict[str, Any]) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [body]})


DeviceView: type[BaseModel] = view_of(Device, "HardwareDevice")
HostView: type[BaseModel] = view_of(HostReading, "HardwareHost")
RobotView: type[BaseModel] = view_of(Robot, "HardwareRobot")
LeaseView: type[BaseModel] = view_of(RobotLease, "HardwareLease")
CommandView: type[BaseModel] = view_of(CommandResult, "HardwareCommand")
StopView: type[BaseModel] = view_of(StopReport, "HardwareStop")


class NewLease(BaseModel):
    """Who wants to drive."""

    model_config: ClassVar[ConfigDict] = _example({"agent_id": "driver-1"})

    agent_id: AgentId


class HeldLease(BaseModel):
    """A lease as its holder shows it."""

    model_config: ClassVar[ConfigDict] = _example({"agent_id": "driver-1", "lease_token": 7})

    agent_id: AgentId
    lease_token: Token


class NewCommand(BaseModel):
    """A movement, and the lease that permits it. The robot goes on with it until the next one, or its deadman."""

    model_config: ClassVar[ConfigDict] = _example(
        {"agent_id": "driver-1", "lease_token": 7, "linear_x": 0.4, "angular_z": -0.2}
    )

    agent_id: AgentId
    lease_token: Token
    linear_x: Speed = Field(default=0.0, description="m/s forward; the robot's settings may permit less")
    linear_y: Speed = Field(default=0.0, description="m/s to the left")
    angular_z: Speed = Field(default=0.0, description="rad/s to the left")

    def movement(self) -> Movement:
        """The movement alone."""
        return Movement(linear_x=self.linear_x, linear_y=self.linear_y, angular_z=self.angular_z)


class NewStop(BaseModel):
    """Which robots to stop; all of them unless one is named."""

    model_config: ClassVar[ConfigDict] = _example({"robot_id": "rover", "by": "ann", "reason": "smoke"})

    robot_id: str | None = Field(default=None, max_length=limits.ID, description="The robot; none: all of them.")
    by: ByName
    reason: Reason


class RobotState(BaseModel):
    """What a robot says of itself; the names depend on the robot."""

    robot_id: str
    state: dict[str, Any] | None = Field(description="Null: it cannot be asked.")


class Cleared(BaseModel):
    """The robots whose stop ended."""

    robots: list[str]


class HardwareInfo(BaseModel):
    """What this server knows of hardware."""

    version: str
    host: str = Field(description="This host's name")
    drivers: list[str] = Field(description="The kinds of driver that are installed")
    robots: list[str] = Field(description="The robots of the settings")
