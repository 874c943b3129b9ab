"""`brain incidents`: list, show, open and move incidents, assign them, add notes to them."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from brain.kit.cli.common import DatabaseOption, JsonOption, StreamOption, print_json, print_json_array, run
from brain.kit.cli.text import print_text

if TYPE_CHECKING:
    from brain.incidents.service import IncidentService
    from brain.kit.protocols import LoggedEvent
    from brain.plugins import PluginContext

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The incident's id, inc_..., or its number.")]
ByOption = Annotated[str | None, typer.Option(help="The person who does it, for the timeline.")]

Document = dict[str, Any]
T = TypeVar("T")

app: typer.Typer = typer.Typer(no_args_is_help=True)


@app.command("list")
def list_incidents(
    state: Annotated[list[str] | None, typer.Option(help="Only this state; may be repeated.")] = None,
    correlation_id: Annotated[str | None, typer.Option(help="Only incidents of this correlation id.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 100,
    before: Annotated[str | None, typer.Option(metavar="ID", help="Only what comes after this incident.")] = None,
    stream: StreamOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print incidents, the latest opened first."""
    from brain.incidents.models import parse_state

    states = [parse_state(name) for name in state or ()]
    found = _with_service(stream, database, lambda service: service.list(states, correlation_id, limit, before))
    if as_json:
        print_json_array(found)
    else:
        _print_list(found)


@app.command()
def show(
    id: IdArgument, stream: StreamOption = None, database: DatabaseOption = None, as_json: JsonOption = False
) -> None:
    """Print one incident with its timeline, threats, policy decisions and tickets."""
    _report(_on(stream, database, id, lambda service, found: service.get(found)), as_json, _print_incident)


