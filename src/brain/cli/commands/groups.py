"""`brain groups`: the consumer groups, how far each has read; removing, moving and handing them over."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from brain.kit.cli.backend import find_group, opened
from brain.kit.cli.common import DatabaseOption, JsonOption, StreamOption, print_json_array
from brain.kit.cli.text import print_text

if TYPE_CHECKING:
    from brain.stream.backends import GroupInfo

app: typer.Typer = typer.Typer()


@app.callback(invoke_without_command=True)
def groups(context: typer.Context, stream: StreamOption = None, as_json: JsonOption = False) -> None:
    """Consumer groups: list them (also without a command), move, adopt or remove them."""
    if context.invoked_subcommand is None:
        list_groups(stream, as_json)
    elif stream is not None or as_json:
        raise typer.BadParameter(
            f"options go after the command: brain groups {context.invoked_subcommand} --stream URL"
        )


@app.command("list")
def list_groups(stream: StreamOption = None, as_json: JsonOption = False) -> None:
    """Print each group with its lag, its unacknowledged events and its dead letters."""
    with opened(stream) as backend:
        groups = sorted(backend.groups(), key=lambda group: group.name)
    if as_json:
        print_json_array(map(asdict, groups))
        return
    if not groups:
        print_text("no groups", err=True)
        return
    head = ("GROUP", "PATTERN", "LAG", "PENDING", "DEAD", "CONSUMERS", "READ TO")
    rows = [
        (g.name, g.pattern, str(g.lag), str(g.pending), str(g.dead), _consumers(g), g.read_to or "-") for g in groups
    ]
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows):
        cells = (
            f"{cell:>{w}}" if 2 <= n <= 5 else f"{cell:<{w}}"
            for n, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        print_text("  ".join(cells).rstrip())


@app.command()
def remove(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The group.")],
    stream: StreamOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Remove it; without this, only print what would be lost.")] = False,
) -> None:
    """Remove a group: its position, its pending events and its dead letters. Events stay in the stream."""
    from brain.errors import InvalidInput

    with opened(stream) as backend:
        group = find_group(backend, name)
        if not yes:
            raise InvalidInput(
                f"removing {name!r} forgets that it has {group.lag} events to read, {group.pending} unacknowledged and "
                f"{group.dead} dead letters; a running consumer ({_consumers(group)} joined) makes it again, and "
                "begins where new groups begin; repeat with --yes"
            )
        backend.drop_group(name)
    print_text(f"{name} removed")


@app.command()
def adopt(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="The groups; all kept elsewhere when none is given.")
    ] = None,
    stream: StreamOption = None,
    database: Annotated[str | None, typer.Option(metavar="URL", help="Where they are kept from now on.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without this, only print what would be done.")] = False,
) -> None:
    """Move groups to the database of the settings for good, as after a restore or a move. Stop the other nodes first.

    A group goes on from the position that this database has; one that it does not know begins at the start of the
    stream, and what it says to the outside may be said again.
    """
    from brain.errors import InvalidInput
    from brain.kit.database import database_url, open_database
    from brain.kit.database_identity import adopt_groups, known_identity, owned_elsewhere
    from brain.settings import load_settings

    settings = load_settings(stream=stream, database=database)
    with opened(stream) as backend:
        engine = open_database(database_url(settings))
        try:
            elsewhere = owned_elsewhere(backend, known_identity(engine))
            chosen = [find_group(backend, name).name for name in names] if names else list(elsewhere)
            if chosen and not yes:
                places = sorted({elsewhere[name].place for name in chosen if name in elsewhere}) or [
                    "no other database"
                ]
                raise InvalidInput(
                    f"this moves {', '.join(chosen)} from {' and '.join(places)} to {engine.url.render_as_string()}; "
                    "stop the nodes that use the other database, then repeat with --yes"
                )
            adopt_groups(backend, engine, chosen)
        finally:
            engine.dispose()
    print_text(f"{', '.join(chosen)} moved to this database" if chosen else "no group is kept in another database")


@app.command()
def move(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The group of a plug-in, such as brain.audit.")],
    after: Annotated[
        str,
        typer.Option("--after", metavar="POSITION", help="Go on after it; `start` or `end` for those of the stream."),
    ],
    stream: StreamOption = None,
    database: DatabaseOption = None,
) -> None:
    """Say where a plug-in's group goes on, when it stands still because the stream or its database was restored.

    What lies before is not applied again, what follows is. It may run meanwhile.

    Example: `brain groups move brain.audit --after 4711`
    """
    from brain.kit.cli.database import opened_database
    from brain.kit.moving import move_group

    with opened(stream) as backend, opened_database(stream, database) as (_, engine):
        position = {"start": "", "end": backend.tail()}.get(after, after)
        was = move_group(backend, engine, name, position)
    print_text(f"{name} stood at {was or 'the start'}, and goes on after {position or 'the start'}")


def _consumers(group: GroupInfo) -> str:
    return "by position" if group.consumers is None else str(group.consumers)
