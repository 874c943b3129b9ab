"""What the files below folders hold. A program may remove some meanwhile: a journal goes as soon as it is stored."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def contents(*folders: Path) -> dict[Path, bytes]:
    """Each file below the folders with its bytes, without those that are gone when it is their turn."""
    found = {}
    for folder in folders:
        for place, _, names in os.walk(folder):
            for path in (Path(place, name) for name in names):
                with suppress(FileNotFoundError):
                    found[path] = path.read_bytes()
    return found
