"""Whether a camera shows what is there: frozen, dark, blurred or moved pictures. Needs the extra `vision`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from brain.extras import needs
from brain.vision.settings import VisionSettings

with needs("pictures of cameras", "vision"):
    import cv2
    import numpy as np
    from numpy.typing import NDArray

Picture = NDArray[Any]
"""Rows of pixels: blue, green, red; or grey ones."""
_WIDE, _SMALL = 320, (32, 24)
_LEARN = 30
"""Pictures from which it is learnt how the camera usually looks."""
_SLOWLY = 0.01


class Fault(NamedTuple):
    """What is wrong with the pictures. `score` is what was measured: seconds, brightness, share or correlation."""

    kind: str
    score: float


def grey(picture: Picture) -> Picture:
    """The picture in shades of grey."""
    return picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)


@dataclass
class CameraHealth:
    """What is known of one camera's pictures."""

    settings: VisionSettings
    fault: Fault | None = None
    """What is wrong now."""

    def __post_init__(self) -> None:
        self._last: Picture | None = None
        self._still_since = 0.0
        self._usual: Picture | None = None
        self._detail = 0.0
        self._seen = 0
        self._suspect: str | None = None
        self._since = 0.0

    def look(self, picture: Picture, at: float) -> tuple[Fault | None, Fault | None]:
        """One more picture, of this time: what is wrong from now on, and what is over."""
        shades = grey(picture)
        found = self._fault(shades, at)
        kind = None if found is None else found.kind
        if kind != self._suspect:
            self._suspect, self._since = kind, at
        known = None if self.fault is None else self.fault.kind
        if kind == known or (kind != "frozen" and at - self._since < self.settings.hold and self._seen > 1):
            return None, None
        over, self.fault = self.fault, found
        return found, over

    def _fault(self, shades: Picture, at: float) -> Fault | None:
        self._seen += 1
        if self._last is None or self._last.shape != shades.shape or not np.array_equal(self._last, shades):
            self._last, self._still_since = shades, at
        if at - self._still_since >= self.settings.hold:
            return Fault("frozen", at - self._still_since)
        if (light := cv2.mean(shades)[0]) < self.settings.dark:
            return Fault("dark", light)
        thumb = cv2.resize(shades, _SMALL, interpolation=cv2.INTER_AREA).astype(np.float32)
        return self._compared(thumb, _detail(shades))

    def _compared(self, thumb: Picture, detail: float) -> Fault | None:
        """Against what the camera usually shows."""
        if self._usual is None:
            self._usual, self._detail = thumb, detail
            return None
        fault = None
        if self._seen > _LEARN:
            share, likeness = detail / max(self._detail, 1e-9), _likeness(self._usual, thumb)
            if share < self.settings.blur:
                fault = Fault("blurred", share)
            elif likeness < self.settings.moved:
                fault = Fault("moved", likeness)
        if fault is None:
            rate = max(_SLOWLY, 1 / self._seen)
            self._usual = self._usual + rate * (thumb - self._usual)
            self._detail += rate * (detail - self._detail)
        return fault


def _detail(shades: Picture) -> float:
    """How much neighbours differ, in a picture that is not wider than some."""
    high, wide = shades.shape
    if wide > _WIDE:
        shades = cv2.resize(shades, (_WIDE, max(1, _WIDE * high // wide)))
    _, spread = cv2.meanStdDev(cv2.Laplacian(shades, cv2.CV_16S))
    return float(spread[0, 0]) ** 2


def _likeness(one: Picture, other: Picture) -> float:
    """Their correlation, -1 to 1; pictures without any contrast are like everything."""
    one, other = one - one.mean(), other - other.mean()
    scale = float(np.sqrt((one**2).sum() * (other**2).sum()))
    return 1.0 if scale < 1e-6 else float((one * other).sum() / scale)
