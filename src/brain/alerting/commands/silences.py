"""`brain silences`: list, add and remove silences."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from brain.alerting.commands.alerts import ByOption, DatabaseOption, desk, publish
from brain.kit.cli.common import JsonOption, StreamOption, print_json, print_json_array, run

app = typer.Typer(no_args_is_help=True)


@app.command("list")
def list_silences(
    stream: StreamOption = None,
    database: DatabaseOption = None,
    ended: Annotated[bool, typer.Option("--ended", help="Also those that are over.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Print the silences in force and those to come, the latest added first."""
    from brain.alerting.http_models import silence_values
    from brain.kit.cli.text import moment, printable

    with desk(stream, database) as (opened, _):
        rows = [silence_values(silence, time.time()) for silence in opened.silences(ended=ended)]
    if as_json:
        print_json_array(rows)
        return
    for row in rows:
        typer.echo(
            f"{row['id']}  {row['state']}  until {moment(row['ends_at'])}  {printable(' '.join(row['matchers']))}"
        )
        typer.echo(f"    {printable(row['by'])}: {printable(row['reason'])}")
    if not rows:
        typer.echo("no silences", err=True)


@app.command()
def add(
    matchers: Annotated[
        list[str], typer.Argument(metavar="MATCHER...", help="agent=billing, severity!=CRITICAL, name=~ssh.*; all fit.")
    ],
    reason: Annotated[str, typer.Option("--reason", help="Why.")],
    by: ByOption,
    minutes: Annotated[float, typer.Option("--minutes", min=0.01, help="For how long.")] = 60.0,
    start_in: Annotated[float, typer.Option("--in", min=0, help="Minutes from now until it begins.")] = 0.0,
    stream: StreamOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell nobody of the alerts that all matchers fit, for a while."""
    from brain.alerting.announce import announce_silence
    from brain.alerting.events import SILENCE_ADDED
    from brain.alerting.http_models import silence_values
    from brain.kit.cli.text import moment

    start = time.time() + start_in * 60
    with desk(stream, database) as (opened, settings):
        silence = opened.add_silence(matchers, by, reason, start + minutes * 60, start)
        run(publish(settings, lambda to: announce_silence(to, SILENCE_ADDED, silence)))
    if as_json:
        print_json(silence_values(silence, time.time()))
    else:
        typer.echo(f"{silence.id}: until {moment(silence.ends_at)}")


@app.command()
def remove(
    id: Annotated[str, typer.Argument(metavar="ID", help="The silence's id, sil_...")],
    stream: StreamOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a silence away; alerts that it kept back and that still fire are told."""
    from brain.alerting.announce import announce_silence
    from brain.alerting.events import SILENCE_REMOVED
    from brain.alerting.http_models import silence_values

    with desk(stream, database) as (opened, settings):
        silence = opened.remove_silence(id)
        run(publish(settings, lambda to: announce_silence(to, SILENCE_REMOVED, silence)))
    if as_json:
        print_json(silence_values(silence, time.time()))
    else:
        typer.echo(f"{silence.id}: removed")
