"""What is said of an occupancy map beside its cells, and of the difference of two. Needs no extra."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

MODES = ("trinary", "scale", "raw")
MAP_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$"
"""What maps that are published may be called."""


class MapForm(msgspec.Struct, frozen=True, kw_only=True):
    """What the YAML file of a map says of its image."""

    resolution: Annotated[float, Meta(description="Metres of a cell's side.")]
    origin: Annotated[
        tuple[float, float, float], Meta(description="Where its lower left corner is, in metres, and its yaw.")
    ]
    occupied_thresh: Annotated[float, Meta(description="From this occupancy on a cell is occupied.")]
    free_thresh: Annotated[float, Meta(description="Up to this occupancy a cell is free.")]
    negate: Annotated[bool, Meta(description="Whether white is occupied.")]
    mode: Annotated[str, Meta(description="trinary, scale or raw.")]


class MapDifference(msgspec.Struct, frozen=True, kw_only=True):
    """What changed from one map to another."""

    changed_cells: Annotated[int, Meta(description="Cells whose meaning changed.")]
    area_m2: Annotated[float, Meta(description="Their area.")]
    became_occupied: Annotated[int, Meta(description="Cells that are occupied now.")]
    became_free: Annotated[int, Meta(description="Cells that are free now.")]
