"""`brain ingest json|cloudtrail|k8s-audit|falco|access-log`: logs through the detections, hits into threats."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from brain.kit.cli.common import DatabaseOption, JsonOption, StreamOption, print_json_array, run
from brain.kit.cli.text import print_text

if TYPE_CHECKING:
    from brain.detections.ingest import LogIngest
    from brain.detections.models import LogKind

FilesArgument = Annotated[
    list[Path], typer.Argument(metavar="FILE...", help="Logs, also packed by gzip or xz; - reads standard input.")
]
FollowOption = Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is written, also over rotations.")]
NameOption = Annotated[str | None, typer.Option(help="What the rules' logsource says of these records.")]
LOOK = 0.5
"""Seconds between two looks at a log that is followed."""


def cloudtrail(
    files: FilesArgument,
    follow: FollowOption = False,
    stream: StreamOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find attacks in AWS CloudTrail: files as S3 has them, or one record a line."""
    _ingest("cloudtrail", files, follow, (stream, database), as_json)


def k8s_audit(
    files: FilesArgument,
    follow: FollowOption = False,
    stream: StreamOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find attacks in a Kubernetes audit log: one event a line, or EventLists as a webhook is sent them."""
    _ingest("k8s-audit", files, follow, (stream, database), as_json)


def falco(
    files: FilesArgument,
    follow: FollowOption = False,
    stream: StreamOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Turn Falco's alerts, as JSON, into threats."""
    _ingest("falco", files, follow, (stream, database), as_json)


def access_log(
    files: FilesArgument,
    follow: FollowOption = False,
    stream: StreamOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find attacks in a web server's access log: the common or combined format of Apache and nginx."""
    _ingest("access-log", files, follow, (stream, database), as_json)


def auth_log(
    files: FilesArgument,
    follow: FollowOption = False,
    stream: StreamOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put an sshd log to the detections: syslog in all its forms, journalctl's output and its JSON, macOS, Solaris.

    `brain ingest sshd` makes one threat of each address that tries to break in; this one finds guessed passwords, names
    tried from one address or one name from many, and logins from new addresses.
    """
    _ingest("sshd", files, follow, (stream, database), as_json)


def json(
    files: FilesArgument,
    follow: FollowOption = False,
    category: NameOption = None,
    product: NameOption = None,
    service: NameOption = None,
    stream: StreamOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put JSON records to the rules of a logsource: --product, --category, --service. Windows' events need none."""
    from brain.detections.models import LogKind

    parts = [() if name is None else (name,) for name in (category, product, service)]
    _ingest("json", files, follow, (stream, database), as_json, LogKind(*parts))


def _ingest(
    kind: str,
    files: Sequence[Path],
    follow: bool,
    parts: tuple[str | None, str | None],
    as_json: bool,
    extra: LogKind | None = None,
) -> None:
    """Read the logs, report the hits, and print them."""
    from brain.detections.ingest import LogIngest
    from brain.detections.models import LogKind
    from brain.detections.settings import DetectionSettings
    from brain.detections.tasks import load_configured
    from brain.kit.log_files import check_logs
    from brain.settings import load_settings

    check_logs(files)
    stream, database = parts
    settings = load_settings(stream=stream, store=stream, database=database)
    loaded = load_configured(settings.table(DetectionSettings))
    began = time.time()

    async def work() -> list[Mapping[str, Any]]:
        from brain.detections.opening import writing_context

        async with writing_context(settings) as (context, report):
            ingest = LogIngest(context.database, loaded, kind, extra or LogKind())
            for path in files:
                ingest.read(path, partial=not follow)
            if follow:
                await _follow(ingest, files, report)
            else:
                _check_readable(ingest, kind, files)
            await report()
            return _rows(context.database, began)

    rows = run(work())
    _print(rows, as_json)


async def _follow(ingest: LogIngest, files: Sequence[Path], report: Callable[[], Any]) -> None:
    """Look at the logs again and again, until interrupted."""
    import asyncio

    while True:
        read = ingest.summary.counted
        for path in files:
            if path.exists():
                ingest.read(path, partial=False)
        if ingest.summary.counted != read:
            await report()
        await asyncio.sleep(LOOK)


def _check_readable(ingest: LogIngest, kind: str, files: Sequence[Path]) -> None:
    """Raises InvalidInput when nothing could be read."""
    from brain.errors import InvalidInput
    from brain.kit.cli.text import printable

    summary = ingest.summary
    names = ", ".join(str(path) for path in files)
    if summary.read and summary.unreadable == summary.read:
        number, text = summary.examples[0]
        raise InvalidInput(f"{names}: no record of {kind} in {summary.read} lines; line {number}: {printable(text)}")
    line = f"{names}: {summary.read} records, {summary.counted} counted"
    line += f", {summary.repeated} known before" if summary.repeated else ""
    line += f", {summary.passed_over} passed over" if summary.passed_over else ""
    print_text(line, err=True)
    if summary.unreadable:
        print_text(f"{summary.unreadable} records could not be read, for example", err=True)
        for number, text in summary.examples:
            print_text(f"  line {number}: {printable(text)}", err=True)


def _rows(database: Any, since: float) -> list[Mapping[str, Any]]:
    import msgspec

    from brain.detections.http import read_hits

    return [msgspec.to_builtins(hit) for hit in read_hits(database, 1000)]


def _print(rows: Sequence[Mapping[str, Any]], as_json: bool) -> None:
    from brain.kit.cli.text import moment, printable

    if as_json:
        print_json_array(rows)
        return
    for row in rows:
        what = f"{row['name']} ({row['level']}) {printable(row['source'])}: {row['count']}"
        print_text(f"{moment(row['opened_at'])} {what}; threat {row['threat']}")
    if not rows:
        print_text("nothing was found", err=True)
