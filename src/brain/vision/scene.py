"""What happens in the picture: who goes into zones and out of them, stays there, and crosses lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from brain.vision.boxes import Box
from brain.vision.cameras import Camera, Line, Point
from brain.vision.tracker import Track


def inside(point: Point, polygon: Sequence[Point]) -> bool:
    """Whether the point is in the polygon, by the number of edges to its right (even-odd rule)."""
    x, y = point
    found = False
    for (ax, ay), (bx, by) in pairwise([*polygon, polygon[0]]):
        if (ay > y) != (by > y) and x < (bx - ax) * (y - ay) / (by - ay) + ax:
            found = not found
    return found


@dataclass(frozen=True, kw_only=True)
class Presence:
    """Something is, or was, in a zone. Times are in Unix seconds."""

    zone: str
    track: int
    label: str
    confidence: float
    box: Box
    since: float


@dataclass(frozen=True, kw_only=True)
class Crossing:
    """A line was crossed."""

    line: str
    track: int
    label: str
    direction: str
    """right or left, seen from the line's start to its end."""


@dataclass
class Step:
    """What happened from one picture to the next."""

    entered: list[Presence]
    left: list[tuple[Presence, float]]
    """With when it was there last."""
    dwelled: list[Presence]
    crossed: list[Crossing]


@dataclass
class _Stay:
    presence: Presence
    last: float
    announced: bool = False


class Scene:
    """The zones and lines of one camera, with the tracks in them."""

    def __init__(self, camera: Camera, leave: float) -> None:
        self._camera = camera
        self._leave = leave
        self._stays: dict[tuple[str, int], _Stay] = {}
        self._feet: dict[int, Point] = {}

    def step(self, tracks: Sequence[Track], at: float) -> Step:
        """One more picture: where each track is now."""
        found = Step([], [], [], [])
        for track in tracks:
            if track.seen:
                self._place(track, at, found)
        numbers = {track.number: track.seen for track in tracks}
        for key, stay in list(self._stays.items()):
            seen = numbers.get(key[1])  # one that is not seen now is where it was, until its track ends
            if seen is None or (seen and at - stay.last > self._leave):
                del self._stays[key]
                found.left.append((stay.presence, stay.last))
        self._feet = {number: foot for number, foot in self._feet.items() if number in numbers}
        return found

    def _place(self, track: Track, at: float, found: Step) -> None:
        before, foot = self._feet.get(track.number), track.box.foot
        self._feet[track.number] = foot
        for line in self._camera.lines:
            if before is not None and (direction := _crossed(line, before, foot)):
                found.crossed.append(
                    Crossing(line=line.line, track=track.number, label=track.label, direction=direction)
                )
        for zone in self._camera.zones:
            if not inside(foot, zone.polygon):
                continue
            stay = self._stays.get((zone.zone, track.number))
            if stay is None:
                presence = Presence(
                    zone=zone.zone,
                    track=track.number,
                    label=track.label,
                    confidence=track.confidence,
                    box=track.box,
                    since=at,
                )
                stay = self._stays[zone.zone, track.number] = _Stay(presence, at)
                found.entered.append(presence)
            stay.last = at
            if zone.dwell is not None and not stay.announced and at - stay.presence.since >= zone.dwell:
                stay.announced = True
                found.dwelled.append(stay.presence)


def _crossed(line: Line, before: Point, now: Point) -> str:
    """The side that it went to, when the way from before to now crosses the line; else nothing."""
    side_before, side_now = _side(line.start, line.end, before), _side(line.start, line.end, now)
    if (side_before > 0) == (side_now > 0):
        return ""
    if (_side(before, now, line.start) > 0) == (_side(before, now, line.end) > 0):
        return ""
    return "right" if side_now > 0 else "left"


def _side(start: Point, end: Point, point: Point) -> float:
    """Above 0 to the right of the way from start to end, as y goes down."""
    return (end[0] - start[0]) * (point[1] - start[1]) - (end[1] - start[1]) * (point[0] - start[0])
