"""A folder in memory for what tests write: there, nothing waits for a disk. Its files behave as on a disk otherwise."""

from __future__ import annotations

import os
from pathlib import Path

PLACE = Path("/dev/shm")
NEEDED = 2 << 30
"""Bytes that a run may take, with those that earlier runs have left."""


def memory_folder() -> Path | None:
    """Where there is room for a run, programs may be started from it, and we may write; else None."""
    try:
        found = os.statvfs(PLACE)
    except OSError:
        return None
    runs_programs = not found.f_flag & os.ST_NOEXEC
    roomy = found.f_bavail * found.f_frsize >= NEEDED
    return PLACE if roomy and runs_programs and os.access(PLACE, os.W_OK) else None
