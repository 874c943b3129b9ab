"""`brain alerts`: list, acknowledge and close alerts; check the settings; list notifiers, send a test page."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from brain.kit.cli.common import DatabaseOption, JsonOption, StreamOption, print_json, print_json_array, run
from brain.kit.cli.text import print_text

if TYPE_CHECKING:
    from brain.alerting.configuration import AlertingConfiguration
    from brain.alerting.models import Alert
    from brain.alerting.service import AlertService
    from brain.alerting.views import AlertView
    from brain.settings import Settings

app: typer.Typer = typer.Typer(no_args_is_help=True)

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The alert's id, alr_...")]
ByOption = Annotated[str, typer.Option("--by", metavar="NAME", envvar="USER", help="Who you are.")]


@app.command("list")
def list_alerts(
    stream: StreamOption = None,
    database: DatabaseOption = None,
    state: Annotated[Literal["firing", "resolved"] | None, typer.Option(help="Only in this state.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Most alerts to print.")] = 100,
    before: Annotated[str | None, typer.Option(metavar="ID", help="Only what comes after this alert.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Print alerts, the one with the latest event first, with what mutes them and their notifications."""
    from brain.alerting.views import json_values

    with opened(stream, database) as (service, _):
        alerts = service.alerts(state, limit, before)
    if as_json:
        print_json_array(map(json_values, alerts))
    else:
        _print_list(alerts)


