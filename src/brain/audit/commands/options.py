"""Shared by the commands of `brain audit`: options, opening the log, files and progress."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from os.path import isfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from brain.kit.cli.text import print_text

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from brain.audit.cosignature import WitnessKey
    from brain.audit.note import Verifier
    from brain.audit.search import AuditQuery
    from brain.audit.settings import AuditSettings
    from brain.settings import Settings

_TIME = "an age (90s, 15m, 1h, 7d), an ISO 8601 time, or Unix seconds."

KeyOption = Annotated[
    str | None,
    typer.Option(
        "--key", metavar="PUBLIC", help="The log's public key, or a file with it, for those who lack the private key."
    ),
]
OutputOption = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write to this file, not to standard output.")
]
SinceOption = Annotated[str | None, typer.Option(metavar="TIME", help=f"Not before: {_TIME}")]
UntilOption = Annotated[str | None, typer.Option(metavar="TIME", help=f"Before: {_TIME}")]
AfterOption = Annotated[
    int | None, typer.Option(min=0, metavar="INDEX", help="Only entries after this one, the last of the export before.")
]
BeforeOption = Annotated[int | None, typer.Option(min=0, metavar="INDEX", help="Only entries before this one.")]
AgentOption = Annotated[str | None, typer.Option(help="Only about this agent.")]
ThreatOption = Annotated[str | None, typer.Option(help="Only about this threat.")]
CorrelationOption = Annotated[
    str | None, typer.Option("--correlation-id", "-c", help="Only events with this correlation id.")
]
PrincipalOption = Annotated[str | None, typer.Option(help="Only what this person, agent or service did.")]
TextOption = Annotated[str | None, typer.Option(help="Only events that hold this text; case does not matter.")]

_PRINT_EVERY = 2.0  # seconds between two lines of progress where there is no terminal


def load(stream: str | None, database: str | None) -> Settings:
    """The settings; these options override them."""
    from brain.settings import load_settings

    return load_settings(stream=stream, database=database)


@contextmanager
def opened(stream: str | None, database: str | None) -> Iterator[tuple[Engine, AuditSettings]]:
    """The database of the log that the options and settings name, and the log's settings.

    Raises InvalidInput without a database file, NotFound when the log is not begun, Unavailable on an outage.
    """
    with opened_with(load(stream, database)) as found:
        yield found


@contextmanager
def opened_with(settings: Settings) -> Iterator[tuple[Engine, AuditSettings]]:
    """The database of the log that the settings name, and the log's settings. Raises as `opened`."""
    from brain.audit.repository import log_verifier
    from brain.audit.settings import AuditSettings
    from brain.kit.database import database_url, open_database, reachable
    from brain.store.ours import check_exists

    url = database_url(settings)
    check_exists(url)
    engine = open_database(url)
    try:
        log_verifier(engine)
        with reachable(engine):
            yield engine, settings.table(AuditSettings)
    finally:
        engine.dispose()


def query_from(pattern: list[str] | None, since: str | None, until: str | None, **exact: Any) -> AuditQuery:
    """The query of these options; `exact` are the other fields of AuditQuery. Raises InvalidInput."""
    from brain.audit.search import AuditQuery
    from brain.charter import Pattern
    from brain.times import parse_time

    now = time.time()
    return AuditQuery(
        pattern=Pattern(pattern or "*"),
        since=parse_time(since, now, "--since") if since is not None else None,
        until=parse_time(until, now, "--until") if until is not None else None,
        **exact,
    )


def by_log(query: AuditQuery, after: int | None, before: int | None) -> AuditQuery:
    """The query with its times taken as those of the log, and between these indexes, both excluded."""
    from dataclasses import replace

    return replace(
        query,
        since=None,
        until=None,
        logged_since=query.since,
        logged_until=query.until,
        after=after,
        upto=None if before is None else before - 1,
    )


def parse_key(text: str) -> Verifier:
    """The public key written out, or the one in the file of that name. Raises InvalidInput."""
    from brain.audit.note import Verifier

    return Verifier.parse(_text_or_file(text))


def parse_witness(text: str) -> WitnessKey:
    """The public key of a witness written out, or the one in the file of that name. Raises InvalidInput."""
    from brain.audit.cosignature import WitnessKey

    return WitnessKey.parse(_text_or_file(text))


def _text_or_file(text: str) -> str:
    from brain.kit.documents import read_bytes

    return read_bytes(Path(text)).decode(errors="replace") if isfile(text) else text


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
        print_text(f"wrote {path}", err=True)


@contextmanager
def show_progress(unit: str) -> Iterator[Callable[[int, int], None]]:
    """Shows progress on standard error: a bar on a terminal, elsewhere a line every two seconds."""
    if not sys.stderr.isatty():
        yield _Lines(unit)
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(unit, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


class _Lines:
    def __init__(self, unit: str) -> None:
        self._unit = unit
        self._printed = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._printed >= _PRINT_EVERY and done < total:
            self._printed = now
            print_text(f"{done:,} of {total:,} {self._unit}", err=True)
