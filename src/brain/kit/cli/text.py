"""Texts from elsewhere, made safe to print on a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from brain.neutral import printable

__all__ = ["moment", "printable", "summary"]


def moment(unix_seconds: float) -> str:
    """A time in UTC, to the millisecond."""
    return datetime.fromtimestamp(unix_seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def summary(payload: Mapping[str, Any]) -> str:
    """A payload on one line: plain values by name, and the lengths of lists."""
    return printable("  ".join(f"{key}={_shown(value)}" for key, value in payload.items()))


def _shown(value: object) -> str:
    match value:
        case bool() | None:
            return {True: "true", False: "false", None: "null"}[value]
        case dict():
            return "{…}" if value else "{}"
        case list():
            return f"[{len(value)}]"
        case _:
            return str(value) if len(str(value)) <= 80 else f"{str(value)[:79]}…"
