"""Occupancy maps, PGM with YAML as map_server of Nav2 has them: their cells, their hash, the difference of two.

https://docs.nav2.org/configuration/packages/configuring-map-server.html says what the values mean. Needs the extra
`robots`.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from brain.errors import InvalidInput
from brain.extras import needs
from brain.kit.documents import read_bytes, yaml_in

with needs("maps", "robots"):
    import numpy as np
    from numpy.typing import NDArray

MOST_CELLS = 100_000_000
UNKNOWN, FREE, OCCUPIED = -1, 0, 100
_HEADER = re.compile(rb"^(P[25])\s+(?:#[^\n]*\s+)*(\d+)\s+(?:#[^\n]*\s+)*(\d+)\s+(?:#[^\n]*\s+)*(\d+)\s")


@dataclass(frozen=True)
class OccupancyMap:
    """A map. `cells` (height, width) are UNKNOWN, FREE or OCCUPIED; row 0 is the top."""

    cells: NDArray[Any]
    resolution: float
    """Metres of a cell's side."""
    origin: tuple[float, float]
    """Where the lower left corner is, in metres."""
    sha256: str
    """Of the image, and of what the YAML file says of its meaning."""


class MapDifference(msgspec.Struct, frozen=True, kw_only=True):
    """What changed from one map to another."""

    changed_cells: Annotated[int, Meta(description="Cells whose meaning changed.")]
    area_m2: Annotated[float, Meta(description="Their area.")]
    became_occupied: Annotated[int, Meta(description="Cells that are occupied now.")]
    became_free: Annotated[int, Meta(description="Cells that are free now.")]


def read_map(path: Path) -> OccupancyMap:
    """The map that a YAML file describes; its image lies beside it. Raises InvalidInput."""
    try:
        said = yaml_in(read_bytes(path), str(path))
        name = Path(str(said["image"])).name
        data = (path.parent / name).read_bytes()
        resolution, origin = float(said["resolution"]), said["origin"]
        x, y = float(origin[0]), float(origin[1])
        levels = float(said["occupied_thresh"]), float(said["free_thresh"])
        mode, negate = str(said.get("mode", "trinary")), bool(said.get("negate", 0))
    except OSError as error:
        raise InvalidInput(f"{error.filename}: cannot be read: {error.strerror}") from error
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise InvalidInput(f"{path}: is no description of a map: {type(error).__name__}: {error}") from error
    if not (resolution > 0 and mode == "trinary"):
        raise InvalidInput(f"{path}: needs a resolution above 0 and mode trinary; it has {resolution:g} and {mode}")
    meaning = msgspec.json.encode([resolution, x, y, *levels, negate])
    digest = hashlib.sha256(data + meaning).hexdigest()
    return OccupancyMap(_cells(path, data, levels, negate), resolution, (x, y), digest)


def difference(old: OccupancyMap, new: OccupancyMap) -> MapDifference:
    """What changed. Raises InvalidInput for maps of another size, resolution or place."""
    if (old.cells.shape, old.resolution, old.origin) != (new.cells.shape, new.resolution, new.origin):
        raise InvalidInput("the maps differ in size, resolution or origin: their cells cannot be compared")
    changed = old.cells != new.cells
    count = int(changed.sum())
    return MapDifference(
        changed_cells=count,
        area_m2=count * old.resolution**2,
        became_occupied=int((changed & (new.cells == OCCUPIED)).sum()),
        became_free=int((changed & (new.cells == FREE)).sum()),
    )


def _cells(path: Path, data: bytes, levels: tuple[float, float], negate: bool) -> NDArray[Any]:
    header = _HEADER.match(data)
    if header is None:
        raise InvalidInput(f"{path}: its image is no PGM (P2 or P5)")
    width, height, most = (int(header.group(number)) for number in (2, 3, 4))
    if not (0 < width * height <= MOST_CELLS and 0 < most < 256):
        raise InvalidInput(
            f"{path}: its image has {width} x {height} cells of 0..{most}; at most 100,000,000 of 0..255"
        )
    body = data[header.end() :]
    try:
        raw = (
            np.frombuffer(body, dtype=np.uint8) if header.group(1) == b"P5" else np.array(body.split(), dtype=np.uint8)
        )
    except (ValueError, OverflowError) as error:
        raise InvalidInput(f"{path}: its image is damaged: {error}") from error
    if len(raw) < width * height:
        raise InvalidInput(f"{path}: its image is cut off: {len(raw)} of {width * height} cells")
    shade = raw[: width * height].reshape(height, width) / most
    occupancy = shade if negate else 1.0 - shade
    occupied, free = levels
    return np.where(occupancy > occupied, OCCUPIED, np.where(occupancy < free, FREE, UNKNOWN)).astype(np.int8)
