"""The events of hardware: limits, forecasts and devices; leases, commands and stops of robots."""

from __future__ import annotations

from typing import Annotated, Any, TypedDict

from msgspec import Meta

from brain.charter import EventType, Frequency, Priority

_DeviceId = Annotated[str, Meta(description="The device: `host:<name>` or `robot:<name>`.")]
_RobotId = Annotated[str, Meta(description="The robot's name in the settings.")]
_Metric = Annotated[str, Meta(description="What was measured, such as `disk_percent:/data`.")]
_CommandId = Annotated[str, Meta(description="The command's id, `cmd_<16 hex digits>`.")]
_LeaseId = Annotated[str, Meta(description="The lease: the robot and the fencing token, as `rover/7`.")]
_By = Annotated[str, Meta(description="Who did it.")]
_Reason = Annotated[str, Meta(description="Why.")]


class MovementPayload(TypedDict):
    """A movement; each of its parts is at most what the robot's settings permit."""

    linear_x: Annotated[float, Meta(description="Forward, in the robot's unit (m/s).")]
    linear_y: Annotated[float, Meta(description="To the left, in the robot's unit (m/s).")]
    angular_z: Annotated[float, Meta(description="To the left about the vertical, in rad/s.")]


class CommandPayload(TypedDict):
    """A command to a robot."""

    robot_id: _RobotId
    command_id: _CommandId
    agent_id: Annotated[str, Meta(description="The agent that gave it.")]
    command_type: Annotated[str, Meta(description="Always `move`.")]
    command: MovementPayload


class CommandSent(CommandPayload):
    """A command was given to the robot's driver."""

    lease_id: _LeaseId
    seq: Annotated[int, Meta(description="Its number among the commands to this robot; it only rises.")]
    rule_id: Annotated[str | None, Meta(description="The rule that let it through; null when none matched.")]
    sent_at: Annotated[float, Meta(description="When, in Unix seconds.")]


class CommandRefused(CommandPayload):
    """A command was not sent."""

    code: Annotated[
        str, Meta(description="bounds, no_lease, lease_ended, stopped, denied, interlock, expired, queue_full.")
    ]
    reason: _Reason
    count: Annotated[int, Meta(ge=1, description="How many of this robot, agent and code this event stands for.")]


class CommandAcked(TypedDict):
    """The robot took the command."""

    robot_id: _RobotId
    command_id: _CommandId
    seq: Annotated[int, Meta(description="The command's number.")]
    seconds: Annotated[float, Meta(description="How long the robot took to answer.")]


class CommandTimeout(TypedDict):
    """Nobody knows whether the robot took the command: it was stopped."""

    robot_id: _RobotId
    command_id: _CommandId
    seq: Annotated[int, Meta(description="The command's number.")]
    reason: _Reason


class EmergencyStop(TypedDict):
    """Robots were stopped, and take no command until the stop is cleared."""

    robot_id: Annotated[str, Meta(description="The robot, or `all`.")]
    by: _By
    reason: _Reason
    dropped: Annotated[int, Meta(ge=0, description="Commands that waited, and were dropped.")]
    not_reached: Annotated[list[str], Meta(description="Robots that did not answer yet; they are tried on and on.")]


class EmergencyCleared(TypedDict):
    """A robot may be driven again."""

    robot_id: _RobotId
    by: _By
    reason: _Reason
    stopped_for: Annotated[float, Meta(description="Seconds since it was stopped.")]


class DeadmanStopped(TypedDict):
    """A moving robot got no further command in time, and was stopped."""

    robot_id: _RobotId
    after_seconds: Annotated[float, Meta(description="The time that the robot's settings allow; 0 after a restart.")]
    reached: Annotated[bool, Meta(description="Whether the robot took the stop at once; else it is tried on.")]


