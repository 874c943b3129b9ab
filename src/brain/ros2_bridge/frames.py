"""Frames of `/tf`: where each is in its parent, for some seconds, and put together at a time that all links have."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import acos, isfinite, sin
from typing import Any, Final, NamedTuple

from brain.errors import InvalidInput

TF: Final = "tf2_msgs/msg/TFMessage"
KEPT: Final = 10.0
"""Seconds of transforms that are kept of each frame, as tf2 keeps them."""
MOST_KEPT, MOST_FRAMES, _LONGEST_WAY = 2_000, 2_000, 100
_NEARLY_SAME = 0.9995
"""Above this cosine the way between two rotations counts as straight."""


class Transform(NamedTuple):
    """Where a frame is in another: metres, and a unit quaternion."""

    x: float
    y: float
    z: float
    qx: float
    qy: float
    qz: float
    qw: float

    def then(self, other: Transform) -> Transform:
        """Where a frame is in this one's parent that `other` says of it in this one."""
        x, y, z = self._turned(other.x, other.y, other.z)
        ax, ay, az, aw = self[3:]
        bx, by, bz, bw = other[3:]
        return Transform(
            self.x + x,
            self.y + y,
            self.z + z,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
            aw * bw - ax * bx - ay * by - az * bz,
        )

    def towards(self, other: Transform, share: float) -> Transform:
        """The transform at that share of the way to another, 0 to 1: straight, and turning evenly."""
        place = [a + share * (b - a) for a, b in zip(self[:3], other[:3], strict=True)]
        cosine = sum(a * b for a, b in zip(self[3:], other[3:], strict=True))
        sign, cosine = (-1.0, -cosine) if cosine < 0 else (1.0, cosine)  # the same rotation, the shorter way
        if cosine > _NEARLY_SAME:
            one, two = 1 - share, share
        else:
            angle = acos(cosine)
            one, two = sin((1 - share) * angle) / sin(angle), sin(share * angle) / sin(angle)
        return Transform(*place, *_unit([one * a + sign * two * b for a, b in zip(self[3:], other[3:], strict=True)]))

    def _turned(self, x: float, y: float, z: float) -> tuple[float, float, float]:
        ax, ay, az, aw = self[3:]
        cx, cy, cz = 2 * (ay * z - az * y), 2 * (az * x - ax * z), 2 * (ax * y - ay * x)
        return x + aw * cx + ay * cz - az * cy, y + aw * cy + az * cx - ax * cz, z + aw * cz + ax * cy - ay * cx


@dataclass
class _Edge:
    """Where one frame is in its parent; `stamps` are in seconds, in order. A static one has one, of any time."""

    parent: str
    is_static: bool
    stamps: list[float] = field(default_factory=list)
    transforms: list[Transform] = field(default_factory=list)

    def add(self, at: float, transform: Transform) -> None:
        if self.is_static:
            self.stamps, self.transforms = [at], [transform]
            return
        place = bisect_left(self.stamps, at)
        if place < len(self.stamps) and self.stamps[place] == at:
            self.transforms[place] = transform
            return
        self.stamps.insert(place, at)
        self.transforms.insert(place, transform)
        old = max(bisect_left(self.stamps, self.stamps[-1] - KEPT), len(self.stamps) - MOST_KEPT)
        del self.stamps[:old], self.transforms[:old]

    def at(self, time: float) -> Transform:
        """Between the two that are kept before and after that time, which is within what is kept."""
        if self.is_static:
            return self.transforms[0]
        place = bisect_left(self.stamps, time)
        if self.stamps[place] == time:
            return self.transforms[place]
        before, after = self.stamps[place - 1], self.stamps[place]
        share = (time - before) / (after - before)
        return self.transforms[place - 1].towards(self.transforms[place], share)


