"""Pictures that prove what happened, blurred so that nobody can be recognised. Needs the extra `vision`."""

from __future__ import annotations

from collections.abc import Sequence

from brain.extras import needs
from brain.vision.boxes import Box
from brain.vision.health import Picture

with needs("evidence", "vision"):
    import cv2

_WIDE, _TILES, _QUALITY, _SIGMA = 320, 6, 60, 6.0
_ROUND = 0.25
"""How much more than its box is blurred, on each side."""


def blurred(picture: Picture, boxes: Sequence[Box]) -> bytes:
    """The picture as a small JPEG, all of it out of focus, with six tiles across in the place of each box."""
    high = max(1, picture.shape[0] * _WIDE // picture.shape[1])
    small = cv2.GaussianBlur(cv2.resize(picture, (_WIDE, high), interpolation=cv2.INTER_AREA), (0, 0), _SIGMA)
    for box in boxes:
        left, top = max(0, int((box.x - box.w * _ROUND) * _WIDE)), max(0, int((box.y - box.h * _ROUND) * high))
        right, low = int((box.x + box.w * (1 + _ROUND)) * _WIDE) + 1, int((box.y + box.h * (1 + _ROUND)) * high) + 1
        part = small[top:low, left:right]
        if part.size:
            tiles = cv2.resize(part, (_TILES, _TILES), interpolation=cv2.INTER_AREA)
            small[top:low, left:right] = cv2.resize(tiles, part.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    _, encoded = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return encoded.tobytes()
