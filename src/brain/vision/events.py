"""The events of vision. None of them has pixels in it."""

from __future__ import annotations

from typing import Annotated, Any, TypedDict

from msgspec import Meta

from brain.charter import EventType, Frequency, Priority

_Camera = Annotated[str, Meta(description="The camera.")]
_Zone = Annotated[str, Meta(description="The zone's name at this camera.")]
_Label = Annotated[str, Meta(description="What it is, such as person.")]
_Track = Annotated[int, Meta(description="The number of its track at this camera, since the camera came up.")]
_Box = Annotated[list[float], Meta(description="Left, top, width, height in fractions of the picture.")]
_Robot = Annotated[str | None, Meta(description="The robot that stands still meanwhile; null when there is none.")]


class CameraState(TypedDict):
    """A camera came up, or went down."""

    camera_id: _Camera
    detector: Annotated[str, Meta(description="faces, people, none, or the name of a model.")]
    reason: Annotated[str, Meta(description="Why it is down; empty when it is up.")]


class CameraDegraded(TypedDict):
    """A camera does not show what is there, or does again."""

    camera_id: _Camera
    kind: Annotated[str, Meta(description="frozen, dark, blurred or moved.")]
    score: Annotated[float, Meta(description="Seconds, brightness of 0 to 255, share of detail, or correlation.")]


class Summary(TypedDict):
    """What a camera saw in a window of time."""

    camera_id: _Camera
    window_start: Annotated[float, Meta(description="In Unix seconds.")]
    window_seconds: Annotated[float, Meta(description="How long it is.")]
    frames: Annotated[int, Meta(description="Pictures that were looked at.")]
    detections: Annotated[dict[str, int], Meta(description="By what it is: all boxes in these pictures.")]
    tracks: Annotated[dict[str, int], Meta(description="By what it is: how many different ones.")]
    most: Annotated[dict[str, int], Meta(description="By what it is: the most in one picture.")]


class ObjectEntered(TypedDict):
    """Something went into a zone."""

    camera_id: _Camera
    zone_id: _Zone
    label: _Label
    track_id: _Track
    confidence: Annotated[float, Meta(description="0 to 1.")]
    box: _Box


class ObjectLeft(TypedDict):
    """Something left a zone, or was in it for long."""

    camera_id: _Camera
    zone_id: _Zone
    label: _Label
    track_id: _Track
    seconds: Annotated[float, Meta(description="How long it was there.")]


class LineCrossed(TypedDict):
    """Something crossed a line."""

    camera_id: _Camera
    line_id: Annotated[str, Meta(description="The line's name at this camera.")]
    label: _Label
    track_id: _Track
    direction: Annotated[str, Meta(description="right or left, seen from the line's start to its end.")]


class PersonInZone(TypedDict):
    """A person is in a zone of a robot."""

    camera_id: _Camera
    zone_id: _Zone
    track_id: _Track
    robot_id: _Robot


class ModelPayload(TypedDict):
    """A model that cameras may use, or use."""

    model_id: Annotated[str, Meta(description="Its name in the settings.")]
    sha256: Annotated[str, Meta(description="Of its file.")]
    labels: Annotated[list[str], Meta(description="What it finds; the first twenty.")]
    by: Annotated[str, Meta(description="Who approved it.")]


class EvidenceSaved(TypedDict):
    """A blurred picture is kept for a while."""

    camera_id: _Camera
    ref: Annotated[str, Meta(description="Its id at /api/vision/evidence.")]
    sha256: Annotated[str, Meta(description="Of the JPEG.")]
    bytes: int
    blurred: Annotated[bool, Meta(description="Always true.")]
    expires_at: Annotated[float, Meta(description="When it is deleted, in Unix seconds.")]


def _declare(name: str, payload: Any, priority: Priority, purpose: str, example: Any) -> EventType[Any]:
    return EventType(
        name=f"vision.{name}",
        module="vision",
        payload=payload,
        priority=priority,
        frequency=Frequency.HIGH if name == "summary" else Frequency.LOW,
        purpose=purpose,
        example=example,
    )


