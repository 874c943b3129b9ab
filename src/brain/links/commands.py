"""`brain connectors`: list, show, pause, resume, test and replay connectors; read the output of Singer taps.

brain connectors list
brain connectors show github
brain connectors pause github --reason "the mapping is being changed"
brain connectors replay github --since 1d
tap-orders --config orders.json | brain connectors singer orders
brain connectors state orders > state.json
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from brain.kit.cli.common import DatabaseOption, JsonOption, StreamOption, print_json, print_json_array, run
from brain.kit.cli.text import print_text
from brain.neutral import json_bytes

if TYPE_CHECKING:
    from brain.links.receiving import Receipt
    from brain.links.service import ConnectorService
    from brain.links.singer_run import RunCounts
    from brain.settings import Settings

app: typer.Typer = typer.Typer(
    no_args_is_help=True,
    epilog="Examples: brain connectors list · brain connectors pause github --reason 'new mapping' · "
    "brain connectors replay github --since 1d · tap-orders --config o.json | brain connectors singer orders",
)

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The connector's name in the settings.")]
ByOption = Annotated[str | None, typer.Option("--by", metavar="NAME", envvar="USER", help="Who you are.")]


@app.command("list")
def list_connectors(stream: StreamOption = None, database: DatabaseOption = None, as_json: JsonOption = False) -> None:
    """Print every connector with its state: webhooks and taps in, notifiers and ticket systems out."""
    from brain.links.http_models import connector_view

    with _opened(stream, database) as (service, _):
        found = [connector_view(one) for one in service.list()]
    if as_json:
        print_json_array({key: value for key, value in one.items() if key != "cursor"} for one in found)
    elif found:
        _print_list(found)
    else:
        print_text("no connectors are set up; see [connectors] in docs/webhooks-in.md", err=True)


@app.command()
def show(
    name: NameArgument, stream: StreamOption = None, database: DatabaseOption = None, as_json: JsonOption = False
) -> None:
    """Print one connector, with its last deliveries and the STATE of a tap."""
    from brain.links.http_models import connector_view, delivery_view

    with _opened(stream, database) as (service, _):
        found = connector_view(service.get(name))
        found["deliveries"] = []
        if name in service.inbound:
            found["deliveries"] = [delivery_view(row) for row in service.deliveries(name, None, 10)]
    if as_json:
        print_json(found)
    else:
        _print_one(found)


@app.command()
def pause(
    name: NameArgument,
    reason: Annotated[str, typer.Option(help="Why.")] = "",
    by: ByOption = None,
    stream: StreamOption = None,
    database: DatabaseOption = None,
) -> None:
    """Pause a connector: what comes is kept and waits, and nothing is sent."""
    with _changing(stream, database) as service:
        found = service.pause(name, by, reason)
    print_text(f"{name}: {found.status.value}")


@app.command()
def resume(
    name: NameArgument, by: ByOption = None, stream: StreamOption = None, database: DatabaseOption = None
) -> None:
    """Resume a connector, and map what came meanwhile."""
    with _changing(stream, database) as service:
        found = service.resume(name, by)
    print_text(f"{name}: {found.status.value}")


@app.command()
def replay(
    name: NameArgument,
    delivery: Annotated[
        int | None, typer.Option("--delivery", min=1, help="One delivery alone, by its number.")
    ] = None,
    since: Annotated[str | None, typer.Option(help="Deliveries since then: an age such as 1d, or a time.")] = None,
    again: Annotated[bool, typer.Option("--again", help="Also what has become events: once more.")] = False,
    stream: StreamOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Map kept deliveries once more, by the mapping of now: those that failed, or all of them."""
    from brain.links.models import DeliveryState
    from brain.times import parse_time

    states = (DeliveryState.FAILED, DeliveryState.WAITING, *((DeliveryState.MAPPED,) if again else ()))
    start = 0.0 if since is None else parse_time(since, time.time(), "since")
    with _changing(stream, database) as service:
        if delivery is not None:
            receipts = [service.replay_one(name, delivery, again)]
        else:
            receipts = [*service.replay(name, states, start, again)]
    _print_receipts(name, receipts, as_json)


@app.command("test")
def check(name: NameArgument, stream: StreamOption = None, database: DatabaseOption = None) -> None:
    """Test a connector: can its secrets be read, does its service answer? Exit code 1 when not."""
    from brain.links.models import ConnectorStatus

    with _changing(stream, database) as service:
        status, detail, latency = run(_test(service, name))
    took = "" if latency is None else f" ({latency:.0f} ms)"
    print_text(f"{name}: {status.value}: {detail}{took}")
    if status is not ConnectorStatus.OK:
        raise typer.Exit(1)


