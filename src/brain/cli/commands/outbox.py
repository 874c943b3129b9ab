"""`brain outbox`: the messages to outside services: waiting, sent and refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from brain.kit.cli.common import DatabaseOption, JsonOption, StreamOption, print_json, print_json_array
from brain.kit.cli.database import opened_database
from brain.kit.cli.text import print_text

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from brain.kit.outbox.listing import Listed

app: typer.Typer = typer.Typer(no_args_is_help=True)


@app.command("list")
def list_rows(
    consumer: Annotated[str | None, typer.Argument(metavar="CONSUMER", help="Of this plug-in alone.")] = None,
    state: Annotated[
        Literal["waiting", "sent", "refused", "cancelled"] | None, typer.Option("--state", help="Only in this state.")
    ] = None,
    stream: StreamOption = None,
    database: DatabaseOption = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Most messages to print.")] = 100,
    as_json: JsonOption = False,
) -> None:
    """Print messages, the latest first, with their last error."""
    from dataclasses import asdict

    from brain.kit.outbox.listing import listing
    from brain.kit.outbox.table import OutboxState

    consumer = None if consumer is None else _known(consumer)
    with opened(stream, database) as db:
        found = listing(db, consumer=consumer, state=None if state is None else OutboxState(state), limit=limit)
    if as_json:
        print_json_array(map(asdict, found))
        return
    for row in found:
        _print(row)
    if not found:
        print_text("no messages", err=True)


@app.command()
def retry(
    consumer: Annotated[str, typer.Argument(metavar="CONSUMER", help="The plug-in: alerting, incidents, ...")],
    channel: Annotated[str | None, typer.Option("--channel", help="Of this channel alone.")] = None,
    stream: StreamOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send refused messages again, once their cause is mended."""
    import time

    from brain.kit.outbox.table import retry_refused

    consumer = _known(consumer)
    with opened(stream, database) as db:
        count = retry_refused(db, consumer=consumer, now=time.time(), channel=channel)
    if as_json:
        print_json({"consumer": consumer, "retried": count})
    else:
        print_text(f"{count} refused messages of {consumer} will be sent again")


@contextmanager
def opened(stream: str | None, database: str | None) -> Iterator[Connection]:
    """A transaction on the consumers' tables. Raises Unavailable when the database does not answer."""
    from brain.kit.database import create_tables
    from brain.kit.outbox.table import metadata

    with opened_database(stream, database) as (_, engine):
        create_tables(engine, metadata)
        with engine.begin() as db:
            yield db


def _known(consumer: str) -> str:
    """The plug-in of that name, or that had it. Raises InvalidInput when none is installed."""
    from brain.errors import InvalidInput
    from brain.plugins import plugins
    from brain.settings import former_names

    name = former_names().get(consumer, consumer)
    if name not in plugins():
        raise InvalidInput(f"plug-in {consumer!r} is not installed; there are {', '.join(plugins())}")
    return name


def _print(row: Listed) -> None:
    from brain.kit.cli.text import moment, printable

    tries = "1 try" if row.attempts == 1 else f"{row.attempts} tries"
    when = f"sent {moment(row.sent_at)}" if row.sent_at is not None else f"put {moment(row.created_at)}"
    print_text(printable(f"{row.consumer}  {row.channel}  {row.state}  {row.key}  {tries}, {when}"))
    if row.last_error is not None and row.sent_at is None:
        print_text(f"    error: {printable(row.last_error)}")
