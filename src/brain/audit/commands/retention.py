"""`brain audit hold` and `brain audit prune`: keep payloads, and delete old ones."""

from __future__ import annotations

import getpass
import time
from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from brain.audit.commands.options import load, opened, opened_with
from brain.kit.cli.common import (
    DatabaseOption,
    JsonOption,
    StreamOption,
    print_json,
    print_json_array,
    run,
    warn_of_unmatched,
)
from brain.kit.cli.text import print_text

if TYPE_CHECKING:
    from brain.audit.retention import Hold
    from brain.charter import EventType
    from brain.settings import Settings

hold_app: typer.Typer = typer.Typer(help="Legal holds: keep entries, whatever their age.", no_args_is_help=True)

ByOption = Annotated[str | None, typer.Option(help="Who does this; else the name of this machine's user.")]


@hold_app.command()
def add(
    reason: Annotated[str, typer.Option(help="Why, such as the number of a case.")],
    pattern: Annotated[
        str | None, typer.Option("--pattern", "-p", help="Hold these event types; comma-separated.")
    ] = None,
    correlation_id: Annotated[str | None, typer.Option("--correlation-id", "-c", help="Hold this id's events.")] = None,
    by: ByOption = None,
    stream: StreamOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Hold the events of a pattern or of a correlation id. Publishes audit.hold_added."""
    from brain.audit.events import HOLD_ADDED
    from brain.audit.retention import add_hold

    settings = load(stream, database)
    with opened_with(settings) as (engine, _):
        hold = add_hold(
            engine,
            time.time(),
            pattern=pattern,
            correlation_id=correlation_id,
            reason=reason,
            by=by or getpass.getuser(),
        )
    publish_event(settings, HOLD_ADDED, _payload(hold, hold.by))
    if as_json:
        print_json(asdict(hold))
    else:
        print_text(f"{hold.id}: holds {hold.pattern or hold.correlation_id}")
    warn_of_unmatched(hold.pattern.split(",") if hold.pattern else None)


@hold_app.command("list")
def list_all(stream: StreamOption = None, database: DatabaseOption = None, as_json: JsonOption = False) -> None:
    """Print all holds, the oldest first."""
    from brain.audit.retention import list_holds
    from brain.kit.cli.text import moment, printable

    with opened(stream, database) as (engine, _):
        found = list_holds(engine)
    if as_json:
        print_json_array(asdict(hold) for hold in found)
        return
    for hold in found:
        what = hold.pattern or f"correlation id {hold.correlation_id}"
        print_text(
            f"{hold.id}  {moment(hold.made_at)}  {printable(what)}  by {printable(hold.by)}: {printable(hold.reason)}"
        )
    if not found:
        print_text("no holds", err=True)


@hold_app.command()
def remove(
    hold_id: Annotated[str, typer.Argument(metavar="HOLD_ID", help="The hold's id, hold_...")],
    by: ByOption = None,
    stream: StreamOption = None,
    database: DatabaseOption = None,
) -> None:
    """Remove a hold: the payloads that it held may be deleted from now on. Publishes audit.hold_removed."""
    from brain.audit.events import HOLD_REMOVED
    from brain.audit.retention import remove_hold

    settings = load(stream, database)
    with opened_with(settings) as (engine, _):
        hold = remove_hold(engine, hold_id)
    publish_event(settings, HOLD_REMOVED, _payload(hold, by or getpass.getuser()))
    print_text(f"{hold.id} lifted")


def prune(
    older_than: Annotated[
        float | None,
        typer.Option("--older-than", metavar="DAYS", help="Else the setting audit.retention_days."),
    ] = None,
    i_know: Annotated[bool, typer.Option("--i-know", help="Allow fewer than 90 days.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count; delete nothing.")] = False,
    stream: StreamOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Delete payloads older than the retention that no hold keeps. Their hashes stay, and all other proofs hold."""
    from brain.audit.events import PAYLOADS_DELETED
    from brain.audit.open import open_projector
    from brain.audit.retention import DAY, check_retention
    from brain.audit.retention import prune as prune_log
    from brain.audit.settings import AuditSettings

    settings = load(stream, database)
    audit = settings.table(AuditSettings)
    days = audit.retention_days if older_than is None else older_than
    check_retention(days, i_know or (older_than is None and audit.i_know))
    with opened_with(settings) as (engine, _):
        now = _now(settings)
        count = prune_log(engine, open_projector(engine, audit).sealing, days, now, dry=dry_run)
    if count and not dry_run:
        publish_event(
            settings, PAYLOADS_DELETED, {"count": count, "older_than": now - days * DAY, "retention_days": days}
        )
    if as_json:
        print_json({"deleted": 0 if dry_run else count, "old": count, "retention_days": days})
    else:
        print_text(f"{count} payloads older than {days:g} days {'would be ' if dry_run else ''}deleted")


def redact(
    event_id: Annotated[str, typer.Argument(metavar="EVENT", help="The event's id, evt_...")],
    reason: Annotated[str, typer.Option(help="Why, for the log.")],
    by: ByOption = None,
    stream: StreamOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove one event's payload from the log and keep its proof. Publishes audit.payload_redacted.

    The stream keeps its own copy until its retention.
    """
    from brain.audit.events import PAYLOAD_REDACTED
    from brain.audit.open import open_projector
    from brain.audit.retention import redact as redact_entries
    from brain.audit.settings import AuditSettings

    settings = load(stream, database)
    with opened_with(settings) as (engine, _):
        sealing = open_projector(engine, settings.table(AuditSettings)).sealing
        done = redact_entries(engine, sealing, event_id)
    who = by or getpass.getuser()
    rows = [{"event_id": event_id, "index": index, "leaf_hash": leaf.hex()} for index, leaf in done]
    for row in rows:
        publish_event(settings, PAYLOAD_REDACTED, {**row, "reason": reason, "by": who})
    if as_json:
        print_json_array(rows)
        return
    for row in rows:
        print_text(f"entry {row['index']}: the payload is removed; its hash {row['leaf_hash']} stays")


def _now(settings: Settings) -> float:
    """The time that ages are counted to: by a clock that has stepped nothing is deleted."""
    from brain.store import open_store
    from brain.store.deletion_clock import REMEDY, deletion_clock

    with closing(open_store(settings.store_url)) as store:
        clock = deletion_clock(store)
        now = clock()
    if clock.step > 0:
        print_text(f"the clock is {clock.step:.0f} s ahead of what can be explained: {REMEDY}", err=True)
    return now


def _payload(hold: Hold, by: str) -> dict[str, Any]:
    return {
        "hold_id": hold.id,
        "pattern": hold.pattern,
        "held_correlation_id": hold.correlation_id,
        "reason": hold.reason,
        "by": by,
    }


def publish_event(settings: Settings, event_type: EventType[Any], payload: dict[str, Any]) -> None:
    """Publish an event of the log, journalled, before the command ends."""
    from brain.stream import EventStream

    async def publish() -> None:
        async with EventStream.open(settings.stream) as stream:
            receipt = stream.publish(event_type.event(payload))  # journalled: it need not be stored already
            if receipt.refused is not None:
                raise receipt.refused

    run(publish())
