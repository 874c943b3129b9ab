"""`brain audit`: verify the audit log, prove what is in it, search and export it, and say what it keeps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from brain.audit.commands.options import (
    AgentOption,
    DatabaseOption,
    KeyOption,
    OutputOption,
    SinceOption,
    StoryOption,
    TextOption,
    ThreatOption,
    UntilOption,
    opened,
    parse_key,
    read_file,
    show_progress,
    wanted_from,
    write_out,
    writing,
)
from brain.audit.commands.retention import hold_app, prune
from brain.kit.cli.common import JsonOption, PatternOption, StreamOption, print_json, print_json_array

if TYPE_CHECKING:
    from brain.audit.search import Entry
    from brain.audit.verify import Report

app = typer.Typer(help="The audit log: verify, prove, search, export, hold and prune.", no_args_is_help=True)
app.add_typer(hold_app, name="hold")
app.command()(prune)

FALSE_EXIT = 1
"""Exit code when the log or a proof is not what it should be."""


@app.command()
def verify(
    stream: StreamOption = None,
    database: DatabaseOption = None,
    from_checkpoint: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A checkpoint that you kept: the log must continue it; begin from there."),
    ] = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Go through the log: every payload, hash, seal and checkpoint. Exit code 1, naming the place, if one is wrong."""
    from brain.audit.local_checkpoint import read_note
    from brain.audit.verify import verify as verify_log

    kept = read_file(from_checkpoint) if from_checkpoint is not None else None
    with opened(stream, database) as custody:
        known = parse_key(key) if key is not None else custody.known_key()
        with show_progress("entries") as progress:
            report = verify_log(custody.database, known, kept, progress, read_note(custody.remembered))
    if as_json:
        print_json(report)
    else:
        _print_report(report)
    if not report.ok:
        raise typer.Exit(FALSE_EXIT)


@app.command()
def prove(
    event_id: Annotated[str, typer.Argument(metavar="EVENT_ID", help="The event's id, evt_...")],
    stream: StreamOption = None,
    database: DatabaseOption = None,
    output: OutputOption = None,
) -> None:
    """Write a proof that the event is in the log, which `verify-proof` checks without the log."""
    from brain.audit import proofs

    with opened(stream, database) as custody:
        proof = proofs.prove(custody.database, event_id)
    write_out(output, proofs.encode(proof))


@app.command()
def consistency(
    kept: Annotated[Path, typer.Argument(metavar="FILE", help="A checkpoint that you kept.")],
    stream: StreamOption = None,
    database: DatabaseOption = None,
    output: OutputOption = None,
) -> None:
    """Write a proof that the log continues a kept checkpoint, which `verify-proof` checks without the log."""
    from brain.audit import proofs

    note = read_file(kept)
    with opened(stream, database) as custody:
        proof = proofs.prove_consistency(custody.database, note)
    write_out(output, proofs.encode(proof))


@app.command("verify-proof")
def verify_proof(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A proof file.")],
    key: Annotated[str, typer.Option(metavar="PUBLIC", help="The log's public key, or a file that holds it.")],
    as_json: JsonOption = False,
) -> None:
    """Check a proof with the public key alone: no database, no network. Exit code 1 if it does not hold."""
    import msgspec

    from brain.audit import proofs
    from brain.audit.merkle import BadProof
    from brain.audit.note import BadNote

    data, known = read_file(file), parse_key(key)
    try:
        proven = proofs.check(data, known)
    except (BadProof, BadNote) as error:
        typer.echo(f"the proof does not hold: {error}", err=True)
        raise typer.Exit(FALSE_EXIT) from None
    if as_json:
        print_json({**msgspec.structs.asdict(proven), "ok": True})
    elif proven.index is None:
        typer.echo(f"proven: the log {proven.origin} of {proven.size} entries begins with that of {proven.old_size}")
        typer.echo(f"  root of {proven.old_size}: {proven.old_root}\n  root of {proven.size}: {proven.root}")
    else:
        typer.echo(f"proven: entry {proven.index} of the log {proven.origin}, which had {proven.size} entries")
        typer.echo(f"  root: {proven.root}")
        _print_event(proven.event)


