"""What a robot is sent, and what becomes of it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from brain.errors import BrainError, Portable, Unavailable

CONSUMER = "hardware"
"""The plug-in's name in the outbox and in the name of its group."""
GROUP = "brain.hardware"
MOVE, LEASE, CLEAR = "hardware.move", "hardware.lease", "hardware.clear_stop"
"""The actions that rules decide on; the resource is the robot's name. Nobody is asked before a stop."""


class Movement(msgspec.Struct, frozen=True, kw_only=True):
    """A movement: m/s forward and to the left, rad/s about the vertical."""

    linear_x: float = 0.0
    linear_y: float = 0.0
    angular_z: float = 0.0

    @property
    def moves(self) -> bool:
        """Whether the robot goes on moving by it."""
        return bool(self.linear_x or self.linear_y or self.angular_z)


class RobotCommand(msgspec.Struct, frozen=True, kw_only=True):
    """A movement for a robot, from an agent that shows its lease. `asked_at` is in Unix seconds."""

    id: str
    robot: str
    agent: str
    token: int
    movement: Movement
    asked_at: float

    @property
    def lease_id(self) -> str:
        """The lease as events name it."""
        return lease_id(self.robot, self.token)


class CommandState(StrEnum):
    """What became of a command."""

    ACKED = "ACKED"
    """The robot took it."""
    REFUSED = "REFUSED"
    """It was not sent."""
    TIMEOUT = "TIMEOUT"
    """It was sent, and nobody knows whether the robot took it: the robot was stopped."""


class RefusalCode(StrEnum):
    """Why a command was not sent."""

    BOUNDS = "bounds"
    NO_LEASE = "no_lease"
    """The agent shows no lease of the robot: reported as a threat."""
    LEASE_ENDED = "lease_ended"
    """It had the lease when it gave the command, which then had to wait."""
    STOPPED = "stopped"
    DENIED = "denied"
    INTERLOCK = "interlock"
    """Faster than an interlock lets the robot go now."""
    EXPIRED = "expired"
    QUEUE_FULL = "queue_full"
    UNAVAILABLE = "unavailable"


class StopReason(StrEnum):
    """Why a robot is stopped."""

    EMERGENCY = "emergency"
    DEADMAN = "deadman"
    INTERLOCK = "interlock"
    LEASE_ENDED = "lease_ended"
    TIMEOUT = "timeout"
    RESTART = "restart"


class Refusal(Portable):
    """A command is not sent."""

    def __init__(
        self, words: str, code: RefusalCode = RefusalCode.UNAVAILABLE, error: BrainError | None = None
    ) -> None:
        super().__init__(words)
        self.code: RefusalCode = code
        self.error: BrainError | None = error

    @property
    def answer(self) -> BrainError:
        """The error that the caller is answered with."""
        return self.error or Unavailable(str(self))


def refusal(code: RefusalCode, error: BrainError) -> Refusal:
    """The refusal that is answered with this error."""
    return Refusal(str(error), code, error)


class CommandResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a command to a robot."""

    id: Annotated[str, Meta(description="The command's id.")]
    robot: Annotated[str, Meta(description="The robot's name.")]
    agent: Annotated[str, Meta(description="The agent that gave it.")]
    state: Annotated[str, Meta(description="ACKED, REFUSED or TIMEOUT.")]
    reason: Annotated[str, Meta(description="Why it was refused or not answered; empty when the robot took it.")]
    seq: Annotated[int | None, Meta(description="Its number among the commands to the robot; null when not sent.")]
    linear_x: float
    linear_y: float
    angular_z: float
    at: Annotated[float, Meta(description="When it was decided, in Unix seconds.")]


def lease_id(robot: str, token: int) -> str:
    """The lease as events name it."""
    return f"{robot}/{token}"