@app.command()
def state(name: NameArgument, stream: StreamOption = None, database: DatabaseOption = None) -> None:
    """Print the saved STATE of a tap, for its option --state. Exit code 1 when there is none."""
    with _opened(stream, database) as (service, _):
        found = service.get(name).cursor
    if found is None:
        print_text(f"{name}: no STATE is saved yet", err=True)
        raise typer.Exit(1)
    print_text(json_bytes(found.encode()).decode())


@app.command()
def singer(
    name: NameArgument, stream: StreamOption = None, database: DatabaseOption = None, as_json: JsonOption = False
) -> None:
    """Read a Singer tap to its end: each record becomes an event once, STATE is saved with the records before it.

    The tap is the connector's command, or standard input. Exit code 1 when the tap fails; what it sent is kept.
    """
    from brain.links.tap_reading import read_tap

    with _opened(stream, database, creates=True) as (service, settings):
        counts, exit_code = read_tap(service, name, sys.stdin.buffer, lambda: run(_publish(service, settings.stream)))
    _print_run(name, counts, exit_code, as_json)
    if exit_code:
        raise typer.Exit(1)


@contextmanager
def _opened(
    stream: str | None, database: str | None, creates: bool = False
) -> Iterator[tuple[ConnectorService, Settings]]:
    """The service over the database that options and settings name; `creates`: it need not exist."""
    from brain.kit.database import database_url, open_database
    from brain.links.service import ConnectorService
    from brain.settings import load_settings
    from brain.store.ours import check_exists

    settings = load_settings(stream=stream, store=stream, database=database)
    if not creates:
        check_exists(database_url(settings))
    engine = open_database(database_url(settings))
    try:
        yield ConnectorService(engine, settings), settings
    finally:
        engine.dispose()


@contextmanager
def _changing(stream: str | None, database: str | None) -> Iterator[ConnectorService]:
    """The same for a change, whose events are on the stream afterwards."""
    with _opened(stream, database) as (service, settings):
        yield service
        run(_publish(service, settings.stream))


async def _publish(service: ConnectorService, url: str) -> None:
    from brain.kit.outbox import ship_waiting
    from brain.links.models import CONSUMER
    from brain.stream import EventStream

    async with EventStream.open(url) as stream:
        await ship_waiting(service.database, CONSUMER, stream)


async def _test(service: ConnectorService, name: str) -> Any:
    from brain.connectors.sender import RetryPolicy, Sender
    from brain.links.outbound import open_outbound
    from brain.links.testing import test_connector

    async with Sender(RetryPolicy(attempts=1)) as sender:
        table = service.settings.outbound.get(name)
        senders = {} if table is None else {name: open_outbound(table, sender, time.time)}
        return await test_connector(service, senders, name)


def _print_list(found: list[dict[str, Any]]) -> None:
    from rich.table import Table

    from brain.kit.cli.tables import cell, print_table
    from brain.kit.cli.text import moment

    table = Table("Connector", "Kind", "Direction", "Status", "In", "Known", "Refused", "Out", "Failed", "Last")
    for one in found:
        counters = [str(one[name]) for name in ("received", "duplicates", "refused", "sent", "failed")]
        last = "never" if one["last_at"] is None else moment(one["last_at"])
        values = [one["name"], one["kind"], one["direction"], one["status"], *counters, last]
        table.add_row(*(cell(value) for value in values))
    print_table(table)


def _print_one(found: dict[str, Any]) -> None:
    from brain.kit.cli.text import moment, printable

    times = ("status_since", "last_at", "cursor_at")
    for key, value in found.items():
        if key == "deliveries" or value is None:
            continue
        print_text(f"{key}: {moment(value) if key in times else printable(str(value))}")
    for one in found["deliveries"]:
        error = f": {one['error']}" if one["error"] else ""
        line = f"delivery {one['id']}: {one['state']}, {one['bytes']} bytes, {one['events']} events{error}"
        print_text(printable(f"{moment(one['received_at'])} {line}"))


def _print_receipts(name: str, receipts: list[Receipt], as_json: bool) -> None:
    if as_json:
        from brain.links.http_models import receipt_view

        print_json_array(receipt_view(receipt).model_dump(mode="json") for receipt in receipts)
        return
    failed = sum(receipt.error is not None for receipt in receipts)
    events = sum(receipt.events for receipt in receipts)
    print_text(f"{name}: {len(receipts)} deliveries mapped once more: {events} events, {failed} failed")


def _print_run(name: str, counts: RunCounts, exit_code: int | None, as_json: bool) -> None:
    values = {
        "connector": name,
        "records": counts.records,
        "duplicates": counts.duplicates,
        "states": counts.states,
        "exit_code": exit_code,
    }
    if as_json:
        print_json(values)
        return
    print_text(f"{name}: {counts.records} records, {counts.duplicates} known, {counts.states} states")
    if exit_code:
        print_text(f"{name}: the tap ended with exit code {exit_code}; what it sent is kept", err=True)
