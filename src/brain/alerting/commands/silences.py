"""`brain silences`: list, add and remove silences."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from brain.alerting.commands.alerts import ByOption, opened, publish_changes
from brain.kit.cli.common import DatabaseOption, JsonOption, StreamOption, print_json, print_json_array, run
from brain.kit.cli.text import print_text

if TYPE_CHECKING:
    from brain.alerting.silences import Silence

_TEN_YEARS = 5_256_000.0  # in minutes

app: typer.Typer = typer.Typer(no_args_is_help=True)


@app.command("list")
def list_silences(
    stream: StreamOption = None,
    database: DatabaseOption = None,
    ended: Annotated[bool, typer.Option("--ended", help="Also silences that are over.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Print the silences in force and those to come, the latest first."""
    from brain.alerting.views import json_values, silence_view
    from brain.kit.cli.text import moment, printable

    with opened(stream, database) as (service, _):
        found = [silence_view(silence, time.time()) for silence in service.silences(ended=ended)]
    if as_json:
        print_json_array(map(json_values, found))
        return
    for one in found:
        matchers = printable(" ".join(map(str, one.matchers)))
        print_text(f"{one.id}  {one.state}  until {moment(one.ends_at)}  {matchers}")
        print_text(f"    {printable(one.by)}: {printable(one.reason)}")
    if not found:
        print_text("no silences", err=True)


@app.command()
def add(
    matchers: Annotated[
        list[str],
        typer.Argument(metavar="MATCHER...", help="agent=billing, severity!=CRITICAL; all must fit."),
    ],
    reason: Annotated[str, typer.Option("--reason", help="Why.")],
    by: ByOption,
    minutes: Annotated[float, typer.Option("--minutes", min=0.01, max=_TEN_YEARS, help="For how long.")] = 60.0,
    start_in: Annotated[
        float, typer.Option("--in", min=0, max=_TEN_YEARS, help="Minutes from now until it begins.")
    ] = 0.0,
    stream: StreamOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add a silence: nobody is paged for the alerts that all matchers fit."""
    from brain.kit.cli.text import moment

    start = time.time() + start_in * 60
    with opened(stream, database) as (service, settings):
        silence = service.add_silence(matchers, by, reason, start + minutes * 60, start)
        run(publish_changes(service, settings.stream))
    if as_json:
        print_json(_values(silence))
    else:
        print_text(f"{silence.id}: until {moment(silence.ends_at)}")


@app.command()
def remove(
    id: Annotated[str, typer.Argument(metavar="ID", help="The silence's id, sil_...")],
    stream: StreamOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove a silence. Alerts that it muted and that still fire are paged."""
    with opened(stream, database) as (service, settings):
        silence = service.remove_silence(id)
        run(publish_changes(service, settings.stream))
    if as_json:
        print_json(_values(silence))
    else:
        print_text(f"{silence.id}: removed")


def _values(silence: Silence) -> dict[str, object]:
    from brain.alerting.views import json_values, silence_view

    return json_values(silence_view(silence, time.time()))
