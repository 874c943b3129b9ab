"""`brain audit`: verify, prove, search and export the audit log, and manage its retention."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from brain.audit.commands.keys import retire_key, rotate_key
from brain.audit.commands.options import (
    AfterOption,
    AgentOption,
    BeforeOption,
    CorrelationOption,
    KeyOption,
    OutputOption,
    PrincipalOption,
    SinceOption,
    TextOption,
    ThreatOption,
    UntilOption,
    by_log,
    opened,
    parse_key,
    parse_witness,
    query_from,
    show_progress,
    write_out,
    writing,
)
from brain.audit.commands.retention import hold_app, prune, redact
from brain.audit.commands.witness import witness as run_witness
from brain.audit.commands.witness import witnesses as list_witnesses
from brain.errors import InvalidInput
from brain.kit.cli.common import (
    DatabaseOption,
    JsonOption,
    PatternOption,
    StreamOption,
    print_json,
    print_json_array,
    warn_of_unmatched,
)
from brain.kit.cli.text import print_text

if TYPE_CHECKING:
    from brain.audit.models import AuditEntry
    from brain.audit.proofs import Proven
    from brain.audit.verify import AuditReport
    from brain.charter import Event

app: typer.Typer = typer.Typer(no_args_is_help=True)
app.add_typer(hold_app, name="hold")
app.command()(prune)
app.command()(redact)
app.command("rotate-key")(rotate_key)
app.command("retire-key")(retire_key)
app.command("witness")(run_witness)
app.command("witnesses")(list_witnesses)

FALSE_EXIT = 1
"""Exit code when the log was altered or a proof does not hold."""


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
    from brain.audit.open import checkpoint_path, open_key
    from brain.audit.verify import verify as verify_log

    kept = _read_kept(from_checkpoint) if from_checkpoint is not None else None
    with opened(stream, database) as (engine, settings):
        known = parse_key(key) if key is not None else open_key(engine, settings)
        with show_progress("entries") as progress:
            report = verify_log(engine, known, kept, progress, read_note(checkpoint_path(engine, settings)))
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

    with opened(stream, database) as (engine, settings):
        proof = proofs.prove(engine, event_id, settings.quorum)
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

    note = _read_kept(kept)
    with opened(stream, database) as (engine, settings):
        proof = proofs.prove_consistency(engine, note, settings.quorum)
    write_out(output, proofs.encode(proof))


def _read_kept(file: Path) -> bytes:
    """A checkpoint that somebody kept. Raises InvalidInput, which names the file, for one that is none."""
    from brain.audit.checkpoint import Checkpoint
    from brain.audit.note import BadNote, split_note
    from brain.kit.documents import read_bytes

    note = read_bytes(file)
    try:
        Checkpoint.parse(split_note(note)[0])
    except BadNote as error:
        raise InvalidInput(f"{file}: is no checkpoint as `brain audit checkpoint` writes it: {error}") from error
    return note


@app.command("verify-proof")
def verify_proof(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A proof file.")],
    key: Annotated[
        str, typer.Option(metavar="PUBLIC", help="A public key that the log has or had, or a file with it.")
    ],
    witness: Annotated[
        list[str] | None,
        typer.Option(
            "--witness", "-w", metavar="PUBLIC", help="A witness's public key, or a file with it; repeatable."
        ),
    ] = None,
    quorum: Annotated[
        int | None, typer.Option("--quorum", "-k", metavar="K", help="How many of them must have signed; else all.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check a proof with public keys alone: no database, no network. Exit code 1 if it does not hold."""
    import msgspec

    from brain.audit import proofs
    from brain.audit.cosignature import Quorum
    from brain.audit.merkle import BadProof
    from brain.audit.note import BadNote
    from brain.kit.documents import read_bytes

    data, known = read_bytes(file), parse_key(key)
    witnesses = tuple(parse_witness(text) for text in witness or ())
    wanted = Quorum(witnesses, len(witnesses) if quorum is None else quorum)
    try:
        proven = proofs.check(data, known, wanted)
    except (BadProof, BadNote) as error:
        print_text(f"the proof does not hold: {error}", err=True)
        raise typer.Exit(FALSE_EXIT) from None
    if as_json:
        print_json({**msgspec.structs.asdict(proven), "ok": True})
    elif proven.index is None:
        print_text(f"proven: the log {proven.origin} of {proven.size} entries begins with that of {proven.old_size}")
        print_text(f"  root of {proven.old_size}: {proven.old_root}\n  root of {proven.size}: {proven.root}")
    else:
        print_text(f"proven: entry {proven.index} of the log {proven.origin}, which had {proven.size} entries")
        print_text(f"  root: {proven.root}")
        _print_event(proven.event)
    if not as_json:
        _print_signatures(proven)


@app.command()
def checkpoint(stream: StreamOption = None, database: DatabaseOption = None, output: OutputOption = None) -> None:
    """Write the newest signed checkpoint: keep it elsewhere, and verify from it later."""
    from brain.audit.repository import require_checkpoint
    from brain.kit.database import reading

    with opened(stream, database) as (engine, _), reading(engine).connect() as connection:
        note = require_checkpoint(connection)
    write_out(output, note)


