"""`brain privacy`: erase what names a subject, and show and verify the certificates of it."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from brain.audit.commands.options import OutputOption, load, opened, parse_key, write_out
from brain.audit.commands.retention import ByOption, publish_event
from brain.kit.cli.common import DatabaseOption, JsonOption, StreamOption, print_json, print_json_array
from brain.kit.cli.text import print_text

if TYPE_CHECKING:
    from brain.audit.certificate import Certificate
    from brain.settings import Settings

app: typer.Typer = typer.Typer(no_args_is_help=True)

FALSE_EXIT = 1
"""Exit code when a certificate does not verify."""


@app.command()
def erase(
    subject: Annotated[str, typer.Argument(metavar="SUBJECT", help="The id: of an agent, a principal, an address.")],
    reason: Annotated[str, typer.Option(help="Why, for the certificate.")],
    by: ByOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count; erase nothing.")] = False,
    whole_values: Annotated[
        bool, typer.Option("--whole-values", help="Leave longer texts, of which it is a word, as they are.")
    ] = False,
    i_know: Annotated[bool, typer.Option("--i-know", help="Allow a plain word.")] = False,
    output: OutputOption = None,
    stream: StreamOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Replace the subject by a mark in stream, state and tables, and delete its payloads from the audit log.

    It may be repeated, and is when it was interrupted. Publishes audit.subject_erased; prints the certificate.
    """
    import msgspec

    from brain.audit.privacy import Request, check_possible
    from brain.audit.privacy import erase as erase_subject
    from brain.kit.database import database_url, open_database
    from brain.kit.erasure import Eraser, check_subject
    from brain.store.ours import check_exists

    settings = load(stream, database)
    check_possible(settings)
    check_subject(subject, i_know)
    check_exists(settings.stream)
    _use_key(settings)
    eraser = Eraser(subject, whole_values=whole_values)
    engine = open_database(database_url(settings))
    try:
        request = Request(eraser, reason, by or getpass.getuser(), dry_run)
        certificate, note = erase_subject(settings, engine, request)
    finally:
        engine.dispose()
    if not dry_run:
        _publish(settings, certificate)
        if output is not None:
            write_out(output, note)
    if as_json:
        print_json(msgspec.to_builtins(certificate))
        return
    _print(certificate)
    if dry_run:
        print_text("nothing was erased: --dry-run", err=True)


@app.command()
def certificates(
    erasure_id: Annotated[
        str | None, typer.Argument(metavar="ERASURE", help="Write the signed certificate of this one alone.")
    ] = None,
    output: OutputOption = None,
    stream: StreamOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print all erasures, the oldest first, or write the signed certificate of one."""
    import msgspec

    from brain.audit.certificate import read
    from brain.audit.privacy import certificate_of
    from brain.audit.privacy import certificates as all_certificates
    from brain.kit.cli.text import moment, printable

    with opened(stream, database) as (engine, _):
        if erasure_id is not None:
            write_out(output, certificate_of(engine, erasure_id))
            return
        found = [read(note) for note in all_certificates(engine)]
    if as_json:
        print_json_array(msgspec.to_builtins(one) for one in found)
        return
    for one in found:
        print_text(f"{one.id}  {moment(one.ended)}  {one.subject}  by {printable(one.by)}: {printable(one.reason)}")
    if not found:
        print_text("no erasures", err=True)


@app.command()
def verify(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A signed certificate.")],
    key: Annotated[
        str, typer.Option(metavar="PUBLIC", help="A public key that the audit log has or had, or a file with it.")
    ],
    as_json: JsonOption = False,
) -> None:
    """Check a certificate with the log's public key alone: no database, no network. Exit code 1 if it is not good."""
    import msgspec

    from brain.audit.certificate import check
    from brain.audit.note import BadNote
    from brain.kit.documents import read_bytes

    note, known = read_bytes(file), parse_key(key)
    try:
        certificate = check(note, known)
    except BadNote as error:
        print_text(f"the certificate is not good: {error}", err=True)
        raise typer.Exit(FALSE_EXIT) from None
    if as_json:
        print_json({**msgspec.to_builtins(certificate), "ok": True})
        return
    print_text(f"good: signed by {known.name}")
    _print(certificate)


def _use_key(settings: Settings) -> None:
    """Take the key of the marks that the stream's own events have."""
    from brain.redaction import use_key_file
    from brain.store.sqlite import sqlite_file

    use_key_file(Path(f"{sqlite_file(settings.stream)}.redaction-key"))


def _publish(settings: Settings, certificate: Certificate) -> None:
    from brain.audit.events import SUBJECT_ERASED

    payload = {
        "erasure_id": certificate.id,
        "subject": certificate.subject,
        "counts": certificate.counts,
        "remains": [one.place for one in certificate.remains],
        "reason": certificate.reason,
        "by": certificate.by,
    }
    publish_event(settings, SUBJECT_ERASED, payload)


def _print(certificate: Certificate) -> None:
    from brain.kit.cli.text import moment, printable

    print_text(f"{certificate.id}: {certificate.subject}, {moment(certificate.ended)}")
    print_text(f"  by {printable(certificate.by)}: {printable(certificate.reason)}")
    for place, number in certificate.counts.items():
        print_text(f"  {place}: {number}")
    if not certificate.counts:
        print_text("  nothing named it")
    for one in certificate.remains:
        print_text(f"  remains: {printable(one.place)} ({printable(one.why)}), until {printable(one.until)}")
