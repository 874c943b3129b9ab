"""`brain ingest`: turn the logs of other programs into threats."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from brain.kit.cli.common import JsonOption, StreamOption, print_json_array, run

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from brain.threats.sightings import Recorded
    from brain.threats.sshd import SshdFinding, SshdLog

LONGEST_LINE = 65_536
"""Bytes read as one line at most: a longer one is no log line."""
ROWS = 50
"""Addresses shown in the table, the busiest first; `--json` gives all."""

app: typer.Typer = typer.Typer(no_args_is_help=True)


@app.callback()
def ingest() -> None:
    """Turn logs into threats."""  # keeps `sshd` a word of its own while no other plug-in adds commands


@app.command()
def sshd(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An sshd log: auth.log, secure, journalctl's output.")],
    stream: StreamOption = None,
    as_json: JsonOption = False,
    least: Annotated[int, typer.Option(min=1, metavar="N", help="Attempts that make an address a threat.")] = 5,
) -> None:
    """Find who tries to break in: failed passwords, invalid users, break-in warnings; one threat per address.

    The same file again changes nothing; one that has grown counts as grown; another one adds.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    from brain.settings import load_settings

    settings = load_settings(stream=stream, store=stream)
    messages = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=messages, transient=True, disable=not messages.is_terminal) as progress:
        log = _read(file, progress)
        recorded = run(_record(settings.stream, settings.store_url, log, least, progress))
    if as_json:
        print_json_array(_row(finding, recorded.get(finding.address)) for finding in log.findings)
    else:
        _print_table(log, recorded)
    _print_summary(messages, file, log, recorded)


def _read(file: Path, progress: Progress) -> SshdLog:
    """Read the file. Raises InvalidInput when it cannot be."""
    from brain.errors import InvalidInput
    from brain.threats.sshd import read_sshd

    try:
        with file.open("rb") as opened:
            about = file.stat()
            return read_sshd(_lines(opened, progress, about.st_size), about.st_mtime)
    except OSError as error:
        raise InvalidInput(f"{file}: cannot be read: {error.strerror}; give the path of an sshd log") from error


def _lines(opened: BinaryIO, progress: Progress, size: int) -> Iterator[bytes]:
    """The lines, the progress shown after every thousand; of one that is too long the rest is skipped."""
    task = progress.add_task("reading", total=size)
    number = done = 0
    while line := opened.readline(LONGEST_LINE):
        done += len(line)
        yield line
        while len(line) == LONGEST_LINE and not line.endswith(b"\n"):
            line = opened.readline(LONGEST_LINE)
            done += len(line)
        number += 1
        if number % 1_000 == 0:
            progress.update(task, completed=done)
    progress.update(task, completed=done)


async def _record(stream_url: str, store_url: str, log: SshdLog, least: int, progress: Progress) -> dict[str, Recorded]:
    """Record the threats among the findings; by address."""
    from brain.store import open_store
    from brain.stream import EventStream
    from brain.threats.service import ThreatService
    from brain.threats.sshd import is_threat, sighting

    threats = [finding for finding in log.findings if is_threat(finding, least)]
    store = open_store(store_url)
    try:
        async with EventStream.open(stream_url) as stream:
            service = ThreatService(stream, store)
            return {
                finding.address: await service.record_sighting(sighting(log, finding))
                for finding in progress.track(threats, description="recording")
            }
    finally:
        store.close()


def _state(recorded: Recorded | None) -> str:
    if recorded is None:
        return "below"
    return "new" if recorded.new else "grown" if recorded.changed else "known"


def _row(finding: SshdFinding, recorded: Recorded | None) -> Mapping[str, Any]:
    return {
        "source": finding.address,
        **finding.counts,
        "severity": recorded.threat.severity if recorded else None,
        "threat_id": recorded.threat.id if recorded else None,
        "state": _state(recorded),
        "first_seen": finding.first_seen,
        "last_seen": finding.last_seen,
        "users": [user for user, _ in finding.users.most_common(10)],
        "evidence": recorded.threat.metadata["evidence"] if recorded else None,
    }


def _print_table(log: SshdLog, recorded: Mapping[str, Recorded]) -> None:
    from rich.table import Table

    from brain.kit.cli.tables import print_table

    breached = any(finding.logins_after_failures for finding in log.findings)
    table = Table()
    table.add_column("Source address", no_wrap=True)
    for title in ("Failed passwords", "Invalid users", "Break-in warnings", *(["Logins after"] if breached else [])):
        table.add_column(title, justify="right", min_width=max(map(len, title.split())))
    table.add_column("Severity", no_wrap=True)
    table.add_column("State", no_wrap=True)
    table.add_column("Threat", overflow="fold")
    for finding in log.findings[:ROWS]:
        made = recorded.get(finding.address)
        numbers = list(finding.counts.values())
        table.add_row(
            finding.address,
            *(str(number or "") for number in (numbers if breached else numbers[:3])),
            made.threat.severity if made else "",
            _state(made),
            made.threat.id if made else "",
        )
    if log.findings:
        print_table(table)


def _print_summary(messages: Console, file: Path, log: SshdLog, recorded: Mapping[str, Recorded]) -> None:
    from brain.kit.cli.text import printable

    states = [_state(made) for made in recorded.values()]
    line = f"{file}: {log.lines} lines, {len(log.findings)} addresses, {len(states)} threats"
    line += "".join(f", {states.count(state)} {state}" for state in ("new", "grown") if states.count(state))
    if len(log.findings) > ROWS:
        line += f"; the table shows the {ROWS} busiest, --json all"
    messages.print(line, markup=False, highlight=False, soft_wrap=True)
    if log.unreadable:
        messages.print(f"{log.unreadable} lines could not be read, for example", markup=False, highlight=False)
        for number, text in log.examples:
            messages.print(f"  line {number}: {printable(text)}", markup=False, highlight=False, soft_wrap=True)
