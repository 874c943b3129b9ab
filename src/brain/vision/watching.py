"""One camera's pictures, one after the other: tracks, zones, lines, health, and the counts of each window of time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from brain.vision.boxes import Detection
from brain.vision.cameras import Camera
from brain.vision.scene import Scene, Step
from brain.vision.settings import VisionSettings
from brain.vision.tracker import Track, Tracker

if TYPE_CHECKING:
    from brain.vision.health import CameraHealth, Fault, Picture

WARM_UP = 3
"""Pictures after which it is known who is there: until then the camera is not up."""


@dataclass
class Window:
    """What was seen in one window of time, which begins at `start`, in Unix seconds."""

    start: float
    frames: int = 0
    detections: Counter[str] = field(default_factory=Counter)
    most: Counter[str] = field(default_factory=Counter)
    numbers: set[tuple[str, int]] = field(default_factory=set)

    def add(self, detections: Sequence[Detection], tracks: Sequence[Track]) -> None:
        """One more picture."""
        self.frames += 1
        here = Counter(one.label for one in detections)
        self.detections.update(here)
        self.most |= here
        self.numbers.update((track.label, track.number) for track in tracks)

    def payload(self, camera: str, seconds: float) -> dict[str, Any]:
        """For `vision.summary`."""
        return {
            "camera_id": camera,
            "window_start": self.start,
            "window_seconds": seconds,
            "frames": self.frames,
            "detections": _most_common(self.detections),
            "tracks": _most_common(Counter(label for label, _ in self.numbers)),
            "most": _most_common(self.most),
        }


@dataclass
class Seen:
    """What one picture brought. `at` is in Unix seconds."""

    at: float
    step: Step | None
    """None while the camera warms up."""
    starts: bool
    """Whether it is the first after that."""
    fault: Fault | None
    """What is wrong with the pictures from now on."""
    over: Fault | None
    """What no longer is."""
    summary: dict[str, Any] | None
    tracks: list[Track]

    @property
    def tells(self) -> bool:
        """Whether there is anything to announce."""
        step = self.step
        changes = step is not None and (step.entered or step.left or step.dwelled or step.crossed)
        return bool(changes or self.starts or self.fault or self.over or self.summary)


class CameraWatch:
    """What is known of one camera while it is up."""

    def __init__(self, camera: Camera, settings: VisionSettings) -> None:
        self.camera = camera
        self.last_at: float = 0.0
        """The time of the last picture, in Unix seconds."""
        self.tracks: list[Track] = []
        self._settings = settings
        self._tracker = Tracker()
        self._scene = Scene(camera, settings.leave)
        self._health: CameraHealth | None = None
        self._pictures = 0
        self._window: Window | None = None

    def see(self, at: float, detections: Sequence[Detection], picture: Picture | None = None) -> Seen:
        """One more picture, later than the last, with what a detector found in it; the picture itself if it is here."""
        self._pictures += 1
        self.last_at = at
        self.tracks = self._tracker.update(detections, at)
        fault = over = None
        if picture is not None:
            fault, over = self._look(picture, at)
        return Seen(
            at=at,
            step=self._scene.step(self.tracks, at) if self._pictures >= WARM_UP else None,
            starts=self._pictures == WARM_UP,
            fault=fault,
            over=over,
            summary=self._count(at, detections),
            tracks=self.tracks,
        )

    def finish(self) -> dict[str, Any] | None:
        """The summary of the window that is not over yet, when the camera goes down."""
        window, self._window = self._window, None
        return None if window is None else window.payload(self.camera.camera, self._settings.window)

    def _look(self, picture: Picture, at: float) -> tuple[Fault | None, Fault | None]:
        if self._health is None:
            from brain.vision.health import CameraHealth

            self._health = CameraHealth(self._settings)
        return self._health.look(picture, at)

    def _count(self, at: float, detections: Sequence[Detection]) -> dict[str, Any] | None:
        seconds = self._settings.window
        start = at // seconds * seconds
        over = self.finish() if self._window is not None and self._window.start != start else None
        if self._window is None:
            self._window = Window(start)
        self._window.add(detections, self.tracks)
        return over


def _most_common(counts: Counter[str]) -> dict[str, int]:
    """The twenty largest: an event stays small, whatever a model finds."""
    return dict(counts.most_common(20))
