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


class MapSubject(TypedDict):
    """A version of a map."""

    map_id: Annotated[str, Meta(description="The map.")]
    version: Annotated[int, Meta(description="Its number, from 1.")]
    sha256: Annotated[str, Meta(description="Of its image and what is said of its meaning.")]
    by: Annotated[str, Meta(description="Who did it.")]


class MapPublished(MapSubject):
    """A version of a map is here."""

    resolution: Annotated[float, Meta(description="Metres of a cell's side.")]
    width: Annotated[int, Meta(description="Cells.")]
    height: Annotated[int, Meta(description="Cells.")]
    origin: Annotated[list[float], Meta(description="x, y in metres and yaw of its lower left corner.")]
    known_ratio: Annotated[float, Meta(description="The share of cells that are not unknown.")]


class MapChanged(TypedDict):
    """A version of a map differs from the one before."""

    map_id: Annotated[str, Meta(description="The map.")]
    from_version: Annotated[int, Meta(description="The version before.")]
    to_version: Annotated[int, Meta(description="The version now.")]
    changed_cells: Annotated[int | None, Meta(description="Cells that changed; null: size or place changed, too.")]
    area_m2: Annotated[float | None, Meta(description="Their area; null as before.")]


class MapLoaded(MapSubject):
    """A robot was given a map."""

    robot_id: _Robot


_MAP: MapSubject = {
    "map_id": "hall",
    "version": 2,
    "sha256": "5b0e8a31f3f9d6a1c2b4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a",
    "by": "ann",
}
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

MAP_PUBLISHED = _declare(
    "map_published",
    MapPublished,
    Priority.MEDIUM,
    "A version of a map was published; no robot may load it before it is approved.",
    {**_MAP, "resolution": 0.05, "width": 604, "height": 307, "origin": [0.0, 0.0, 0.0], "known_ratio": 0.62},
)
MAP_CHANGED = _declare(
    "map_changed",
    MapChanged,
    Priority.HIGH,
    "A version of a map differs from the one before.",
    {"map_id": "hall", "from_version": 1, "to_version": 2, "changed_cells": 25266, "area_m2": 63.165},
)
MAP_APPROVED = _declare("map_approved", MapSubject, Priority.HIGH, "Robots may load a version of a map.", _MAP)
MAP_LOADED = _declare(
    "map_loaded",
    MapLoaded,
    Priority.MEDIUM,
    "A robot was given a map that was approved.",
    {**_MAP, "robot_id": "rover"},
)

EVENTS: tuple[EventType[Any], ...] = (
    POSE_UPDATED,
    LOCALIZATION_LOST,
    LOCALIZATION_RECOVERED,
    ZONE_ENTERED,
    MAP_PUBLISHED,
    MAP_CHANGED,
    MAP_APPROVED,
    MAP_LOADED,
)