@app.command()
def checkpoint(stream: StreamOption = None, database: DatabaseOption = None, output: OutputOption = None) -> None:
    """Write the newest signed checkpoint: keep it elsewhere, and verify from it later."""
    from brain.audit.log import newest_note
    from brain.errors import NotFound
    from brain.kit.database import reading

    with opened(stream, database) as custody, reading(custody.database).connect() as connection:
        note = newest_note(connection)
    if note is None:
        raise NotFound("audit log: nothing is logged yet")
    write_out(output, note)


@app.command()
def key(stream: StreamOption = None, database: DatabaseOption = None) -> None:
    """Print the log's public key, with which others verify proofs and checkpoints."""
    from brain.audit.note import Signer

    with opened(stream, database) as custody:
        known = custody.known_key()
    typer.echo(str(known.verifier if isinstance(known, Signer) else known))


@app.command()
def search(
    stream: StreamOption = None,
    database: DatabaseOption = None,
    pattern: PatternOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    agent: AgentOption = None,
    threat: ThreatOption = None,
    correlation_id: StoryOption = None,
    text: TextOption = None,
    before: Annotated[int | None, typer.Option(min=0, metavar="INDEX", help="Only entries before this one.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many.")] = 100,
    as_json: JsonOption = False,
) -> None:
    """Print entries that fit all filters, the newest first."""
    from brain.audit.export import document
    from brain.audit.search import find
    from brain.kit.database import reading

    wanted = wanted_from(pattern, since, until, agent, threat, correlation_id, text)
    with opened(stream, database) as custody, reading(custody.database).connect() as connection:
        found = find(connection, wanted, before, limit)
    if as_json:
        print_json_array(document(entry) for entry in found)
    elif found:
        _print_entries(found)
    else:
        typer.echo("no entries", err=True)


@app.command()
def export(
    format: Annotated[str, typer.Option("--format", "-f", help="jsonl, csv, parquet, ocsf or cef.")] = "jsonl",
    stream: StreamOption = None,
    database: DatabaseOption = None,
    pattern: PatternOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    agent: AgentOption = None,
    threat: ThreatOption = None,
    correlation_id: StoryOption = None,
    text: TextOption = None,
    output: OutputOption = None,
) -> None:
    """Write entries that fit all filters, the oldest first, to a file or standard output."""
    from brain.audit.export import writer_of
    from brain.audit.search import each

    write = writer_of(format)
    wanted = wanted_from(pattern, since, until, agent, threat, correlation_id, text)
    with opened(stream, database) as custody:
        entries = each(custody.database, wanted)
        with writing(output) as file:
            count = write(entries, file)
    typer.echo(f"{count} entries", err=True)


def _print_report(report: Report) -> None:
    if report.ok:
        whole = "all" if report.verified_from == 0 else f"from entry {report.verified_from} on"
        typer.echo(f"good: {report.origin}, {report.size} entries ({whole}), {report.checkpoints} checkpoints")
        typer.echo(f"  root: {report.root}")
    else:
        typer.echo(f"BAD: {report.origin}, from entry {report.first_bad_index} on")
        typer.echo(f"  {report.problem}")
    if report.deleted:
        typer.echo(f"  payloads deleted by retention, of which the hash is kept: {report.deleted}")
    if not report.sealed:
        typer.echo("  seals not checked: that needs the log's private key")
    rate = (report.size - report.verified_from) / report.seconds if report.seconds else 0
    typer.echo(f"  {report.seconds:.1f} s, {rate:,.0f} entries/s")


def _print_entries(found: list[Entry]) -> None:
    from rich.table import Table

    from brain.kit.cli.tables import cell, print_table
    from brain.kit.cli.text import moment, summary

    table = Table("Index", "Time", "Type", "Event", "Payload")
    for entry in found:
        event = entry.event
        shown = summary(event.payload) if event else "deleted" if entry.data is None else "bytes that are no event"
        table.add_row(
            str(entry.index), moment(entry.at), *(cell(text) for text in (entry.type, entry.event_id or "-", shown))
        )
    print_table(table)


def _print_event(data: bytes | None) -> None:
    from brain.kit.cli.text import printable

    if data is None:
        typer.echo("  the event's bytes were deleted by retention; its hash is proven")
    else:
        typer.echo(f"  {printable(data.decode(errors='replace'))}")
