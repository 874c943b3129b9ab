"""How good tracks are against those that people drew: MOTA, as motmetrics counts it.

K. Bernardin and R. Stiefelhagen, "Evaluating Multiple Object Tracking Performance: The CLEAR MOT Metrics", 2008.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from brain.errors import InvalidInput
from brain.kit.documents import read_text
from brain.vision.assignment import assigned
from brain.vision.boxes import Box, Detection
from brain.vision.tracker import Tracker, Tracking

Boxes = Mapping[int, Sequence[tuple[int, Box]]]
"""By number of the picture: the number of each track with its box."""
_NEAR = 0.5
"""The least overlap of a box with the one that was drawn."""
_IMPOSSIBLE = 1e3


class Quality(msgspec.Struct, frozen=True, kw_only=True):
    """Tracks against those that were drawn."""

    boxes: Annotated[int, Meta(description="Boxes that were drawn.")]
    people: Annotated[int, Meta(description="Tracks that were drawn.")]
    missed: Annotated[int, Meta(description="Boxes that no track has.")]
    wrong: Annotated[int, Meta(description="Boxes of tracks where none was drawn.")]
    switches: Annotated[int, Meta(description="Times that somebody got another track.")]
    mota: Annotated[float, Meta(description="1 less all these faults over the boxes.")]


def read_boxes(path: Path) -> Boxes:
    """A file of the MOT challenge: picture, track, left, top, width, height in pixels. Raises InvalidInput."""
    found: dict[int, list[tuple[int, Box]]] = {}
    try:
        for line in read_text(path).splitlines():
            picture, track, *box = line.split(",")[:6]
            x, y, w, h = map(float, box)
            found.setdefault(int(picture), []).append((int(track), Box(x, y, w, h)))
    except ValueError as error:
        raise InvalidInput(f"{path}: is no file of the MOT challenge (picture, track, x, y, w, h): {error}") from error
    return found


def tracked(boxes: Boxes, rate: float = 25.0, tracking: Tracking | None = None) -> Boxes:
    """The tracks that the tracker makes of these boxes, whose numbers are not looked at; `rate` pictures a second."""
    tracker = Tracker(tracking)
    found = {}
    for picture in range(min(boxes, default=1), max(boxes, default=0) + 1):
        here = [Detection(label="person", confidence=1.0, box=box) for _, box in boxes.get(picture, ())]
        found[picture] = [(track.number, track.box) for track in tracker.update(here, picture / rate) if track.seen]
    return found


def quality(tracks: Boxes, truth: Boxes) -> Quality:
    """Compare them picture by picture. Raises InvalidInput when nothing was drawn."""
    total = sum(map(len, truth.values()))
    if not total:
        raise InvalidInput("the truth has no box: there is nothing to compare with")
    last: dict[int, int] = {}
    missed = wrong = switches = 0
    for picture in sorted({*truth, *tracks}):
        drawn, found = dict(truth.get(picture, ())), dict(tracks.get(picture, ()))
        pairs = _matched(drawn, found, last)
        switches += sum(last.get(person, track) != track for person, track in pairs.items())
        missed += len(drawn) - len(pairs)
        wrong += len(found) - len(pairs)
        last |= pairs
    return Quality(
        boxes=total,
        people=len({person for boxes in truth.values() for person, _ in boxes}),
        missed=missed,
        wrong=wrong,
        switches=switches,
        mota=1 - (missed + wrong + switches) / total,
    )


def _matched(drawn: Mapping[int, Box], found: Mapping[int, Box], last: Mapping[int, int]) -> dict[int, int]:
    """The track of each person: the one of before where it still fits, else the best."""
    pairs: dict[int, int] = {}
    for person, box in drawn.items():
        track = last.get(person)
        if track is not None and track in found and track not in pairs.values() and box.overlap(found[track]) >= _NEAR:
            pairs[person] = track
    people = [person for person in drawn if person not in pairs]
    tracks = [track for track in found if track not in pairs.values()]
    overlaps = [[drawn[person].overlap(found[track]) for track in tracks] for person in people]
    costs = [[1 - value if value >= _NEAR else _IMPOSSIBLE for value in row] for row in overlaps]
    rest = {people[row]: tracks[column] for row, column in assigned(costs) if overlaps[row][column] >= _NEAR}
    return pairs | rest