@app.command()
def key(stream: StreamOption = None, database: DatabaseOption = None) -> None:
    """Print the log's public key, with which others verify proofs and checkpoints."""
    from brain.audit.note import Signer
    from brain.audit.open import open_key

    with opened(stream, database) as (engine, settings):
        known = open_key(engine, settings)
    print_text(str(known.verifier if isinstance(known, Signer) else known))


@app.command()
def search(
    stream: StreamOption = None,
    database: DatabaseOption = None,
    pattern: PatternOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    agent: AgentOption = None,
    threat: ThreatOption = None,
    correlation_id: CorrelationOption = None,
    text: TextOption = None,
    principal: PrincipalOption = None,
    before: BeforeOption = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many at most.")] = 100,
    as_json: JsonOption = False,
) -> None:
    """Print entries that fit all filters, the newest first."""
    from brain.audit.export import document
    from brain.audit.search import find
    from brain.kit.database import reading

    exact = {"agent": agent, "threat": threat, "correlation_id": correlation_id, "text": text, "principal": principal}
    query = query_from(pattern, since, until, **exact)
    with opened(stream, database) as (engine, _), reading(engine).connect() as connection:
        found = find(connection, query, before, limit)
    if as_json:
        print_json_array(document(entry) for entry in found)
    elif found:
        _print_entries(found)
    else:
        print_text("no entries", err=True)
    if not found:
        warn_of_unmatched(pattern)


@app.command()
def export(
    format: Annotated[str, typer.Option("--format", "-f", help="jsonl, csv, parquet, ocsf or cef.")] = "jsonl",
    stream: StreamOption = None,
    database: DatabaseOption = None,
    pattern: PatternOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    after: AfterOption = None,
    before: BeforeOption = None,
    agent: AgentOption = None,
    threat: ThreatOption = None,
    correlation_id: CorrelationOption = None,
    text: TextOption = None,
    principal: PrincipalOption = None,
    output: OutputOption = None,
) -> None:
    """Write entries that fit all filters, the oldest first, to a file or standard output.

    `--since` and `--until` are times of the log, not of the events: files of one day after the other have no gap.
    """
    from brain.audit.export import writer_of
    from brain.audit.search import each

    write = writer_of(format)
    exact = {"agent": agent, "threat": threat, "correlation_id": correlation_id, "text": text, "principal": principal}
    query = query_from(pattern, since, until, **exact)
    query = by_log(query, after, before)
    with opened(stream, database) as (engine, _):
        entries = each(engine, query)
        with writing(output) as file:
            count = write(entries, file)
    print_text(f"{count} entries", err=True)
    if not count:
        warn_of_unmatched(pattern)


def _print_report(report: AuditReport) -> None:
    if report.ok:
        whole = "all" if report.verified_from == 0 else f"from entry {report.verified_from} on"
        print_text(f"good: {report.origin}, {report.size} entries ({whole}), {report.checkpoints} checkpoints")
        print_text(f"  root: {report.root}")
    else:
        print_text(f"BAD: {report.origin}, from entry {report.first_bad_index} on")
        print_text(f"  {report.problem}")
    if report.deleted:
        print_text(f"  payloads deleted by retention or an erasure, of which the hash is kept: {report.deleted}")
    if not report.sealed:
        print_text("  seals not checked: that needs the log's private key")
    rate = (report.size - report.verified_from) / report.seconds if report.seconds else 0
    print_text(f"  {report.seconds:.1f} s, {rate:,.0f} entries/s")


def _print_entries(found: list[AuditEntry]) -> None:
    from rich.table import Table

    from brain.kit.cli.tables import cell, print_table
    from brain.kit.cli.text import moment, summary

    table = Table("Index", "Time", "Type", "By", "Event", "Payload")
    for entry in found:
        event = entry.event
        shown = summary(event.payload) if event else "deleted" if entry.data is None else "bytes that are no event"
        table.add_row(
            str(entry.index),
            moment(entry.at),
            *(cell(text) for text in (entry.type, _by(event), entry.event_id or "-", shown)),
        )
    print_table(table)


def _by(event: Event | None) -> str:
    who = event.meta.get("principal") if event is not None else None
    return str(who.get("name", "-")) if isinstance(who, dict) else "-"


def _print_signatures(proven: Proven) -> None:
    from brain.kit.cli.text import moment

    if proven.keys > 1:
        print_text(f"  the log's key was handed over {proven.keys - 1} times since the one given")
    for name, at in sorted(proven.witnesses.items()):
        print_text(f"  signed by the witness {name} at {moment(at)}")


def _print_event(data: bytes | None) -> None:
    from brain.kit.cli.text import printable

    if data is None:
        print_text("  the event's bytes were deleted by retention or an erasure; its hash is proven")
    else:
        print_text(f"  {printable(data.decode(errors='replace'))}")
