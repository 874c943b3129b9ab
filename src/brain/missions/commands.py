"""`brain missions`: run, list and show missions, move them, answer their questions; orders for robots."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from brain.kit.cli.common import DatabaseOption, JsonOption, StreamOption, print_json, print_json_array, run
from brain.kit.cli.text import print_text
from brain.missions.commands_robots import check, order

if TYPE_CHECKING:
    from brain.missions.service import MissionService

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The mission's id, mis_....")]
ByOption = Annotated[str | None, typer.Option(help="Who does it: policy decides on this agent or person.")]
ReasonOption = Annotated[str, typer.Option(help="Why.")]

Document = dict[str, Any]
Method = Callable[["MissionService"], Coroutine[Any, Any, Any]]

EXAMPLES = """
Examples:\n
  brain missions run order.yaml --by planner\n
  brain missions list --status running\n
  brain missions show mis_4be0c1f2a9d35768\n
  brain missions cancel mis_4be0c1f2a9d35768 --reason "no longer wanted" --by ann\n
  brain missions order path.json --robot r1 --map hall > order.json\n
  brain missions check order.json --schemas vda5050/json_schemas
"""
app: typer.Typer = typer.Typer(no_args_is_help=True, epilog=EXAMPLES)


@app.command("run")
def run_mission(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The mission, as JSON or YAML.", exists=True)],
    by: ByOption = None,
    key: Annotated[str | None, typer.Option(help="The same key again finds the mission it made first.")] = None,
    stream: StreamOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a mission from a file, and start it."""
    from brain.missions.files import read_mission

    new = read_mission(file, by)
    _report(_change(stream, database, lambda service: service.create(new, key), creates=True), as_json)


@app.command("list")
def list_missions(
    status: Annotated[list[str] | None, typer.Option(help="Only this status; may be repeated.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 100,
    stream: StreamOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print missions, the latest first."""
    found = read_missions(stream, database, lambda service: service.list(status or (), limit))
    if as_json:
        print_json_array(found)
    else:
        _print_list(found)


@app.command()
def show(
    id: IdArgument, stream: StreamOption = None, database: DatabaseOption = None, as_json: JsonOption = False
) -> None:
    """Print a mission with its tasks."""
    _report(read_missions(stream, database, lambda service: service.get(id)), as_json, tasks=True)


@app.command()
def graph(
    id: IdArgument, stream: StreamOption = None, database: DatabaseOption = None, as_json: JsonOption = False
) -> None:
    """Print the graph of a mission's tasks, for Graphviz or as JSON."""
    found = read_missions(stream, database, lambda service: service.graph(id))
    if as_json:
        print_json(found)
        return
    from brain.missions.files import as_dot

    print_text(as_dot(found))


@app.command()
def start(
    id: IdArgument,
    by: ByOption = None,
    stream: StreamOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Start a mission that was made with start: false."""
    _report(_change(stream, database, lambda service: service.start(id, by)), as_json)


@app.command()
def pause(
    id: IdArgument,
    reason: ReasonOption = "",
    by: ByOption = None,
    stream: StreamOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Pause a mission: its running tasks go on, no other begins."""
    _report(_change(stream, database, lambda service: service.pause(id, reason, by)), as_json)


@app.command()
def resume(
    id: IdArgument,
    reason: ReasonOption = "",
    by: ByOption = None,
    stream: StreamOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Go on with a paused mission."""
    _report(_change(stream, database, lambda service: service.resume(id, reason, by)), as_json)


@app.command()
def cancel(
    id: IdArgument,
    reason: ReasonOption = "",
    by: ByOption = None,
    stream: StreamOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Cancel a mission: it is over once its agents have acknowledged that, and what was done is undone."""
    _report(_change(stream, database, lambda service: service.cancel(id, reason, by)), as_json)


@app.command()
def retry(
    id: IdArgument,
    by: ByOption = None,
    stream: StreamOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Try a failed mission again from where it failed."""
    _report(_change(stream, database, lambda service: service.retry(id, by)), as_json)


@app.command()
def answer(
    task: Annotated[str, typer.Argument(metavar="TASK", help="The task's id, mis_....name.")],
    by: Annotated[str, typer.Option(help="The person who answers.")],
    approved: Annotated[bool, typer.Option("--yes/--no", help="The answer; no ends the mission.")],
    note: Annotated[str, typer.Option(help="What there is to say about it.")] = "",
    stream: StreamOption = None,
    database: DatabaseOption = None,
) -> None:
    """Answer the question of a task that waits for a person."""
    found = _change(stream, database, lambda service: service.answer(task, approved, by, note))
    print_text(f"{found['id']}: {found['status']}")


app.command()(order)
app.command()(check)


def read_missions(stream: str | None, database: str | None, method: Method) -> Any:
    """What the service's method gives on the database that the options and settings name."""
    from brain.kit.cli.database import opened_database
    from brain.missions.service import MissionService
    from brain.missions.settings import MissionSettings
    from brain.missions.tables import make_tables

    with opened_database(stream, database) as (settings, engine):
        make_tables(engine)
        return run(method(MissionService(engine, settings.table(MissionSettings))))


def _change(stream: str | None, database: str | None, method: Method, *, creates: bool = False) -> Any:
    """The same for what changes something: policy decides on it, and its events are taken to the stream.

    Raises InvalidInput where there is no database, unless it `creates` a mission.
    """
    from brain.kit.cli.database import check_database
    from brain.missions.opened import opened_service
    from brain.settings import load_settings

    settings = load_settings(stream=stream, database=database)
    if not creates:
        check_database(settings)

    async def change() -> Any:
        async with opened_service(settings) as service:
            return await method(service)

    return run(change())


def _report(mission: Document, as_json: bool, tasks: bool = False) -> None:
    if as_json:
        print_json(mission)
        return
    from brain.kit.cli.text import moment, printable

    reason = f": {mission['reason']}" if mission["reason"] else ""
    done = f"{mission['completed_tasks']} of {mission['total_tasks']} tasks done"
    print_text(printable(f"{mission['id']}: {mission['name']} is {mission['status']}, {done}{reason}"))
    for task in mission["tasks"] if tasks else ():
        agent = f" by {task['agent']}" if task["agent"] else ""
        due = f", until {moment(task['due_at'])}" if task["due_at"] else ""
        words = task["error"] or (f"asks: {task['person']}" if task["status"] == "waiting" and task["person"] else "")
        print_text(printable(f"  {task['name']} ({task['type']}): {task['status']}{agent}{due} {words}".rstrip()))


def _print_list(missions: list[Document]) -> None:
    from rich.table import Table

    from brain.kit.cli.tables import cell, print_table
    from brain.kit.cli.text import moment

    table = Table("Mission", "Status", "Priority", "Done", "Made", "Name")
    for one in missions:
        done = f"{one['completed_tasks']}/{one['total_tasks']}"
        values = (one["id"], one["status"], one["priority"], done, moment(one["created_at"]), one["name"])
        table.add_row(*(cell(value) for value in values))
    if missions:
        print_table(table)
    else:
        print_text("there are no missions", err=True)
