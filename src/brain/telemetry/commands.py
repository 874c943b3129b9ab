"""`brain telemetry`: sources, usage, samples live; record them, recover a recording, replay one as a source."""

from __future__ import annotations

import asyncio
import time
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from brain.kit.cli.common import DatabaseOption, JsonOption, StreamOption, print_json_array, run
from brain.kit.cli.text import moment, print_text, printable
from brain.neutral import json_bytes

if TYPE_CHECKING:
    import ssl

    from brain.settings import Settings

app: typer.Typer = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    epilog="Examples: brain telemetry sources | brain telemetry usage --by model | brain telemetry tail 'robot-*' | "
    "brain telemetry record -o run.mcap | brain telemetry replay run.mcap --speed 10",
)

UrlOption = Annotated[
    str | None, typer.Option("--url", metavar="URL", help="The server; else that of BRAIN_HOST and BRAIN_PORT.")
]
FileArgument = Annotated[Path, typer.Argument(metavar="FILE.mcap", help="A recording in MCAP.")]


@app.callback()
def telemetry() -> None:
    """What agents, robots and services report."""


@app.command()
def sources(
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 100,
    stream: StreamOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the sources that were seen last, with what they lost."""
    found = _asked(stream, database, lambda query: query.sources(limit))
    if as_json:
        print_json_array(found)
        return
    for row in found:
        counts = f"{row['samples']:,} samples, {row['lost']:,} lost, number {row['seq']:,}"
        print_text(f"{printable(row['id'])}: {row['state']}, {counts}, seen {moment(row['seen_at'])}")
    if not found:
        print_text("no source was seen yet; see docs/telemetry.md", err=True)


@app.command()
def usage(
    by: Annotated[str, typer.Option(metavar="agent|model|tool|all", help="How it is grouped.")] = "agent",
    since: Annotated[str, typer.Option(metavar="TIME", help="From: an age (1h, 7d), a time or Unix seconds.")] = "24h",
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 100,
    stream: StreamOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sum up tokens, cost and time of models and tools."""
    from brain.errors import InvalidInput
    from brain.telemetry.query import GROUPS
    from brain.times import parse_time

    if by not in GROUPS:
        raise InvalidInput(f"--by: {by!r} is not one of {', '.join(GROUPS)}")
    now = time.time()
    found = _asked(stream, database, lambda query: query.usage(by, parse_time(since, now, "since"), now, limit))
    if as_json:
        print_json_array(found)
        return
    for row in found:
        names = " ".join(printable(str(row[name])) for name in GROUPS[by])
        cost = "no price" if row["cost"] is None else f"{row['cost']:.4f}"
        tokens = f"{row['input_tokens']:,} in, {row['output_tokens']:,} out"
        print_text(f"{names}: {row['calls']:,} calls, {tokens}, {cost}, {row['seconds']:,.1f} s")
    if not found:
        print_text("no calls of models or tools in this time", err=True)


@app.command()
def tail(
    source: Annotated[str, typer.Argument(help="Which sources, * for any characters.")] = "*",
    count: Annotated[int | None, typer.Option("--count", "-n", min=1, help="End after so many samples.")] = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print samples as the server stores them, until Ctrl-C."""
    run(_tail(_server(url), source, count, as_json))


@app.command()
def record(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE.mcap", help="The file to write.")],
    source: Annotated[str, typer.Argument(help="Which sources, * for any characters.")] = "*",
    count: Annotated[int | None, typer.Option("--count", "-n", min=1, help="End after so many samples.")] = None,
    url: UrlOption = None,
) -> None:
    """Record the samples that the server stores from now on, until Ctrl-C.

    A recorder that is killed loses a second at most; make its file whole by `brain telemetry recover`.
    """
    run(_record(_server(url), source, out, count))


@app.command()
def recover(
    file: FileArgument, out: Annotated[Path, typer.Argument(metavar="NEW.mcap", help="The file to write.")]
) -> None:
    """Write all whole messages of a recording that was cut off to a new file."""
    from brain.telemetry.recording import recover

    print_text(f"{recover(file, out):,} messages recovered")


@app.command()
def replay(
    file: FileArgument,
    source: Annotated[str | None, typer.Option(help="The source to send as; else the file's name.")] = None,
    speed: Annotated[float, typer.Option(min=0.0, help="Times the recorded speed; 0: as fast as it goes.")] = 1.0,
    shift: Annotated[bool, typer.Option("--shift", help="Move the recorded times to now.")] = False,
    run_name: Annotated[
        str | None, typer.Option("--run", metavar="NAME", help="A numbering to go on with after a break.")
    ] = None,
    url: UrlOption = None,
) -> None:
    """Send a recording as a source: one of `brain telemetry record`, or of a robot (ROS 2)."""
    run(_replay(_server(url), file, source or file.stem, _Replay(speed, shift, run_name)))


class _Replay:
    """How a recording is sent."""

    def __init__(self, speed: float, shift: bool, run_name: str | None) -> None:
        self.speed = speed
        self.shift = shift
        self.run = run_name


class _Server:
    """Where the server is, and the key for it."""

    def __init__(self, url: str, api_key: str, verify: ssl.SSLContext | None) -> None:
        self.url = url
        self.api_key = api_key
        self.verify = verify


def _server(url: str | None) -> _Server:
    from brain.kit.own_server import own_url, trust
    from brain.settings import load_settings

    settings: Settings = load_settings()
    key = settings.api_key.get_secret_value() if settings.api_key else ""
    trusted = True if url else trust(settings)
    return _Server(url or own_url(settings), key, None if isinstance(trusted, bool) else trusted)


def _asked(stream: str | None, database: str | None, ask: Any) -> Any:
    from brain.kit.cli.database import opened_database
    from brain.telemetry.query import TelemetryQuery

    with opened_database(stream, database) as (_, engine):
        return ask(TelemetryQuery(engine))


async def _tail(server: _Server, pattern: str, count: int | None, as_json: bool) -> None:
    import msgspec

    from brain.telemetry.client import follow

    shown = 0
    async for line in follow(server.url, pattern, server.api_key, server.verify):
        if as_json:
            print_text(json_bytes(msgspec.json.encode(line)).decode())
        elif "dropped" in line:
            print_text(f"{line['dropped']:,} samples left out: this terminal is too slow", err=True)
        else:
            values = "  ".join(f"{printable(name)}={value:g}" for name, value in line["values"].items())
            print_text(f"{printable(line['source'])} {line['seq']}: {values}")
        shown += "dropped" not in line
        if shown == count:
            return


async def _record(server: _Server, pattern: str, out: Path, count: int | None) -> None:
    from brain.telemetry.client import follow
    from brain.telemetry.recording import Recorder

    dropped = 0
    with Recorder(out) as recorder:
        print_text(f"recording to {out}; Ctrl-C ends it", err=True)
        try:
            async for line in follow(server.url, pattern, server.api_key, server.verify):
                if "dropped" in line:
                    dropped += line["dropped"]
                    continue
                recorder.add(line["source"], line)
                if recorder.written == count:
                    break
        finally:
            lost = f", {dropped:,} left out: the server was too fast" if dropped else ""
            print_text(f"{recorder.written:,} samples recorded{lost}", err=True)


async def _replay(server: _Server, file: Path, source: str, how: _Replay) -> None:
    from brain.errors import InvalidInput
    from brain.telemetry.client import SourceClient
    from brain.telemetry.recording import read_recording

    samples = read_recording(file)
    opening = next(samples, None)
    if opening is None:
        raise InvalidInput(f"{file}: holds no message")
    sent = 0
    client = SourceClient(server.url, source, run=how.run, api_key=server.api_key, verify=server.verify)
    async with client:
        done = client.seq  # of a numbering that goes on
        began, moved = time.monotonic(), time.time() - opening.at if how.shift else 0.0
        for number, recorded in enumerate(chain([opening], samples), 1):
            if number <= done:
                continue
            if how.speed:
                await asyncio.sleep(max(0.0, (recorded.at - opening.at) / how.speed - (time.monotonic() - began)))
            await client.send(recorded.values, recorded.at + moved)
            sent += 1
    print_text(f"{sent:,} samples sent, {client.stored:,} stored, {client.connections:,} connections")
