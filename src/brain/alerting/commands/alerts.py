"""`brain alerts`: list, acknowledge and close alerts; check the settings; look at notifiers, send a test page."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from brain.kit.cli.common import JsonOption, StreamOption, print_json, print_json_array, run

if TYPE_CHECKING:
    from brain.alerting.alerts import Alert
    from brain.alerting.configuration import Configuration
    from brain.alerting.operations import Desk, Shown
    from brain.settings import Settings

app = typer.Typer(no_args_is_help=True)

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The alert's id, alr_...")]
ByOption = Annotated[str, typer.Option("--by", metavar="NAME", envvar="USER", help="Who you are.")]
DatabaseOption = Annotated[
    str | None, typer.Option("--database", metavar="URL", help="Where the consumers keep their tables.")
]


@app.command("list")
def list_alerts(
    stream: StreamOption = None,
    database: DatabaseOption = None,
    state: Annotated[Literal["firing", "resolved"] | None, typer.Option(help="Only in this state.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many.")] = 100,
    as_json: JsonOption = False,
) -> None:
    """Print alerts, the last heard of first, with why they are muted and what was said of them."""
    from brain.alerting.http_models import alert_values

    with desk(stream, database) as (opened, _):
        shown = opened.alerts(state, limit)
    if as_json:
        print_json_array(map(alert_values, shown))
    else:
        _print_list(shown)


@app.command()
def ack(
    id: IdArgument,
    by: ByOption,
    stream: StreamOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take an alert on: it is neither repeated nor escalated any more."""
    from brain.alerting.announce import announce_acknowledged

    with desk(stream, database) as (opened, settings):
        alert = opened.acknowledge(id, by)
        run(publish(settings, lambda to: announce_acknowledged(to, alert)))
    _print_change(alert, f"{alert.id}: taken on by {alert.acknowledged_by}", as_json)


