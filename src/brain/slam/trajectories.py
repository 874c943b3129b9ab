"""Trajectories: files of TUM, KITTI and EuRoC, and the arrays that they are evaluated as. Needs the extra `robots`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from warnings import catch_warnings, simplefilter

from brain.errors import InvalidInput
from brain.extras import needs

with needs("trajectories", "robots"):
    import numpy as np
    from numpy.typing import NDArray

Floats = NDArray[Any]
FORMATS = ("tum", "kitti", "euroc")
_LEAST = 1e-9


@dataclass(frozen=True)
class Trajectory:
    """Poses in order: times in seconds (None for KITTI), positions (n, 3) in metres, rotations (n, 3, 3)."""

    times: Floats | None
    positions: Floats
    rotations: Floats

    def picked(self, indices: Floats) -> Trajectory:
        """Only these poses."""
        times = None if self.times is None else self.times[indices]
        return Trajectory(times, self.positions[indices], self.rotations[indices])


def read_trajectory(path: Path, format: str) -> Trajectory:
    """A trajectory of a file. Raises InvalidInput for one that cannot be read, or is not of the format."""
    if format not in FORMATS:
        raise InvalidInput(f"format {format!r} is not known; take {', '.join(FORMATS)}")
    try:
        with catch_warnings():
            simplefilter("ignore", UserWarning)  # a file without rows, which is refused below
            rows = np.loadtxt(path, comments="#", delimiter="," if format == "euroc" else None, ndmin=2)
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise InvalidInput(f"{path}: is no trajectory of format {format}: {error}") from error
    width = {"tum": 8, "kitti": 12, "euroc": 8}[format]
    if not len(rows) or rows.shape[1] < width or not np.isfinite(rows).all():
        raise InvalidInput(f"{path}: is no trajectory of format {format}: needs rows of {width} finite numbers")
    if format == "kitti":
        poses = rows[:, :12].reshape(-1, 3, 4)
        return Trajectory(None, poses[:, :, 3].copy(), poses[:, :, :3].copy())
    # EuRoC: nanoseconds, and w before x, y, z; TUM has w last.
    times, quaternions = (rows[:, 0], rows[:, [7, 4, 5, 6]]) if format == "tum" else (rows[:, 0] / 1e9, rows[:, 4:8])
    if len(wrong := np.flatnonzero(np.linalg.norm(quaternions, axis=1) < _LEAST)):
        raise InvalidInput(f"{path}: pose {wrong[0] + 1} has no rotation: its quaternion is 0; write 0 0 0 1 for none")
    return Trajectory(times, rows[:, 1:4].copy(), _rotations(quaternions))


def _rotations(quaternions: Floats) -> Floats:
    """Rotation matrices of quaternions w, x, y, z."""
    w, x, y, z = (quaternions / np.linalg.norm(quaternions, axis=1, keepdims=True)).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), 2, 0)
