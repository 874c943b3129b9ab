"""Occupancy maps, PGM with YAML as map_server of Nav2 has them: their cells, their hash, the difference of two.

https://docs.nav2.org/configuration/packages/configuring-map-server.html says what the values mean; nav2_map_server's
map_io.cpp decides at the thresholds. Needs the extra `robots`.
"""

from __future__ import annotations

import hashlib
import re
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from brain.errors import InvalidInput
from brain.extras import needs
from brain.kit.documents import read_bytes, yaml_in
from brain.slam.map_forms import MODES, MapDifference, MapForm

with needs("maps", "robots"):
    import numpy as np
    from numpy.typing import NDArray

MOST_CELLS = 100_000_000
UNKNOWN, FREE, OCCUPIED = -1, 0, 100
_HEADER = re.compile(rb"^(P[25])\s+(?:#[^\n]*\s+)*(\d+)\s+(?:#[^\n]*\s+)*(\d+)\s+(?:#[^\n]*\s+)*(\d+)\s")
_SHADES = {UNKNOWN: 205, FREE: 254}


@dataclass(frozen=True)
class OccupancyMap:
    """A map. `cells` (height, width) are UNKNOWN, or from FREE to OCCUPIED; row 0 is the top."""

    cells: NDArray[Any]
    form: MapForm
    sha256: str
    """Of the image, and of what the YAML file says of its meaning."""

    @property
    def known_ratio(self) -> float:
        """The share of cells that are not unknown."""
        return float((self.cells != UNKNOWN).mean())


def read_map(path: Path) -> OccupancyMap:
    """The map that a YAML file describes. Raises InvalidInput."""
    form, image = read_files(path)
    return made_map(form, image, str(path))


def read_files(path: Path) -> tuple[MapForm, bytes]:
    """What a YAML file says of its map, and the image that it names, beside it or by its whole path."""
    said = yaml_in(read_bytes(path), str(path))
    try:
        image = (path.parent / str(said["image"])).read_bytes()
        form = MapForm(
            resolution=float(said["resolution"]),
            origin=_origin(said["origin"]),
            occupied_thresh=float(said["occupied_thresh"]),
            free_thresh=float(said["free_thresh"]),
            negate=bool(said.get("negate", 0)),
            mode=str(said.get("mode", "trinary")),
        )
    except OSError as error:
        raise InvalidInput(f"{error.filename}: cannot be read: {error.strerror}") from error
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise InvalidInput(f"{path}: is no description of a map: {type(error).__name__}: {error}") from error
    return form, image


def made_map(form: MapForm, image: bytes, name: str = "the map") -> OccupancyMap:
    """The map of an image and its meaning. Raises InvalidInput, which begins with the name."""
    numbers = (form.resolution, *form.origin, form.occupied_thresh, form.free_thresh)
    if not (np.isfinite(numbers).all() and form.resolution > 0):
        raise InvalidInput(f"{name}: needs a resolution above 0 and finite numbers; it has {numbers}")
    if form.mode not in MODES:
        raise InvalidInput(f"{name}: mode {form.mode[:40]!r} is not known; take {', '.join(MODES)}")
    if form.mode != "raw" and not form.free_thresh < form.occupied_thresh:
        raise InvalidInput(f"{name}: free_thresh {form.free_thresh:g} must be below occupied_thresh")
    digest = hashlib.sha256(image + msgspec.json.encode(form)).hexdigest()
    return OccupancyMap(_cells(name, image, form), form, digest)


def difference(old: OccupancyMap, new: OccupancyMap) -> MapDifference:
    """What changed. Raises InvalidInput for maps of another size, resolution or place."""
    if not comparable(old, new):
        raise InvalidInput("the maps differ in size, resolution or origin: their cells cannot be compared")
    changed = old.cells != new.cells
    count = int(changed.sum())
    return MapDifference(
        changed_cells=count,
        area_m2=count * old.form.resolution**2,
        became_occupied=int((changed & (new.cells == OCCUPIED)).sum()),
        became_free=int((changed & (new.cells == FREE)).sum()),
    )


def comparable(old: OccupancyMap, new: OccupancyMap) -> bool:
    """Whether a cell of one is the same place as that of the other."""
    return (old.cells.shape, old.form.resolution, old.form.origin) == (
        new.cells.shape,
        new.form.resolution,
        new.form.origin,
    )


def png_of(found: OccupancyMap) -> bytes:
    """The map as a grey picture for people: white is free, black is occupied, grey is unknown."""
    cells = found.cells.astype(np.int16)
    shades = np.where(cells == UNKNOWN, _SHADES[UNKNOWN], _SHADES[FREE] * (OCCUPIED - cells) // OCCUPIED)
    height, width = shades.shape
    rows = np.zeros((height, width + 1), dtype=np.uint8)  # each begins with the number of its filter: none
    rows[:, 1:] = shades
    parts = (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)), (b"IDAT", zlib.compress(rows.tobytes()))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*part) for part in (*parts, (b"IEND", b"")))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _origin(said: Any) -> tuple[float, float, float]:
    x, y, yaw = (*map(float, said), 0.0)[:3]
    return x, y, yaw


def _cells(name: str, image: bytes, form: MapForm) -> NDArray[Any]:
    header = _HEADER.match(image)
    if header is None:
        raise InvalidInput(f"{name}: its image is no PGM (P2 or P5); make one, as with: magick map.png map.pgm")
    width, height, most = (int(header.group(number)) for number in (2, 3, 4))
    if not (0 < width * height <= MOST_CELLS and 0 < most < 256):
        raise InvalidInput(
            f"{name}: its image has {width} x {height} cells of 0..{most}; at most 100,000,000 of 0..255"
        )
    shades = _shades(name, image[header.end() :], header.group(1) == b"P5", width * height).reshape(height, width)
    if form.mode == "raw":
        return np.where(shades > OCCUPIED, UNKNOWN, shades.astype(np.int16)).astype(np.int8)
    shade = shades.astype(np.float32) / np.float32(most)
    occupancy = shade if form.negate else np.float32(1) - shade
    occupied, free = np.float32(form.occupied_thresh), np.float32(form.free_thresh)
    between: Any = UNKNOWN
    if form.mode == "scale":
        between = np.floor((occupancy - free) / (occupied - free) * OCCUPIED + np.float32(0.5))
    return np.where(occupancy >= occupied, OCCUPIED, np.where(occupancy <= free, FREE, between)).astype(np.int8)


def _shades(name: str, body: bytes, binary: bool, count: int) -> NDArray[Any]:
    try:
        raw = np.frombuffer(body, dtype=np.uint8) if binary else np.array(body.split()[:count], dtype=np.uint8)
    except (ValueError, OverflowError) as error:
        raise InvalidInput(f"{name}: its image is damaged: {error}") from error
    if len(raw) < count:
        raise InvalidInput(f"{name}: its image is cut off: {len(raw)} of {count} cells")
    return raw[:count]
