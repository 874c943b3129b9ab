"""Tracks: the same thing in one picture after the other, by where it should be and how boxes overlap.

The way of SORT (A. Bewley et al., "Simple Online and Realtime Tracking", ICIP 2016), with fixed gains in the place of
the Kalman filter, whose gains settle after a few pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from brain.vision.assignment import assigned
from brain.vision.boxes import Box, Detection

_PLACE, _SPEED = 0.85, 0.2
"""How much of what was not foreseen counts for the place, and for the speed."""
_SLOWS = 1.0
"""Seconds unseen after which a thing is foreseen where it is: nobody knows whether it went on."""
_IMPOSSIBLE = 1e3


@dataclass(frozen=True)
class Tracking:
    """When boxes belong together."""

    overlap: float = 0.2
    """The least overlap (IoU) of a box with where its track should be."""
    confirm: int = 2
    """Pictures in a row with it until a track counts."""
    patience: float = 2.0
    """Seconds without it until a track ends."""


@dataclass(slots=True)
class Track:
    """A thing that is followed. `number` is its own in the tracker; times are in seconds."""

    number: int
    label: str
    confidence: float
    box: Box
    at: float
    """When `box` holds."""
    seen_at: float
    """When it was in a picture last."""
    speed: tuple[float, float] = (0.0, 0.0)
    """Fractions of the picture a second."""
    hits: int = 1
    confirmed: bool = False

    @property
    def seen(self) -> bool:
        """Whether it is in the last picture."""
        return self.seen_at == self.at

    def go_on(self, at: float) -> None:
        """Where it should be at this time."""
        unseen = self.at - self.seen_at
        seconds = max(at - self.at, 0.0) * max(0.0, 1 - unseen / _SLOWS)
        x, y = self.box.x + self.speed[0] * seconds, self.box.y + self.speed[1] * seconds
        self.box, self.at = self.box._replace(x=x, y=y), at

    def see(self, found: Detection) -> None:
        """It is in the picture of the time that it has gone on to."""
        seconds, box = self.at - self.seen_at, found.box
        (x, y), (seen_x, seen_y) = self.box.centre, box.centre
        off_x, off_y = seen_x - x, seen_y - y
        if seconds > 0:
            gain = max(_SPEED, 1 / (self.hits + 1)) / seconds
            self.speed = self.speed[0] + gain * off_x, self.speed[1] + gain * off_y
        w, h = (a + _PLACE * (b - a) for a, b in ((self.box.w, box.w), (self.box.h, box.h)))
        self.box = Box(x + _PLACE * off_x - w / 2, y + _PLACE * off_y - h / 2, w, h)
        self.confidence, self.hits, self.seen_at = found.confidence, self.hits + 1, self.at


class Tracker:
    """The tracks of one camera. The same detections give the same tracks."""

    def __init__(self, tracking: Tracking | None = None) -> None:
        self._tracking = tracking or Tracking()
        self._tracks: list[Track] = []
        self._last = 0

    def update(self, detections: Sequence[Detection], at: float) -> list[Track]:
        """The tracks that count, after the picture of this time; those that are not in it are not `seen`."""
        for track in self._tracks:
            track.go_on(at)
        found = dict(self._pairs(detections))
        for place, detection in found.items():
            self._tracks[place].see(detections[detection])
        mine = set(found.values())
        for place, one in enumerate(detections):
            if place not in mine:
                self._last += 1
                self._tracks.append(Track(self._last, one.label, one.confidence, one.box, at, at))
        for track in self._tracks:
            track.confirmed = track.confirmed or track.hits >= self._tracking.confirm
        self._tracks = [track for track in self._tracks if self._goes_on(track)]
        return [track for track in self._tracks if track.confirmed]

    def _goes_on(self, track: Track) -> bool:
        return track.seen or (track.confirmed and track.at - track.seen_at <= self._tracking.patience)

    def _pairs(self, detections: Sequence[Detection]) -> list[tuple[int, int]]:
        least = self._tracking.overlap
        overlaps = [
            [track.box.overlap(one.box) if track.label == one.label else 0.0 for one in detections]
            for track in self._tracks
        ]
        costs = [[1 - value if value >= least else _IMPOSSIBLE for value in row] for row in overlaps]
        return [(row, column) for row, column in assigned(costs) if overlaps[row][column] >= least]
