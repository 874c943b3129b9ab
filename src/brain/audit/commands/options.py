"""What the commands of `brain audit` share: options, opening the log, files and progress."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

if TYPE_CHECKING:
    from brain.audit.custody import Custody
    from brain.audit.note import Verifier
    from brain.audit.search import EntryQuery
    from brain.settings import Settings

_TIME = "an age (90s, 15m, 1h, 7d), an ISO 8601 time, or Unix seconds."

DatabaseOption = Annotated[
    str | None,
    typer.Option("--database", metavar="URL", help="Where the log is; else BRAIN_DATABASE, beside the stream."),
]
KeyOption = Annotated[
    str | None,
    typer.Option(
        "--key", metavar="PUBLIC", help="The log's public key, or a file that holds it, for who has only that."
    ),
]
OutputOption = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write to this file, not to standard output.")
]
SinceOption = Annotated[str | None, typer.Option(metavar="TIME", help=f"Not before: {_TIME}")]
UntilOption = Annotated[str | None, typer.Option(metavar="TIME", help=f"Before: {_TIME}")]
AgentOption = Annotated[str | None, typer.Option(help="Only about this agent.")]
ThreatOption = Annotated[str | None, typer.Option(help="Only about this threat.")]
StoryOption = Annotated[str | None, typer.Option("--correlation-id", "-c", help="Only events of this story.")]
TextOption = Annotated[str | None, typer.Option(help="Only events that hold this text, in whatever case.")]

_SAY_EVERY = 2.0  # seconds between two lines of progress where there is no terminal


def load(stream: str | None, database: str | None) -> Settings:
    """The settings, with these options before them."""
    from brain.settings import load_settings

    return load_settings(stream=stream, database=database)


@contextmanager
def opened(stream: str | None, database: str | None) -> Iterator[Custody]:
    """The log that the options and settings name. Raises NotFound when it is not begun, Unavailable on an outage."""
    with opened_with(load(stream, database)) as custody:
        yield custody


@contextmanager
def opened_with(settings: Settings) -> Iterator[Custody]:
    """The log that the settings name. Raises as `opened`."""
    from brain.audit.custody import Custody
    from brain.audit.settings import AuditSettings
    from brain.errors import NotFound
    from brain.kit.database import default_database, open_database, reachable
    from brain.store.sqlite import sqlite_path

    url = settings.database or default_database(settings.stream)
    if url.startswith("sqlite:") and not sqlite_path(url).exists():
        raise NotFound(
            f"audit log: there is no file {sqlite_path(url)}; `brain serve` or `brain worker audit` makes it"
        )
    engine = open_database(url)
    try:
        custody = Custody(settings.table(AuditSettings), engine)
        custody.verifier()
        with reachable(engine):
            yield custody
    finally:
        engine.dispose()


def wanted_from(
    pattern: list[str] | None,
    since: str | None,
    until: str | None,
    agent: str | None,
    threat: str | None,
    correlation_id: str | None,
    text: str | None,
) -> EntryQuery:
    """The filters as the command line gave them. Raises InvalidInput."""
    from brain.audit.search import EntryQuery
    from brain.charter import Pattern
    from brain.times import parse_time

    now = time.time()
    return EntryQuery(
        pattern=Pattern(pattern or "*"),
        since=parse_time(since, now, "--since") if since is not None else None,
        until=parse_time(until, now, "--until") if until is not None else None,
        agent=agent,
        threat=threat,
        correlation_id=correlation_id,
        text=text,
    )


def parse_key(text: str) -> Verifier:
    """The public key written out, or the one in the file of that name. Raises InvalidInput."""
    from brain.audit.note import Verifier

    path = Path(text)
    return Verifier.parse(read_file(path).decode(errors="replace") if len(text) < 4096 and path.is_file() else text)


def read_file(path: Path) -> bytes:
    """What is in the file. Raises InvalidInput when it cannot be read."""
    from brain.errors import InvalidInput

    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be read: {error.strerror}") from error


@contextmanager
def writing(path: Path | None) -> Iterator[BinaryIO]:
    """The file, or standard output, to write to. Raises InvalidInput when the file cannot be written."""
    from brain.errors import InvalidInput

    if path is None:
        yield sys.stdout.buffer
        return
    try:
        with path.open("wb") as file:
            yield file
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be written: {error.strerror}") from error


def write_out(path: Path | None, data: bytes) -> None:
    """To the file, or to standard output. Raises InvalidInput when it cannot be written."""
    with writing(path) as file:
        file.write(data)
    if path is not None:
        typer.echo(f"wrote {path}", err=True)


@contextmanager
def show_progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """How far the work has come, on standard error: a bar on a terminal, elsewhere a line every two seconds."""
    if not sys.stderr.isatty():
        yield _Lines(what)
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


class _Lines:
    def __init__(self, what: str) -> None:
        self._what = what
        self._said = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._said >= _SAY_EVERY and done < total:
            self._said = now
            typer.echo(f"{done:,} of {total:,} {self._what}", err=True)
