"""Texts from elsewhere, made safe to print on a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import typer

from brain.neutral import plain_text, printable

__all__ = ["moment", "print_text", "printable", "summary"]


def print_text(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Print to standard output, or standard error, what may hold texts of others: no control in it acts.

    Line ends stay: a value that must not begin a line of its own is given as `printable` has it.
    """
    typer.echo(plain_text(text), err=err, nl=nl)


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
