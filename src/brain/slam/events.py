"""The events of slam."""

from __future__ import annotations

from typing import Annotated, Any, TypedDict

from msgspec import Meta

from brain.charter import EventType, Frequency, Priority

_Robot = Annotated[str, Meta(description="The robot.")]
_Map = Annotated[str | None, Meta(description="The map that its pose is on; null when it did not say.")]


class PosePayload(TypedDict):
    """Where a robot says that it is."""

    x: Annotated[float, Meta(description="Metres.")]
    y: Annotated[float, Meta(description="Metres.")]
    theta: Annotated[float, Meta(description="Radians.")]


class PoseUpdated(PosePayload):
    """Where a robot is; one a metre or 10 seconds."""

    robot_id: _Robot
    map_id: _Map
    var_x: Annotated[float, Meta(description="m².")]
    var_y: Annotated[float, Meta(description="m².")]
    var_theta: Annotated[float, Meta(description="rad².")]


class LocalizationLost(TypedDict):
    """A robot does not know where it is."""

    robot_id: _Robot
    map_id: _Map
    reason: Annotated[str, Meta(description="covariance, jump or silence.")]
    value: Annotated[float, Meta(description="What was seen: m², metres or seconds.")]
    limit: Annotated[float, Meta(description="What it may be at most.")]
    last_pose: PosePayload


class LocalizationRecovered(TypedDict):
    """A robot knows where it is again."""

    robot_id: _Robot
    map_id: _Map
    reason: Annotated[str, Meta(description="Why it was lost.")]
    seconds: Annotated[float, Meta(description="For how long.")]


class ZoneEntered(TypedDict):
    """A robot went into a zone."""

    robot_id: _Robot
    zone_id: Annotated[str, Meta(description="The zone's name in the settings.")]
    kind: Annotated[str, Meta(description="keepout or speed.")]
    pose: PosePayload


_POSE: PosePayload = {"x": 1.2, "y": -0.4, "theta": 0.3}


def _declare(name: str, payload: Any, priority: Priority, purpose: str, example: Any) -> EventType[Any]:
    return EventType(
        name=f"slam.{name}",
        module="slam",
        payload=payload,
        priority=priority,
        frequency=Frequency.HIGH if name == "pose_updated" else Frequency.LOW,
        purpose=purpose,
        example=example,
    )


POSE_UPDATED = _declare(
    "pose_updated",
    PoseUpdated,
    Priority.MEDIUM,
    "Where a robot is; one a metre or 10 seconds.",
    {**_POSE, "robot_id": "rover", "map_id": "hall", "var_x": 0.03, "var_y": 0.02, "var_theta": 0.01},
)
LOCALIZATION_LOST = _declare(
    "localization_lost",
    LocalizationLost,
    Priority.CRITICAL,
    "A robot does not know where it is; it may only crawl until it does.",
    {
        "robot_id": "rover",
        "map_id": "hall",
        "reason": "jump",
        "value": 3.1,
        "limit": 1.0,
        "last_pose": _POSE,
    },
)
LOCALIZATION_RECOVERED = _declare(
    "localization_recovered",
    LocalizationRecovered,
    Priority.HIGH,
    "A robot knows where it is again.",
    {"robot_id": "rover", "map_id": "hall", "reason": "jump", "seconds": 4.2},
)
ZONE_ENTERED = _declare(
    "zone_entered",
    ZoneEntered,
    Priority.HIGH,
    "A robot went into a keep-out or speed zone.",
    {"robot_id": "rover", "zone_id": "ramp", "kind": "keepout", "pose": _POSE},
)

EVENTS: tuple[EventType[Any], ...] = (POSE_UPDATED, LOCALIZATION_LOST, LOCALIZATION_RECOVERED, ZONE_ENTERED)