class InterlockStopped(TypedDict):
    """A robot was moving faster than an interlock lets it go, and was stopped."""

    robot_id: _RobotId
    reason: _Reason
    most: Annotated[float, Meta(description="How fast it may go meanwhile, in m/s.")]
    speed: Annotated[float, Meta(description="How fast it was sent to go, in m/s along the ground.")]
    reached: Annotated[bool, Meta(description="Whether the robot took the stop at once; else it is tried on.")]


class LimitChanged(TypedDict):
    """A limit was crossed, or cleared."""

    device_id: _DeviceId
    metric: _Metric
    value: Annotated[float, Meta(description="The value that made the change.")]
    limit: Annotated[float, Meta(description="The limit; when cleared, the level that the value is past.")]
    for_seconds: Annotated[float, Meta(description="How long it was reached before it counted; or lasted in all.")]


class DeviceChanged(TypedDict):
    """A device is known from now on, or no more."""

    device_id: _DeviceId
    kind: Annotated[str, Meta(description="host or robot.")]
    driver: Annotated[str, Meta(description="What speaks to it.")]


class ForecastPayload(TypedDict):
    """When something is used up, if it goes on as it did."""

    device_id: _DeviceId
    metric: _Metric
    exhausted_at: Annotated[float, Meta(description="When it reaches 100 %, in Unix seconds.")]
    hours: Annotated[float, Meta(description="The same in hours from then.")]
    slope: Annotated[float, Meta(description="How fast it rises, in percent an hour.")]
    r2: Annotated[float, Meta(description="How well a straight line fits, 0 to 1.")]


class LeaseChanged(TypedDict):
    """Somebody else, or nobody, drives the robot."""

    robot_id: _RobotId
    holder: Annotated[str | None, Meta(description="The agent that drives it now; null for nobody.")]
    lease_id: _LeaseId
    until: Annotated[float | None, Meta(description="Until when, in Unix seconds; commands prolong it.")]
    reason: Annotated[str, Meta(description="acquired, released, expired, contained or kill_switch.")]


_MOVE: MovementPayload = {"linear_x": 0.4, "linear_y": 0.0, "angular_z": -0.2}
_COMMAND: CommandPayload = {
    "robot_id": "rover",
    "command_id": "cmd_5f2c9b1e40a7d316",
    "agent_id": "driver-1",
    "command_type": "move",
    "command": _MOVE,
}
_LIMIT: LimitChanged = {
    "device_id": "host:node-1",
    "metric": "disk_percent:/",
    "value": 90.4,
    "limit": 90.0,
    "for_seconds": 30.0,
}
_DEVICE: DeviceChanged = {"device_id": "robot:rover", "kind": "robot", "driver": "http"}


def _declare(name: str, payload: Any, priority: Priority, purpose: str, example: Any) -> EventType[Any]:
    frequency = Frequency.HIGH if name in ("command_sent", "command_acked") else Frequency.LOW
    return EventType(
        name=f"hardware.{name}",
        module="hardware",
        payload=payload,
        priority=priority,
        frequency=frequency,
        purpose=purpose,
        example=example,
    )


