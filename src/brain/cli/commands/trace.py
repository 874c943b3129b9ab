"""`brain events trace`: the events of one correlation id, across all plug-ins."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from brain.kit.cli.backend import opened
from brain.kit.cli.common import JsonOption, StreamOption, print_json_array

if TYPE_CHECKING:
    from brain.stream.timeline import CausalStep


def trace_events(
    correlation_id: Annotated[str, typer.Argument(help="The id that the events share.")],
    stream: StreamOption = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Look no further back: 90s, 15m, 7d, an ISO 8601 time.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Print the events of one correlation id, each below the one that caused it."""
    from brain.errors import NotFound
    from brain.stream.timeline import as_tree, find_timeline
    from brain.times import parse_time

    start = parse_time(since, time.time(), "--since") if since is not None else None
    with opened(stream) as backend:
        story = find_timeline(backend, correlation_id, start)
    if not story:
        raise NotFound(f"no event with the correlation id {correlation_id!r} is in the stream")
    steps = as_tree(story)
    if as_json:
        print_json_array(map(_row, steps))
    else:
        _print(steps)


def _row(step: CausalStep) -> dict[str, object]:
    return {
        "position": step.position,
        "timestamp": step.event.timestamp,
        "delta": round(step.delta, 6),
        "depth": step.depth,
        "type": step.event.type,
        "source": step.event.source,
        "causation_id": step.event.meta.get("causation_id"),
        "event": step.event,
    }


def _print(steps: list[CausalStep]) -> None:
    from brain.kit.cli.text import moment, printable, summary

    wide = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    names = [f"{_branch(step.last)}{step.event.type}" for step in steps]
    widest = max(map(len, names))
    sources = max(len(step.event.source) for step in steps)
    for step, name in zip(steps, names, strict=True):
        line = (
            f"{moment(step.event.timestamp)}  {step.delta:+9.3f} s  {name:<{widest}}  {step.event.source:<{sources}}  "
        )
        typer.echo(printable(line + summary(step.event.payload), wide).rstrip())


def _branch(last: tuple[bool, ...]) -> str:
    if not last:
        return ""
    return "".join("   " if ended else "│  " for ended in last[:-1]) + ("└─ " if last[-1] else "├─ ")