@app.command()
def close(
    id: IdArgument,
    by: ByOption,
    stream: StreamOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Declare an alert over that nothing else would resolve."""
    from brain.alerting.announce import announce_closed

    with desk(stream, database) as (opened, settings):
        alert = opened.close(id, by)
        run(publish(settings, lambda to: announce_closed(to, alert)))
    _print_change(alert, f"{alert.id}: closed by {alert.resolved_by}", as_json)


@app.command()
def notifiers(stream: StreamOption = None, database: DatabaseOption = None, as_json: JsonOption = False) -> None:
    """Print what each notifier was sent, what waits to be sent, and what its service refused."""
    from brain.alerting.http_models import notifier_values
    from brain.kit.cli.text import printable

    with desk(stream, database) as (opened, _):
        rows = [notifier_values(*entry) for entry in opened.notifiers()]
    if as_json:
        print_json_array(rows)
        return
    for row in rows:
        typer.echo(
            f"{row['name']} ({row['kind'] or 'not in the settings'}): {row['sent']} sent, {row['waiting']} waiting, "
            f"{row['refused']} refused"
        )
        if row["last_error"]:
            typer.echo(f"    {printable(row['last_error'])}")
    if not rows:
        typer.echo("no notifiers", err=True)


@app.command("check-config")
def check_config(as_json: JsonOption = False) -> None:
    """Check the table `soc` of brain.toml, secrets included, and print what it comes to. Exit code 2 for any fault."""
    from brain.alerting.configuration import configuration, secret_faults
    from brain.alerting.settings import SocSettings
    from brain.errors import InvalidInput
    from brain.settings import load_settings

    settings = load_settings()
    if faults := secret_faults(settings.table(SocSettings)):
        raise InvalidInput("the settings are not usable", faults)
    _print_configuration(configuration(settings.table(SocSettings)), as_json)


@app.command("test")
def send_test(
    notifier: Annotated[str, typer.Argument(metavar="NOTIFIER", help="A name of soc.notifiers.")],
    as_json: JsonOption = False,
) -> None:
    """Send a page that says it is a test, and end it again; print what the service answered."""
    from brain.settings import load_settings

    answers = run(_test(notifier, load_settings()))
    if as_json:
        print_json(answers)
    else:
        typer.echo(f"{notifier} accepted a test page: {answers['trigger']}")


@contextmanager
def desk(stream: str | None, database: str | None) -> Iterator[tuple[Desk, Settings]]:
    """The alerts that the options and settings name."""
    from brain.alerting.configuration import configuration
    from brain.alerting.operations import Desk
    from brain.alerting.settings import SocSettings
    from brain.kit.database import default_database, open_database
    from brain.settings import load_settings
    from brain.store.ours import check_exists

    settings = load_settings(stream=stream, store=stream, database=database)
    url = settings.database or default_database(settings.stream)
    check_exists(url)
    engine = open_database(url)
    try:
        yield Desk(engine, configuration(settings.table(SocSettings))), settings
    finally:
        engine.dispose()


async def publish(settings: Settings, announce: Any) -> None:
    """Open the stream for one event."""
    from brain.stream import EventStream

    async with EventStream.open(settings.stream) as stream:
        announce(stream)


async def _test(name: str, settings: Settings) -> dict[str, Any]:
    from brain.alerting.grouping import Action
    from brain.alerting.notifiers import say
    from brain.alerting.pages import Page
    from brain.alerting.settings import SocSettings
    from brain.connectors.sender import Refused, Sender, TryLater
    from brain.errors import InvalidInput, NotFound
    from brain.logs import overheard

    notifiers = settings.table(SocSettings).notifiers
    notifier = notifiers.get(name)
    if notifier is None:
        raise NotFound(f"no notifier {name!r} in alerting.notifiers; there are {', '.join(notifiers) or 'none'}")
    now = time.time()
    answers: dict[str, Any] = {}
    async with Sender() as sender:
        for action in (Action.TRIGGER, Action.RESOLVE):
            page = Page(
                id=f"soc-test-{action.value}-{int(now * 1000)}",
                action=action,
                dedup_key=f"brain test {int(now * 1000)}",
                severity="LOW",
                summary="this is a test of BRAiN EventStream; nothing is wrong",
                at=now,
                route="test",
                test=True,
            )
            try:
                with overheard("stamina"), overheard("apprise") as said:  # retries, and what apprise knows of a failure
                    answers[action.value] = await say(notifier, page, sender, time.time)
            except (Refused, TryLater) as error:
                raise InvalidInput(": ".join([str(error), *said[-1:]])) from error
    return answers


def _print_list(shown: list[Shown]) -> None:
    from rich.table import Table

    from brain.kit.cli.tables import cell, print_table
    from brain.kit.cli.text import moment

    table = Table("Alert", "Severity", "State", "Last heard of", "Told", "Summary")
    for entry in shown:
        alert, muted = entry.alert, entry.muted
        state = "acknowledged" if alert.firing and alert.acknowledged_by is not None else alert.state.value
        if muted.silenced_by is not None:
            state += ", silenced"
        if muted.inhibited_by is not None:
            state += ", inhibited"
        if muted.held_until is not None:
            state += ", held"
        told = ", ".join(dict.fromkeys(f"{notice.notifier} {notice.state}" for notice in entry.notices))
        row = (alert.id, alert.severity, state, moment(alert.last_at), told, alert.summary)
        table.add_row(*map(cell, row))
    if shown:
        print_table(table)
    else:
        typer.echo("no alerts", err=True)


def _print_change(alert: Alert, line: str, as_json: bool) -> None:
    from brain.alerting.http_models import alert_values
    from brain.alerting.muting import Muted
    from brain.alerting.operations import Shown
    from brain.kit.cli.text import printable

    if as_json:
        print_json(alert_values(Shown(alert, Muted(), ())))
    else:
        typer.echo(printable(line))


def _print_configuration(found: Configuration, as_json: bool) -> None:
    rows: dict[str, Any] = {
        "notifiers": {name: notifier.kind for name, notifier in found.notifiers.items()},
        "routes": [
            {
                "name": route.name,
                "events": str(route.events),
                "severities": [*sorted(route.severities)],
                "matchers": [*map(str, route.matchers)],
                "to": route.to,
                "continue": route.go_on,
                "escalate": [{"after": step.after, "to": step.to} for step in route.escalations],
            }
            for route in found.routes
        ],
        "on_call_now": {name: rotation.on_call(time.time()) for name, rotation in found.rotations.items()},
        "inhibit": [inhibition.name for inhibition in found.inhibitions],
    }
    if as_json:
        print_json(rows)
        return
    typer.echo("[soc] is usable")
    typer.echo(f"notifiers: {', '.join(f'{name} ({kind})' for name, kind in rows['notifiers'].items()) or 'none'}")
    for route in found.routes:
        what = ", ".join([str(route.events), "/".join(sorted(route.severities)), *map(str, route.matchers)])
        steps = "".join(f"; after {step.after:g} s {', '.join(step.to)}" for step in route.escalations)
        typer.echo(f"route {route.name}: {what} -> {', '.join(route.to) or 'nobody'}{steps}")
    if not found.routes:
        typer.echo("no routes: alerts are kept and shown, nobody is told")
