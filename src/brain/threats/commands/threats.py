"""`brain threats`: list, show, move and count threats."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from brain.kit.cli.common import JsonOption, StreamOption, print_json, print_json_array, run

if TYPE_CHECKING:
    from brain.threats import Threat, ThreatService, ThreatStats

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The threat's id, thr_...")]

app: typer.Typer = typer.Typer(no_args_is_help=True)


@app.command("list")
def list_threats(
    stream: StreamOption = None,
    status: Annotated[list[str] | None, typer.Option(help="Only this status; may be repeated.")] = None,
    severity: Annotated[list[str] | None, typer.Option(help="Only this severity; may be repeated.")] = None,
    type: Annotated[str | None, typer.Option(help="Only this type.")] = None,
    source: Annotated[str | None, typer.Option(help="Only from this source.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 100,
    as_json: JsonOption = False,
) -> None:
    """Print threats, the latest detected first."""

    async def fetch() -> list[Threat]:
        async with _service(stream, publish=False) as service:
            return await service.list_threats(status or None, severity or None, type, source, limit)

    threats = run(fetch())
    if as_json:
        print_json_array(threat.document() for threat in threats)
    else:
        _print_list(threats)


@app.command()
def show(id: IdArgument, stream: StreamOption = None, as_json: JsonOption = False) -> None:
    """Print one threat with its history and the moves it may make."""

    async def fetch() -> Threat:
        async with _service(stream, publish=False) as service:
            return await service.get_threat(id)

    threat = run(fetch())
    if as_json:
        print_json(threat.document())
    else:
        _print_threat(threat)


@app.command()
def move(
    id: IdArgument,
    status: Annotated[str, typer.Argument(metavar="STATUS", help="The status to move to, such as INVESTIGATING.")],
    reason: Annotated[str, typer.Option(help="Why, for the record.")] = "",
    stream: StreamOption = None,
    as_json: JsonOption = False,
) -> None:
    """Move a threat to another status, and publish that."""

    async def update() -> Threat:
        async with _service(stream, publish=True) as service:
            return await service.update_threat_status(id, status, reason)

    threat = run(update())
    if as_json:
        print_json(threat.document())
    else:
        last = threat.history[-1]
        typer.echo(f"{threat.id}: {last.old} -> {last.new}; may move to {_names(threat)}")


@app.command()
def stats(stream: StreamOption = None, as_json: JsonOption = False) -> None:
    """Print counts, the mean time to mitigate, and the ages of the active ones."""

    async def fetch() -> ThreatStats:
        async with _service(stream, publish=False) as service:
            return await service.get_stats()

    figures = run(fetch())
    if as_json:
        print_json(asdict(figures))
    else:
        _print_stats(figures)


@asynccontextmanager
async def _service(url: str | None, *, publish: bool) -> AsyncIterator[ThreatService]:
    """A service on the state that the options and settings name; with a stream only when it will publish."""
    from brain.settings import load_settings
    from brain.store import open_store
    from brain.store.ours import check_exists
    from brain.threats import ThreatService

    settings = load_settings(stream=url, store=url)
    if not publish:
        check_exists(settings.store_url)
    store = open_store(settings.store_url)
    try:
        if not publish:
            yield ThreatService(store=store)
            return
        from brain.stream import EventStream

        async with EventStream.open(settings.stream) as stream:
            yield ThreatService(stream, store)
    finally:
        store.close()


def _print_list(threats: list[Threat]) -> None:
    from rich.table import Table

    from brain.kit.cli.tables import cell, print_table

    table = Table("Threat", "Severity", "Status", "Type", "Source", "Detected", "Description")
    for threat in threats:
        values = (threat.id, threat.severity, threat.status, threat.type, threat.source, _time(threat.detected_at))
        table.add_row(*(cell(value) for value in (*values, threat.description)))
    if threats:
        print_table(table)
    else:
        typer.echo("no threats", err=True)


def _print_threat(threat: Threat) -> None:
    from brain.kit.cli.text import printable

    lines = [
        ("type", threat.type),
        ("source", threat.source),
        ("severity", threat.severity),
        ("status", f"{threat.status}; may move to {_names(threat)}"),
        ("description", threat.description),
        ("detected", _time(threat.detected_at)),
        ("last seen", _time(threat.last_seen)),
        ("mitigated", _time(threat.mitigated_at) if threat.mitigated_at is not None else "no"),
        ("correlation id", threat.correlation_id),
        *((name, str(value)) for name, value in threat.metadata.items()),
    ]
    lines += [(_time(step.at), f"{step.old} -> {step.new}  {step.reason}".rstrip()) for step in threat.history]
    typer.echo(threat.id)
    for name, value in lines:
        typer.echo(f"  {printable(name)}: {printable(value)}")


def _print_stats(figures: ThreatStats) -> None:
    for name, value in asdict(figures).items():
        if isinstance(value, dict):
            shown = ", ".join(f"{key} {number}" for key, number in value.items()) or "none"
        elif name == "resolution_rate" and value is not None:
            shown = f"{value:.0%}"
        else:
            shown = "none" if value is None else f"{value:.1f}" if isinstance(value, float) else str(value)
        typer.echo(f"{name.replace('_', ' ')}: {shown}")


def _names(threat: Threat) -> str:
    return ", ".join(threat.allowed_moves) or "nothing: the status is final"


def _time(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds):%Y-%m-%d %H:%M:%S}"