_THING = {"camera_id": "hall", "zone_id": "cell-1", "label": "person", "track_id": 7}
_MODEL = {"model_id": "yard", "sha256": "9f" * 32, "labels": ["person", "forklift"], "by": "ann"}

CAMERA_UP = _declare(
    "camera_up",
    CameraState,
    Priority.MEDIUM,
    "A camera's pictures or detections come.",
    {"camera_id": "hall", "detector": "people", "reason": ""},
)
CAMERA_DOWN = _declare(
    "camera_down",
    CameraState,
    Priority.HIGH,
    "Nothing comes from a camera; robots whose zones it watches stand still.",
    {"camera_id": "hall", "detector": "people", "reason": "rtsp://cam-1/main: the stream ended"},
)
CAMERA_DEGRADED = _declare(
    "camera_degraded",
    CameraDegraded,
    Priority.HIGH,
    "A camera does not show what is there; robots whose zones it watches stand still.",
    {"camera_id": "hall", "kind": "frozen", "score": 1.6},
)
CAMERA_RECOVERED = _declare(
    "camera_recovered",
    CameraDegraded,
    Priority.MEDIUM,
    "A camera shows what is there again; the kind and score are those of before.",
    {"camera_id": "hall", "kind": "frozen", "score": 1.6},
)
SUMMARY = _declare(
    "summary",
    Summary,
    Priority.MEDIUM,
    "What a camera saw in a window of time; one a window.",
    {
        "camera_id": "hall",
        "window_start": 1703001230.0,
        "window_seconds": 10.0,
        "frames": 100,
        "detections": {"person": 63},
        "tracks": {"person": 2},
        "most": {"person": 2},
    },
)
OBJECT_ENTERED = _declare(
    "object_entered",
    ObjectEntered,
    Priority.MEDIUM,
    "Something went into a zone of a camera's picture.",
    {**_THING, "confidence": 0.91, "box": [0.41, 0.2, 0.11, 0.5]},
)
OBJECT_LEFT = _declare(
    "object_left",
    ObjectLeft,
    Priority.MEDIUM,
    "Something left a zone of a camera's picture.",
    {**_THING, "seconds": 12.5},
)
DWELLED = _declare(
    "dwelled",
    ObjectLeft,
    Priority.MEDIUM,
    "Something is in a zone for as long as the zone's `dwell` says.",
    {**_THING, "seconds": 60.0},
)
LINE_CROSSED = _declare(
    "line_crossed",
    LineCrossed,
    Priority.MEDIUM,
    "Something crossed a line in a camera's picture.",
    {"camera_id": "hall", "line_id": "gate", "label": "person", "track_id": 7, "direction": "right"},
)
PERSON_IN_ZONE = _declare(
    "person_in_zone",
    PersonInZone,
    Priority.CRITICAL,
    "A person is in the zone of a robot, which stands still until the zone is empty.",
    {"camera_id": "hall", "zone_id": "cell-1", "track_id": 7, "robot_id": "rover"},
)
MODEL_APPROVED = _declare(
    "model_approved", ModelPayload, Priority.HIGH, "Cameras may use a model, by the hash of its file.", _MODEL
)
MODEL_LOADED = _declare("model_loaded", ModelPayload, Priority.HIGH, "A camera begins to use a model.", _MODEL)
EVIDENCE_SAVED = _declare(
    "evidence_saved",
    EvidenceSaved,
    Priority.MEDIUM,
    "A blurred picture is kept for a while.",
    {
        "camera_id": "hall",
        "ref": "ev_3f9a0c51b2d4e6f8",
        "sha256": "3f" * 32,
        "bytes": 9_214,
        "blurred": True,
        "expires_at": 1703087634.0,
    },
)

EVENTS: tuple[EventType[Any], ...] = (
    CAMERA_UP,
    CAMERA_DOWN,
    CAMERA_DEGRADED,
    CAMERA_RECOVERED,
    SUMMARY,
    OBJECT_ENTERED,
    OBJECT_LEFT,
    DWELLED,
    LINE_CROSSED,
    PERSON_IN_ZONE,
    MODEL_APPROVED,
    MODEL_LOADED,
    EVIDENCE_SAVED,
)