COMMAND_SENT = _declare(
    "command_sent",
    CommandSent,
    Priority.HIGH,
    "A movement was given to a robot's driver: lease, bounds and rules let it through.",
    {**_COMMAND, "lease_id": "rover/7", "seq": 41, "rule_id": "drivers", "sent_at": 1703001234.5},
)
COMMAND_REFUSED = _declare(
    "command_refused",
    CommandRefused,
    Priority.CRITICAL,
    "A movement was not sent; further ones of the same kind within 10 s are counted in the next such event.",
    {**_COMMAND, "code": "no_lease", "reason": "robot rover: driver-2 has the lease", "count": 1},
)
COMMAND_ACKED = _declare(
    "command_acked",
    CommandAcked,
    Priority.MEDIUM,
    "A robot took a movement.",
    {"robot_id": "rover", "command_id": "cmd_5f2c9b1e40a7d316", "seq": 41, "seconds": 0.012},
)
COMMAND_TIMEOUT = _declare(
    "command_timeout",
    CommandTimeout,
    Priority.HIGH,
    "A robot did not take a movement in time, or refused it, and was sent a stop.",
    {
        "robot_id": "rover",
        "command_id": "cmd_5f2c9b1e40a7d316",
        "seq": 41,
        "reason": "the robot did not answer within 0.5 s",
    },
)
EMERGENCY_STOP = _declare(
    "emergency_stop",
    EmergencyStop,
    Priority.CRITICAL,
    "Somebody stopped one robot or all; they take no command until it is cleared.",
    {"robot_id": "all", "by": "ann", "reason": "a person in the hall", "dropped": 12, "not_reached": []},
)
EMERGENCY_CLEARED = _declare(
    "emergency_cleared",
    EmergencyCleared,
    Priority.HIGH,
    "Somebody who may do so ended the emergency stop of a robot.",
    {"robot_id": "rover", "by": "ann", "reason": "the hall is empty", "stopped_for": 312.0},
)
DEADMAN_STOPPED = _declare(
    "deadman_stopped",
    DeadmanStopped,
    Priority.MEDIUM,
    "A moving robot got no further command in time, and was stopped.",
    {"robot_id": "rover", "after_seconds": 0.5, "reached": True},
)
INTERLOCK_STOPPED = _declare(
    "interlock_stopped",
    InterlockStopped,
    Priority.CRITICAL,
    "A robot was moving faster than an interlock lets it go, such as for a person in its zone, and was stopped.",
    {
        "robot_id": "rover",
        "reason": "a person is in zone cell-1 of robot rover, as camera hall sees",
        "most": 0.0,
        "speed": 0.4,
        "reached": True,
    },
)
LIMIT_CROSSED = _declare(
    "limit_crossed",
    LimitChanged,
    Priority.HIGH,
    "A value of a device reached its limit and held it for the time set.",
    _LIMIT,
)
LIMIT_CLEARED = _declare(
    "limit_cleared",
    LimitChanged,
    Priority.MEDIUM,
    "The value is past the level at which the trouble counts as over.",
    {**_LIMIT, "value": 84.2, "limit": 85.0, "for_seconds": 5400.0},
)
DEVICE_ADDED = _declare("device_added", DeviceChanged, Priority.MEDIUM, "A device is known from now on.", _DEVICE)
DEVICE_REMOVED = _declare("device_removed", DeviceChanged, Priority.MEDIUM, "A device is not known any more.", _DEVICE)
FORECAST = _declare(
    "forecast",
    ForecastPayload,
    Priority.MEDIUM,
    "A disk will be full soon if it fills on as it did; announced once, and again when the time changes much.",
    {
        "device_id": "host:node-1",
        "metric": "disk_percent:/data",
        "exhausted_at": 1703037234.5,
        "hours": 10.0,
        "slope": 1.8,
        "r2": 0.98,
    },
)
LEASE_CHANGED = _declare(
    "lease_changed",
    LeaseChanged,
    Priority.MEDIUM,
    "Somebody else, or nobody, drives a robot from now on.",
    {
        "robot_id": "rover",
        "holder": "driver-1",
        "lease_id": "rover/7",
        "until": 1703001264.5,
        "reason": "acquired",
    },
)

EVENTS: tuple[EventType[Any], ...] = (
    COMMAND_SENT,
    COMMAND_REFUSED,
    COMMAND_ACKED,
    COMMAND_TIMEOUT,
    EMERGENCY_STOP,
    EMERGENCY_CLEARED,
    DEADMAN_STOPPED,
    INTERLOCK_STOPPED,
    LIMIT_CROSSED,
    LIMIT_CLEARED,
    DEVICE_ADDED,
    DEVICE_REMOVED,
    FORECAST,
    LEASE_CHANGED,
)
