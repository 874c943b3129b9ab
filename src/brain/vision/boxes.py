"""Boxes in fractions of the picture, and what a detector finds."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta


class Box(NamedTuple):
    """Left, top, width and height; 1 is the width or the height of the picture."""

    x: float
    y: float
    w: float
    h: float

    @property
    def foot(self) -> tuple[float, float]:
        """The middle of its lower side: where what is in it stands."""
        return self.x + self.w / 2, self.y + self.h

    @property
    def centre(self) -> tuple[float, float]:
        """Its middle."""
        return self.x + self.w / 2, self.y + self.h / 2

    def overlap(self, other: Box) -> float:
        """The area of both over that of either (IoU), 0 to 1."""
        wide = min(self.x + self.w, other.x + other.w) - max(self.x, other.x)
        high = min(self.y + self.h, other.y + other.h) - max(self.y, other.y)
        if wide <= 0 or high <= 0:
            return 0.0
        common = wide * high
        return common / (self.w * self.h + other.w * other.h - common)

    def rounded(self) -> list[float]:
        """To four digits, for events."""
        return [round(value, 4) for value in self]


class Detection(msgspec.Struct, frozen=True, kw_only=True):
    """Something in a picture."""

    label: Annotated[str, Meta(description="What it is, such as person.")]
    confidence: Annotated[float, Meta(description="0 to 1.")]
    box: Annotated[Box, Meta(description="Left, top, width, height in fractions of the picture.")]
