"""Whether a place is within a polygon."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from brain.slam.settings import ZoneSettings


def inside(x: float, y: float, polygon: Sequence[tuple[float, float]]) -> bool:
    """Whether the point is in the polygon, by the number of edges to its right (even-odd rule)."""
    found = False
    for (ax, ay), (bx, by) in pairwise([*polygon, polygon[0]]):
        if (ay > y) != (by > y) and x < (bx - ax) * (y - ay) / (by - ay) + ax:
            found = not found
    return found


def zones_at(x: float, y: float, map: str | None, zones: Mapping[str, ZoneSettings]) -> list[str]:
    """The names of the zones that the place is in, sorted."""
    here = (name for name, zone in zones.items() if zone.map in (None, map) and inside(x, y, zone.polygon))
    return sorted(here)
