"""What this package logs, caught for a test."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class _Catching(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append({"level": record.levelname.lower(), "logger": record.name, **record.brain})  # type: ignore[attr-defined]


@contextmanager
def caught_logs() -> Iterator[list[dict[str, Any]]]:
    """The lines of every level that are logged inside the block, oldest first: `event`, `level` and their values."""
    top, catching = logging.getLogger("brain"), _Catching()
    level = top.level
    top.addHandler(catching)
    top.setLevel(logging.DEBUG)
    try:
        yield catching.lines
    finally:
        top.removeHandler(catching)
        top.setLevel(level)
