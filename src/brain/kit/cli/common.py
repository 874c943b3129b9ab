"""Options that several commands have, and how they print."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine, Iterable
from typing import Annotated, Any, TypeVar

import typer

from brain.kit.cli.text import print_text

__all__ = [
    "DatabaseOption",
    "JsonOption",
    "PatternOption",
    "StreamOption",
    "print_json",
    "print_json_array",
    "run",
    "warn_of_unmatched",
]

StreamOption = Annotated[
    str | None,
    typer.Option(
        "--stream",
        metavar="URL",
        help="sqlite:///file.db, redis://host:port/0 or memory://; else BRAIN_STREAM, brain.toml, sqlite:///brain.db.",
    ),
]
"""The option `--stream`: the stream's URL."""
DatabaseOption = Annotated[
    str | None,
    typer.Option("--database", metavar="URL", help="The consumers' tables; else BRAIN_DATABASE, or beside the stream."),
]
"""The option `--database`: the URL of the consumers' tables."""
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
"""The option `--json`."""
PatternOption = Annotated[
    list[str] | None,
    typer.Option("--pattern", "-p", metavar="PATTERN", help="Event types wanted, such as threat.*; may be repeated."),
]
"""The option `--pattern`: the event types wanted."""

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T], new_loop: Callable[[], asyncio.AbstractEventLoop] | None = None) -> T:
    """Run async work to its end, on asyncio's own event loop or another; Ctrl-C ends the command with exit code 130.

    Stored items that could not be read are named on standard error.
    """
    from brain.unreadable import collecting

    try:
        with collecting() as unreadable, asyncio.Runner(loop_factory=new_loop) as runner:
            return runner.run(work)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    finally:
        for name in unreadable:
            print_text(f"left out: {name} is stored and cannot be read by this version; see the log", err=True)


def print_json(value: object) -> None:
    """One JSON document on standard output."""
    import msgspec

    from brain.neutral import json_bytes

    sys.stdout.write(json_bytes(msgspec.json.format(msgspec.json.encode(value))).decode() + "\n")


def print_json_array(rows: Iterable[object]) -> None:
    """One JSON array on standard output, an element a line."""
    import msgspec

    from brain.neutral import json_bytes

    lines = (json_bytes(msgspec.json.encode(row)).decode() for row in rows)
    sys.stdout.write("[" + ",\n ".join(lines) + "]\n")


def warn_of_unmatched(patterns: Iterable[str] | None) -> None:
    """Say on standard error which of the patterns match no declared event type."""
    from brain.kit.event_patterns import unmatched_note

    if patterns and (note := unmatched_note(patterns)) is not None:
        print_text(f"note: {note}", err=True)
