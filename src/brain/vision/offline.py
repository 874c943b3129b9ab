"""A video looked at as a camera would be, without a server: what happened in it. Needs the extra `vision`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from brain.errors import InvalidInput
from brain.vision.cameras import BUILT_IN, Camera
from brain.vision.detectors import built_in
from brain.vision.pictures import frames
from brain.vision.settings import VisionSettings
from brain.vision.watching import CameraWatch, Seen

_LONG = 3600.0


class Happening(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened in a video."""

    seconds: Annotated[float, Meta(description="Since its first picture.")]
    words: str


class VideoReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was in a video."""

    pictures: Annotated[int, Meta(description="That were looked at.")]
    pictures_with: Annotated[dict[str, int], Meta(description="By what it is: how many pictures it is in.")]
    happened: list[Happening]


def look_at(camera: Camera, file: Path, rate: float | None = None) -> VideoReport:
    """Look at the pictures of the file, at most `rate` a second of it. Raises InvalidInput."""
    if camera.detector not in BUILT_IN:
        raise InvalidInput(f"detector: {camera.detector[:100]!r} is not known here; take {' or '.join(BUILT_IN)}")
    find = built_in(camera.detector)
    watch = CameraWatch(camera, VisionSettings())
    counts: Counter[str] = Counter()
    happened: list[Happening] = []
    pictures, at = 0, 0.0
    for frame in frames(str(file), rate):
        pictures, at = pictures + 1, frame.seconds
        found = find(frame.picture)
        counts.update({one.label for one in found})
        happened += _in_words(watch.see(at, found, frame.picture))
    if pictures:  # whatever is there at the end leaves with it
        happened += _in_words(watch.see(at + _LONG, []), at)
    return VideoReport(pictures=pictures, pictures_with=dict(counts), happened=happened)


def _in_words(seen: Seen, at: float | None = None) -> list[Happening]:
    words = []
    if seen.fault is not None:
        words.append(f"the pictures are {seen.fault.kind}")
    if seen.over is not None:
        words.append(f"the pictures are no longer {seen.over.kind}")
    if seen.step is not None:
        step = seen.step
        words += [f"{one.label} {one.track} entered {one.zone}" for one in step.entered]
        words += [f"{one.label} {one.track} stays in {one.zone}" for one in step.dwelled]
        words += [f"{one.label} {one.track} left {one.zone}" for one, _ in step.left]
        words += [f"{one.label} {one.track} crossed {one.line} to the {one.direction}" for one in step.crossed]
    return [Happening(seconds=round(seen.at if at is None else at, 3), words=text) for text in words]
