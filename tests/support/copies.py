"""Copies of a stream made behind its back, and put back: what people do with `cp`, `.restore` and Redis's own dumps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from support.rewinding import keep_place


def copied(url: str) -> Callable[[], None]:
    """A copy of the place, while nothing runs; the function puts it back, as `cp` would for a file."""
    if not url.startswith("sqlite"):
        return keep_place(url)
    path = Path(url.removeprefix("sqlite:///"))
    names = [path.name, f"{path.name}-wal"]
    kept = {name: (path.parent / name).read_bytes() for name in names if (path.parent / name).exists()}

    def put_back() -> None:
        for name in (*names, f"{path.name}-shm"):
            (path.parent / name).unlink(missing_ok=True)
        for name, data in kept.items():
            (path.parent / name).write_bytes(data)

    return put_back
