"""`brain agents`: those that do the tasks of missions."""

from __future__ import annotations

import typer

from brain.kit.cli.common import DatabaseOption, JsonOption, StreamOption, print_json_array
from brain.kit.cli.text import print_text

app: typer.Typer = typer.Typer(no_args_is_help=True, epilog="Example: brain agents list --json")


@app.callback()
def agents() -> None:
    """Agents that do the tasks of missions."""


@app.command("list")
def list_agents(stream: StreamOption = None, database: DatabaseOption = None, as_json: JsonOption = False) -> None:
    """Print the agents that ever asked for tasks."""
    from rich.table import Table

    from brain.kit.cli.tables import cell, print_table
    from brain.kit.cli.text import moment
    from brain.missions.commands import read_missions

    found = read_missions(stream, database, lambda service: service.agents())
    if as_json:
        print_json_array(found)
        return
    table = Table("Agent", "Online", "Holds", "Completed", "Failed", "Lost leases", "Seen", "Capabilities")
    for one in found:
        counts = (one["running"], one["completed"], one["failed"], one["lost_leases"])
        seen, can = moment(one["seen_at"]), " ".join(one["capabilities"])
        values = (one["id"], "yes" if one["online"] else "no", *counts, seen, can)
        table.add_row(*(cell(value) for value in values))
    if found:
        print_table(table)
    else:
        print_text("no agent has ever asked for tasks", err=True)
