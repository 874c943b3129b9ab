"""`brain events trace`: the events of one correlation id, across all plug-ins."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from brain.kit.cli.backend import opened
from brain.kit.cli.common import JsonOption, StreamOption, print_json_array


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
    from brain.kit.causal_timeline import find_causal_timeline, step_row
    from brain.kit.cli.timeline import print_steps
    from brain.times import parse_time

    start = parse_time(since, time.time(), "--since") if since is not None else None
    with opened(stream) as backend:
        timeline = find_causal_timeline(backend, correlation_id, since=start)
    if not timeline.steps:
        raise NotFound(f"no event with the correlation id {correlation_id!r} is in the stream")
    if as_json:
        print_json_array(map(step_row, timeline.steps))
    else:
        print_steps(timeline.steps)