@app.command("open")
def open_incident(
    title: Annotated[str, typer.Argument(metavar="TITLE", help="The subject, in one line.")],
    severity: Annotated[str, typer.Option(help="LOW, MEDIUM, HIGH or CRITICAL.")] = "MEDIUM",
    text: Annotated[str, typer.Option(help="The facts so far, for the timeline.")] = "",
    correlation_id: Annotated[str | None, typer.Option(help="The correlation id of its events.")] = None,
    owner: Annotated[str | None, typer.Option(help="The person who is responsible.")] = None,
    by: ByOption = None,
    stream: StreamOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Open an incident by hand."""
    from brain.incidents.models import parse_severity

    chosen = parse_severity(severity)
    opened = _with_service(
        stream,
        database,
        lambda service: service.open(title, chosen, text=text, correlation_id=correlation_id, owner=owner, by=by),
        creates=True,
    )
    _report(opened, as_json, _print_state)


@app.command("state")
def move(
    id: IdArgument,
    state: Annotated[str, typer.Argument(metavar="STATE", help="The state to move to, such as IN_PROGRESS.")],
    note: Annotated[str, typer.Option(help="The reason, for the timeline and the tickets.")] = "",
    by: ByOption = None,
    stream: StreamOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Move an incident to another state; its tickets and threats follow when a server or worker runs."""
    from brain.incidents.models import parse_state

    wanted = parse_state(state)
    _report(
        _on(stream, database, id, lambda service, found: service.move(found, wanted, note, by)), as_json, _print_state
    )


@app.command()
def owner(
    id: IdArgument,
    owner: Annotated[str, typer.Argument(metavar="OWNER", help="The responsible person; empty for nobody.")],
    by: ByOption = None,
    stream: StreamOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Assign an incident to a person."""
    assigned = _on(stream, database, id, lambda service, found: service.assign(found, owner or None, by))
    _report(assigned, as_json, _print_state)


@app.command()
def note(
    id: IdArgument,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="The note.")],
    by: ByOption = None,
    stream: StreamOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add a note to an incident's timeline and tickets."""
    _report(_on(stream, database, id, lambda service, found: service.note(found, text, by)), as_json, _print_state)


def _on(
    stream: str | None,
    database: str | None,
    id: str,
    method: Callable[[IncidentService, str], Coroutine[Any, Any, Document]],
) -> Document:
    """Run the service's method on the incident of that id, or of that number."""

    async def found(service: IncidentService) -> Document:
        return await method(service, await service.id_of(int(id)) if id.isdecimal() else id)

    return _with_service(stream, database, found)


def _with_service(
    stream: str | None,
    database: str | None,
    method: Callable[[IncidentService], Coroutine[Any, Any, T]],
    *,
    creates: bool = False,
) -> T:
    """Run the service's method on the database that the options and settings name; `creates`: it need not exist."""
    from brain.incidents.service import IncidentService
    from brain.incidents.settings import IncidentSettings
    from brain.incidents.tables import make_tables
    from brain.kit.context import database_context
    from brain.kit.database import database_url
    from brain.settings import load_settings
    from brain.store.ours import check_exists

    settings = load_settings(stream=stream, database=database)
    if not creates:
        check_exists(database_url(settings))
    with database_context(settings) as context:
        make_tables(context.database)
        service = IncidentService(context.database, context.table(IncidentSettings), proofs=_Proofs(context))
        return run(method(service))


class _Proofs:
    """AuditProofs, found when the first one is asked for: a list shows none."""

    def __init__(self, context: PluginContext) -> None:
        self._context = context

    def find(self, event_id: str) -> LoggedEvent | None:
        from brain.kit.protocols import AuditProofs

        audit = self._context.find(AuditProofs)
        return None if audit is None else audit.find(event_id)


def _report(incident: Document, as_json: bool, print_it: Callable[[Document], None]) -> None:
    if as_json:
        print_json(incident)
    else:
        print_it(incident)


def _print_list(incidents: list[Document]) -> None:
    if not incidents:
        print_text("there are no incidents", err=True)
        return
    from rich.table import Table

    from brain.kit.cli.tables import cell, print_table
    from brain.kit.cli.text import moment

    table = Table("Number", "Incident", "Severity", "State", "Owner", "Opened", "Tickets", "Title")
    for incident in incidents:
        tickets = ", ".join(mirror["key"] or f"{mirror['system']}: none yet" for mirror in incident["mirrors"])
        opened = moment(incident["opened_at"])
        values = (incident["id"], incident["severity"], incident["state"], incident["owner"] or "", opened, tickets)
        table.add_row(str(incident["number"]), *(cell(value) for value in (*values, incident["title"])))
    print_table(table)


def _print_state(incident: Document) -> None:
    from brain.kit.cli.text import printable

    allowed = ", ".join(incident["allowed_states"]) or "no other state"
    owner = f", assigned to {incident['owner']}" if incident["owner"] else ""
    print_text(
        printable(f"{incident['id']}: number {incident['number']}, {incident['state']}{owner}; may move to {allowed}")
    )


def _print_incident(incident: Document) -> None:
    from brain.kit.cli.text import moment, printable

    lines = [
        ("title", incident["title"]),
        ("severity", incident["severity"]),
        ("owner", incident["owner"] or "nobody"),
        ("correlation id", incident["correlation_id"]),
        ("opened", moment(incident["opened_at"])),
        ("resolved", moment(incident["resolved_at"]) if incident["resolved_at"] is not None else "no"),
        ("agents", ", ".join(incident["agents"]) or "none"),
        *(("ticket", _ticket(ticket)) for ticket in incident["mirrors"]),
        *(("threat", "{id} {status}: {type} from {source}".format(**threat)) for threat in incident["threats"]),
        *(("health", "{kind} of {module}: {state}".format(**event)) for event in incident["health"]),
        *(("decision", _decision(decision)) for decision in incident["decisions"]),
        *((moment(entry["at"]), _entry(entry)) for entry in reversed(incident["timeline"])),
    ]
    _print_state(incident)
    for name, value in lines:
        print_text(f"  {name}: {printable(value)}")


def _ticket(ticket: Document) -> str:
    words = [ticket["system"], ticket["key"] or "none yet", ticket["state"], ticket["url"]]
    error = f"; {ticket['error']}" if ticket["error"] else ""
    return " ".join(word for word in words if word) + error


def _decision(decision: Document) -> str:
    proof = decision["proof"]
    logged = f"; entry {proof['index']} of the audit log" if proof else ""
    return "{effect}: {agent} {action} {resource}".format(**decision) + f" ({decision['rule_id'] or 'default'}){logged}"


def _entry(entry: Document) -> str:
    by = f" ({entry['by']})" if entry["by"] else ""
    return f"{entry['text']}{by}" + (f" [{entry['count']} times]" if entry["count"] > 1 else "")
