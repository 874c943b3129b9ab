"""`brain ingest`: turn the logs of other programs into threats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from brain.kit.cli.common import JsonOption, StreamOption, print_json_array, run

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from brain.settings import CoreSettings
    from brain.store import Store
    from brain.threats.sightings import Recorded
    from brain.threats.sshd_ingest import SshdIngest
    from brain.threats.sshd_log import SshdFinding

ROWS = 50
"""Addresses shown in the table, the busiest first; `--json` gives all."""
LOOK = 0.5
"""Seconds between two looks at logs that are followed."""
PASSED_OVER = {
    "key": "refused keys",
    "part": "further lines of attempts",
    "reverse_dns": "reverse-DNS warnings",
    "other": "other messages of sshd",
}
"""Sorts of lines that are no evidence, in words."""

app: typer.Typer = typer.Typer(no_args_is_help=True)


@app.callback()
def ingest() -> None:
    """Turn logs into threats."""  # keeps `sshd` a word of its own while no other plug-in adds commands


@app.command()
def sshd(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="sshd logs, also packed by gzip or xz; - reads standard input."),
    ],
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what is written, also over rotations.")
    ] = False,
    stream: StreamOption = None,
    as_json: JsonOption = False,
    least: Annotated[int, typer.Option(min=1, metavar="N", help="Attempts that make an address a threat.")] = 5,
) -> None:
    """Find who tries to break in: failed passwords, unknown users, refused logins; one threat per address.

    Syslog in all its forms, journalctl's output and its JSON, macOS, Solaris. The same file again changes nothing; one
    that has grown counts as grown; another one adds.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    from brain.errors import InvalidInput
    from brain.kit.log_files import check_logs
    from brain.settings import load_settings
    from brain.store import open_store
    from brain.threats.log_places import LogPlaces
    from brain.threats.sshd_ingest import SshdIngest

    if follow and Path("-") in files:
        raise InvalidInput("--follow: needs files; standard input (-) is read to its end")
    check_logs(files)
    settings = load_settings(stream=stream, store=stream)
    messages = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with (
        closing(open_store(settings.store_url)) as store,
        Progress(*columns, console=messages, transient=True, disable=follow or not messages.is_terminal) as progress,
    ):
        made = SshdIngest(files, least, LogPlaces(store))
        _read(made, files, progress, partial=not follow)
        if not follow:
            _check_readable(made, files)
        run(_record(settings, store, made, follow))
    findings = made.findings()
    if as_json:
        print_json_array(_row(finding, made.recorded.get(finding.address)) for finding in findings)
    else:
        _print_table(findings, made.recorded)
    _print_summary(messages, files, made)


def _read(made: SshdIngest, files: Sequence[Path], progress: Progress, *, partial: bool) -> None:
    """Read the files. Raises InvalidInput."""
    size = sum(path.stat().st_size for path in files if path.is_file())
    task = progress.add_task("reading", total=size or None)
    made.read(lambda done: progress.update(task, completed=done), partial=partial)


def _check_readable(made: SshdIngest, files: Sequence[Path]) -> None:
    """Raises InvalidInput for a log of which no line could be read."""
    from brain.errors import InvalidInput
    from brain.kit.cli.text import printable

    for log in made.logs:
        if log.lines and log.unreadable == log.lines:
            number, text = log.examples[0]
            names = ", ".join(map(str, files))
            raise InvalidInput(f"{names}: no line of a log in {log.lines} lines; line {number}: {printable(text)}")


async def _record(settings: CoreSettings, store: Store, made: SshdIngest, follow: bool) -> None:
    """Record the threats; with `follow` look at the files again and again, until interrupted."""
    import asyncio

    from brain.stream import EventStream
    from brain.threats.service import ThreatService

    async with EventStream.open(settings.stream) as stream:
        service = ThreatService(stream, store)
        await made.record(service)
        while follow:
            await asyncio.sleep(LOOK)
            if made.read(partial=False):
                await made.record(service)


def _state(recorded: Recorded | None) -> str:
    if recorded is None:
        return "below"
    return "new" if recorded.new else "grown" if recorded.changed else "known"


def _row(finding: SshdFinding, recorded: Recorded | None) -> Mapping[str, Any]:
    return {
        "source": finding.address,
        "attempts": finding.attempts,
        **finding.counts,
        "severity": recorded.threat.severity if recorded else None,
        "threat_id": recorded.threat.id if recorded else None,
        "state": _state(recorded),
        "first_seen": finding.first_seen,
        "last_seen": finding.last_seen,
        "users": [user for user, _ in finding.users.most_common(10)],
        "evidence": recorded.threat.metadata["evidence"] if recorded else None,
    }


def _print_table(findings: Sequence[SshdFinding], recorded: Mapping[str, Recorded]) -> None:
    from rich.table import Table

    from brain.kit.cli.tables import print_table

    breached = any(finding.logins_after_failures for finding in findings)
    table = Table()
    table.add_column("Source address", no_wrap=True)
    for title in ("Failed passwords", "Invalid users", "Refused logins", *(["Logins after"] if breached else [])):
        table.add_column(title, justify="right", min_width=max(map(len, title.split())))
    table.add_column("Severity", no_wrap=True)
    table.add_column("State", no_wrap=True)
    table.add_column("Threat", overflow="fold")
    for finding in findings[:ROWS]:
        made = recorded.get(finding.address)
        numbers = list(finding.counts.values())
        table.add_row(
            finding.address,
            *(str(number or "") for number in (numbers if breached else numbers[:3])),
            made.threat.severity if made else "",
            _state(made),
            made.threat.id if made else "",
        )
    if findings:
        print_table(table)


def _print_summary(messages: Console, files: Sequence[Path], made: SshdIngest) -> None:
    from brain.kit.cli.text import printable
    from brain.kit.sshd.attempts import LineSort

    def say(text: str) -> None:
        messages.print(text, markup=False, highlight=False, soft_wrap=True)

    logs, addresses = made.logs, len(made.findings())
    states = [_state(one) for one in made.recorded.values()]
    line = f"{', '.join(map(str, files))}: {sum(log.lines for log in logs)} lines, {addresses} addresses"
    line += f", {len(states)} threats"
    line += "".join(f", {states.count(state)} {state}" for state in ("new", "grown") if states.count(state))
    if addresses > ROWS:
        line += f"; the table shows the {ROWS} busiest, --json all"
    say(line)
    passed = {word: sum(log.passed_over[LineSort(sort)] for log in logs) for sort, word in PASSED_OVER.items()}
    passed["other lines"] = sum(log.other_lines for log in logs)
    if any(passed.values()):
        say(f"passed over: {', '.join(f'{number} {word}' for word, number in passed.items() if number)}")
    unreadable = sum(log.unreadable for log in logs)
    if unreadable:
        say(f"{unreadable} lines could not be read, for example")
        for number, text in [one for log in logs for one in log.examples][:5]:
            say(f"  line {number}: {printable(text)}")
