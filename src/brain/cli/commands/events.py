"""`brain events`: follow the stream, print its events, and print or write the catalogue of event types."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from brain.cli.commands.trace import trace_events
from brain.kit.cli.backend import reading_stream
from brain.kit.cli.common import (
    JsonOption,
    PatternOption,
    StreamOption,
    print_json,
    print_json_array,
    run,
    warn_of_unmatched,
)
from brain.kit.cli.text import print_text

if TYPE_CHECKING:
    from brain.charter import Event

app: typer.Typer = typer.Typer(no_args_is_help=True)

LimitOption = Annotated[int | None, typer.Option("--limit", "-n", min=1, help="End after so many events.")]
AfterOption = Annotated[str | None, typer.Option(metavar="POSITION", help="Start after this position.")]
_TIME = "An age (90s, 15m, 1h, 7d), an ISO 8601 time, or Unix seconds."


@app.command()
def tail(
    pattern: PatternOption = None,
    stream: StreamOption = None,
    after: AfterOption = None,
    limit: LimitOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, as it comes (JSON Lines).")] = False,
) -> None:
    """Print events as they happen, until Ctrl-C."""
    run(_tail(_stream_url(stream), pattern or ["*"], after, limit, as_json))


@app.command()
def replay(
    pattern: PatternOption = None,
    stream: StreamOption = None,
    since: Annotated[str | None, typer.Option(metavar="TIME", help=f"Not before. {_TIME}")] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help=f"Before. {_TIME}")] = None,
    after: AfterOption = None,
    limit: LimitOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print recorded events, oldest first. Consumers are not affected."""
    from brain.times import parse_time

    now = time.time()
    first = parse_time(since, now, "--since") if since is not None else None
    last = parse_time(until, now, "--until") if until is not None else None
    wanted = {"pattern": pattern or ["*"], "since": first, "until": last, "after": after}
    run(_replay(_stream_url(stream), wanted, limit, as_json))


@app.command()
def catalogue(
    as_json: JsonOption = False,
    asyncapi: Annotated[bool, typer.Option("--asyncapi", help="Print the AsyncAPI 3.0 document.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the modules' Markdown documents.")] = False,
    write: Annotated[
        Path | None, typer.Option("--write", metavar="FOLDER", help="Write all documents; for a project, docs/events.")
    ] = None,
) -> None:
    """Print every declared event type, or the documents generated from them."""
    from brain.docs_gen import modules
    from brain.docs_gen.asyncapi import asyncapi_document
    from brain.docs_gen.files import generated_files
    from brain.docs_gen.markdown import module_document

    documented = modules()
    if write is not None:
        for path, text in generated_files(write).items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print_text(f"wrote {path}", err=True)
    elif asyncapi:
        print_json(asyncapi_document(documented))
    elif markdown:
        print_text("\n".join(module_document(module) for module in documented), nl=False)
    elif as_json:
        from brain.server.events import catalogue_entry

        print_json_array(catalogue_entry(event) for module in documented for event in module.events)
    else:
        from rich.console import Console
        from rich.table import Column, Table

        table = Table(Column("Event type", no_wrap=True), "Priority", "Frequency", "Purpose")
        for module in documented:
            for event in module.events:
                table.add_row(event.name, event.priority, event.frequency, event.purpose)
        Console().print(table)


app.command("trace")(trace_events)


def _stream_url(given: str | None) -> str:
    from brain.settings import load_settings

    return load_settings(stream=given).stream


async def _tail(url: str, patterns: list[str], after: str | None, limit: int | None, as_json: bool) -> None:
    seen = 0
    warn_of_unmatched(patterns)
    async with reading_stream(url) as stream, aclosing(stream.subscribe(patterns, after=after)) as events:
        async for event in events:
            _put(_json(event.encode()) if as_json else _line(event))
            sys.stdout.flush()
            seen += 1
            if seen == limit:
                return


async def _replay(url: str, wanted: Mapping[str, Any], limit: int | None, as_json: bool) -> None:
    """Print the events that `EventStream.replay` gives for these arguments."""
    seen = 0
    async with reading_stream(url) as stream, aclosing(stream.replay(**wanted)) as events:
        async for event in events:
            if as_json:
                sys.stdout.write("[" if seen == 0 else ",\n ")
                sys.stdout.write(_json(event.encode()))
            else:
                _put(_line(event))
            seen += 1
            if seen == limit:
                break
    if as_json:
        _put("]" if seen else "[]")
    if not seen:
        warn_of_unmatched(wanted["pattern"])


def _json(data: bytes) -> str:
    from brain.neutral import json_bytes

    return json_bytes(data).decode()


def _put(line: str) -> None:
    sys.stdout.write(line + "\n")


def _line(event: Event) -> str:
    """One event for people: when, what, and its payload."""
    import msgspec

    moment = datetime.fromtimestamp(event.timestamp, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return f"{moment}  {event.type:<24}  {_json(msgspec.json.encode(event.payload))}"
