"""A camera while its pictures come: the detector looks, what changes is written, and what cannot be written waits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from brain.locks import InterruptibleLock
from brain.logs import Log
from brain.vision.boxes import Box, Detection
from brain.vision.cameras import Camera
from brain.vision.settings import VisionSettings
from brain.vision.tracker import Track
from brain.vision.watching import CameraWatch, Seen

if TYPE_CHECKING:
    from brain.vision.detectors import Detector
    from brain.vision.health import Picture

log: Log = Log("brain.vision")

BEAT = 1.0
"""Seconds after which it is written that a camera goes on, when nothing else was."""
MOST_WAITING = 10_000
"""Changes that wait for the database; the oldest go beyond that."""

Write = Callable[[Camera, Sequence[tuple[Seen, bytes | None]]], None]


class LiveCamera:
    """One camera in this process. Its methods block, and may be called from several threads at once."""

    def __init__(
        self,
        camera: Camera,
        settings: VisionSettings,
        detector: Detector | None,
        write: Write,
        clock: Callable[[], float],
    ) -> None:
        self.camera = camera
        self.lost: int = 0
        """Changes that were never written, as the database was away for too long."""
        self._settings = settings
        self._detector = detector
        self._write = write
        self._clock = clock
        self._watch = CameraWatch(camera, settings)
        self._waiting: list[tuple[Seen, bytes | None]] = []
        self._written_at = float("-inf")
        self._lock = InterruptibleLock()

    def look(self, picture: Picture, at: float) -> list[Detection]:
        """Look at a picture; what was found in it. Raises Unavailable when it cannot be written: it waits then."""
        with self._lock:
            found = [] if self._detector is None else self._detector(picture)
            self._note(found, at, picture)
            return found

    def note(self, detections: Sequence[Detection], at: float) -> None:
        """Somebody else looked at a picture. Raises Unavailable when it cannot be written: it waits then."""
        with self._lock:
            self._note(detections, at, None)

    def tracks(self) -> list[Detection]:
        """Where everything is now; the places of what was not seen for a moment are foreseen."""
        with self._lock:
            return [
                Detection(label=track.label, confidence=track.confidence, box=track.box) for track in self._watch.tracks
            ]

    def finish(self) -> dict[str, Any] | None:
        """The summary of the window that is not over yet."""
        with self._lock:
            return self._watch.finish()

    def _note(self, detections: Sequence[Detection], at: float, picture: Picture | None) -> None:
        if at <= self._watch.last_at:
            return
        seen = self._watch.see(at, detections, picture)
        now = self._clock()
        if seen.tells:
            self._waiting.append((seen, self._evidence(seen, detections, picture)))
        elif now - self._written_at >= BEAT or self._waiting:
            self._waiting.append((seen, None))
        else:
            return
        self._drop_oldest()
        self._write(self.camera, self._waiting)
        self._waiting, self._written_at = [], now

    def _drop_oldest(self) -> None:
        """While the database is away, what only says that the camera goes on is not kept."""
        last = self._waiting[-1]
        self._waiting = [one for one in self._waiting[:-1] if one[0].tells] + [last]
        if (too_many := len(self._waiting) - MOST_WAITING) > 0:
            del self._waiting[:too_many]
            self.lost += too_many
            log.error("changes that a camera saw are lost: the database is away", camera=self.camera.camera)

    def _evidence(self, seen: Seen, detections: Sequence[Detection], picture: Picture | None) -> bytes | None:
        """A blurred picture, when a person enters a robot's zone."""
        if picture is None or seen.step is None or not self._settings.evidence_hours:
            return None
        guarded = {zone.zone for zone in self.camera.zones if zone.robot is not None}
        people = self._settings.people
        if not any(one.zone in guarded and one.label in people for one in seen.step.entered):
            return None
        from brain.vision.evidence import blurred

        return blurred(picture, _boxes(detections, people) + _boxes(seen.tracks, people))


def _boxes(found: Sequence[Detection] | Sequence[Track], labels: Sequence[str]) -> list[Box]:
    return [one.box for one in found if one.label in labels]