@app.command()
def ack(
    id: IdArgument,
    by: ByOption,
    stream: StreamOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Acknowledge an alert: its page is no longer repeated or escalated."""
    with opened(stream, database) as (service, settings):
        alert = service.acknowledge(id, by)
        run(publish_changes(service, settings.stream))
    _print_change(alert, f"{alert.id}: acknowledged by {alert.acknowledged_by}", as_json)


@app.command()
def close(
    id: IdArgument,
    by: ByOption,
    stream: StreamOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Close an alert that no event would resolve."""
    with opened(stream, database) as (service, settings):
        alert = service.close(id, by)
        run(publish_changes(service, settings.stream))
    _print_change(alert, f"{alert.id}: closed by {alert.resolved_by}", as_json)


@app.command()
def notifiers(stream: StreamOption = None, database: DatabaseOption = None, as_json: JsonOption = False) -> None:
    """Print how many messages each notifier was sent, how many wait and how many its service refused."""
    from brain.alerting.views import json_values
    from brain.kit.cli.text import printable

    with opened(stream, database) as (service, _):
        found = service.notifiers()
    if as_json:
        print_json_array(map(json_values, found))
        return
    for one in found:
        counts = f"{one.sent} sent, {one.waiting} waiting, {one.refused} refused"
        print_text(f"{one.name} ({one.kind or 'not in the settings'}): {counts}")
        if one.last_error:
            print_text(f"    {printable(one.last_error)}")
    if not found:
        print_text("no notifiers", err=True)


@app.command("check-config")
def check_config(as_json: JsonOption = False) -> None:
    """Check the table `alerting` of brain.toml, secrets included, and print a summary. Exit code 2 for any fault."""
    from brain.alerting.configuration import configuration, notifier_faults
    from brain.alerting.settings import AlertingSettings
    from brain.errors import InvalidInput
    from brain.settings import load_settings

    settings = load_settings().table(AlertingSettings)
    if faults := notifier_faults(settings):
        raise InvalidInput("the settings are not usable", faults)
    _print_configuration(configuration(settings), as_json)


@app.command("test")
def send_test(
    notifier: Annotated[str, typer.Argument(metavar="NOTIFIER", help="A name of alerting.notifiers.")],
    as_json: JsonOption = False,
) -> None:
    """Send a page that says it is a test, resolve it, and print the service's answer."""
    from brain.settings import load_settings

    answers = run(_test(notifier, load_settings()))
    if as_json:
        print_json(answers)
    else:
        print_text(f"{notifier} accepted a test page: {answers['trigger']}")


@contextmanager
def opened(stream: str | None, database: str | None) -> Iterator[tuple[AlertService, Settings]]:
    """The alert service over the database that the options and settings name."""
    from brain.alerting.configuration import configuration
    from brain.alerting.service import AlertService
    from brain.alerting.settings import AlertingSettings
    from brain.kit.database import database_url, open_database
    from brain.settings import load_settings
    from brain.store.ours import check_exists

    settings = load_settings(stream=stream, store=stream, database=database)
    url = database_url(settings)
    check_exists(url)
    engine = open_database(url)
    try:
        yield AlertService(engine, configuration(settings.table(AlertingSettings))), settings
    finally:
        engine.dispose()


async def publish_changes(service: AlertService, url: str) -> None:
    """Publish the events of what was changed, and of what earlier commands left, on the stream at the URL."""
    from brain.alerting.tables import CONSUMER
    from brain.kit.outbox import ship_waiting
    from brain.stream import EventStream

    async with EventStream.open(url) as stream:
        await ship_waiting(service.database, CONSUMER, stream)


async def _test(name: str, settings: Settings) -> dict[str, Any]:
    from brain.alerting.recipients import not_reached
    from brain.alerting.settings import AlertingSettings
    from brain.charter import Severity
    from brain.connectors.notifiers import open_notifier
    from brain.connectors.pages import Page, PageAction
    from brain.connectors.sender import Refused, Sender, TryLater
    from brain.errors import InvalidInput, NotFound
    from brain.logs import overheard

    tables = settings.table(AlertingSettings).notifiers
    if name not in tables:
        raise NotFound(f"no notifier {name!r} in alerting.notifiers; there are {', '.join(tables) or 'none'}")
    now = time.time()
    answers: dict[str, Any] = {}
    async with Sender() as sender:
        notifier = open_notifier(tables[name], sender, time.time)
        for action in (PageAction.TRIGGER, PageAction.RESOLVE):
            page = Page(
                id=f"soc-test-{action.value}-{int(now * 1000)}",
                action=action,
                dedup_key=f"brain test {int(now * 1000)}",
                severity=Severity.LOW,
                summary="this is a test of BRAiN EventStream; nothing is wrong",
                at=now,
                route="test",
                test=True,
            )
            try:
                with overheard("apprise") as lines:  # apprise logs the cause of a failure
                    answers[action.value] = {**await notifier.send(page)}
            except (Refused, TryLater) as error:
                raise InvalidInput(": ".join([str(error), *lines[-1:]])) from error
            if missed := not_reached(answers[action.value]):
                words = "; ".join(f"{one.address}: {one.words}" for one in missed)
                raise InvalidInput(f"{name} did not reach every address: {words}")
    return answers


def _print_list(alerts: list[AlertView]) -> None:
    if not alerts:
        print_text("no alerts", err=True)
        return
    from rich.table import Table

    from brain.kit.cli.tables import cell, print_table
    from brain.kit.cli.text import moment

    table = Table("Alert", "Severity", "State", "Latest event", "Notified", "Summary")
    for alert in alerts:
        states = [f"{sent.notifier} {sent.state}" for sent in alert.notifications]
        notified = ", ".join(dict.fromkeys([*(f"not reached: {one}" for one in alert.refused_by), *states]))
        row = (alert.id, alert.severity, _state(alert), moment(alert.last_at), notified, alert.summary)
        table.add_row(*map(cell, row))
    print_table(table)


def _state(alert: AlertView) -> str:
    """The state in words, with everything that mutes the alert."""
    acknowledged = alert.state == "firing" and alert.acknowledged_by is not None
    mutes = {"silenced": alert.silenced_by, "inhibited": alert.inhibited_by, "held": alert.held_until}
    words = ["acknowledged" if acknowledged else alert.state.value]
    return ", ".join([*words, *(word for word, why in mutes.items() if why is not None)])


def _print_change(alert: Alert, line: str, as_json: bool) -> None:
    from brain.alerting.views import alert_view, json_values
    from brain.kit.cli.text import printable

    if as_json:
        print_json(json_values(alert_view(alert)))
    else:
        print_text(printable(line))


def _print_configuration(found: AlertingConfiguration, as_json: bool) -> None:
    rows: dict[str, Any] = {
        "notifiers": {name: notifier.kind for name, notifier in found.notifiers.items()},
        "routes": [
            {
                "name": route.name,
                "events": str(route.events),
                "severities": [*sorted(route.severities)],
                "matchers": [*map(str, route.matchers)],
                "to": route.to,
                "continue": route.continues,
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
    print_text("[alerting] is usable")
    print_text(f"notifiers: {', '.join(f'{name} ({kind})' for name, kind in rows['notifiers'].items()) or 'none'}")
    for route in found.routes:
        what = ", ".join([str(route.events), "/".join(sorted(route.severities)), *map(str, route.matchers)])
        steps = "".join(f"; after {step.after:g} s {', '.join(step.to)}" for step in route.escalations)
        print_text(f"route {route.name}: {what} -> {', '.join(route.to) or 'nobody'}{steps}")
    if not found.routes:
        print_text("no routes: alerts are kept and shown, nobody is paged")