class FrameTree:
    """The frames that messages of `/tf` and `/tf_static` tell of, and where `child` is in `frame`."""

    def __init__(self, frame: str, child: str) -> None:
        self._frame, self._child = frame.strip("/"), child.strip("/")
        self._edges: dict[str, _Edge] = {}

    def add(self, message: Mapping[str, Any], is_static: bool) -> None:
        """What a message tells. Raises InvalidInput for one that does not fit; nothing of it is taken then."""
        found = message.get("transforms") if isinstance(message, Mapping) else None
        if not isinstance(found, list | tuple):
            raise InvalidInput(f"{TF}: the message has no transforms")
        for parent, child, at, transform in [_read(one) for one in found]:
            edge = self._edges.get(child)
            if edge is None or edge.parent != parent or edge.is_static != is_static or _went_back(edge, at):
                if len(self._edges) >= MOST_FRAMES and edge is None:
                    raise InvalidInput(f"{TF}: tells of more than {MOST_FRAMES:,} frames")
                edge = self._edges[child] = _Edge(parent, is_static)
            edge.add(at, transform)

    def place(self) -> tuple[float, Transform]:
        """Where the child is, at the newest time that every link on the way has; 0 when all are static.

        Raises InvalidInput, with the link that is missing.
        """
        way = self._way()
        moving = [(name, edge) for name, edge in way if not edge.is_static]
        at = min((edge.stamps[-1] for _, edge in moving), default=0.0)
        for name, edge in moving:
            if at < edge.stamps[0]:
                words = f"no transform leads from {self._child} to {self._frame}: {edge.parent} -> {name} is known from"
                raise InvalidInput(f"{words} {edge.stamps[0] - at:.3f} s after the last of another link")
        found = way[-1][1].at(at)
        for _, edge in reversed(way[:-1]):
            found = found.then(edge.at(at))
        return at, found

    def _way(self) -> list[tuple[str, _Edge]]:
        """The links from the child up to the frame."""
        way: list[tuple[str, _Edge]] = []
        name = self._child
        while name != self._frame:
            edge = self._edges.get(name)
            if edge is None:
                raise InvalidInput(
                    f"no transform leads from {self._child} to {self._frame}: nobody says where {name} is"
                )
            way.append((name, edge))
            if len(way) > _LONGEST_WAY:
                raise InvalidInput(f"no transform leads from {self._child} to {self._frame}: frames go in a circle")
            name = edge.parent
        if not way:
            raise InvalidInput(f"frame and child are both {self._frame}")
        return way


def _went_back(edge: _Edge, at: float) -> bool:
    """Whether the clock of who publishes it was set back, as when a bag or a simulation begins again."""
    return not edge.is_static and at < edge.stamps[-1] - KEPT


def _read(one: Any) -> tuple[str, str, float, Transform]:
    """Parent, child, time and transform of one in a message. Raises InvalidInput."""
    try:
        header, moved, turned = one["header"], one["transform"]["translation"], one["transform"]["rotation"]
        stamp = header["stamp"]
        at = _finite(stamp.get("sec", stamp.get("secs"))) + _finite(stamp.get("nanosec", stamp.get("nsecs"))) / 1e9
        parent, child = str(header["frame_id"]).strip("/"), str(one["child_frame_id"]).strip("/")
        place = [_finite(moved[axis]) for axis in "xyz"]
        turn = [_finite(turned[axis]) for axis in "xyzw"]
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidInput(f"{TF}: a transform does not fit: {error}") from error
    if not parent or not child or parent == child:
        raise InvalidInput(f"{TF}: a transform says where {child or 'nothing'!r} is in {parent or 'nothing'!r}")
    if not any(turn):
        raise InvalidInput(f"{TF}: the rotation of {child} is no quaternion: all its numbers are 0")
    return parent, child, at, Transform(*place, *_unit(turn))


def _unit(turn: list[float]) -> list[float]:
    length = sum(value * value for value in turn) ** 0.5
    return [value / length for value in turn]


def _finite(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise InvalidInput(f"{TF}: a transform has {str(value)[:40]!r} where a finite number should be")
    return float(value)
