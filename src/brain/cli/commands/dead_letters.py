"""`brain dead-letters`: what consumer groups gave up on; have it delivered once more, or delete it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from brain.kit.cli.backend import find_group, opened
from brain.kit.cli.common import JsonOption, StreamOption, print_json, print_json_array
from brain.kit.cli.text import print_text

if TYPE_CHECKING:
    from brain.stream.backends import Backend
    from brain.stream.dead_letters import DeadLetter

app: typer.Typer = typer.Typer(no_args_is_help=True)

GroupArgument = Annotated[str, typer.Argument(metavar="GROUP", help="The consumer group.")]
PositionsArgument = Annotated[
    list[str] | None, typer.Argument(metavar="POSITION", help="Positions, as `list` shows them.")
]
AllOption = Annotated[bool, typer.Option("--all", help="Every dead letter of the group.")]

_PREVIEW = 160


@app.command("list")
def list_letters(
    group: Annotated[str | None, typer.Argument(metavar="GROUP", help="Of this group alone.")] = None,
    stream: StreamOption = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Show at most so many.")] = 1000,
    as_json: JsonOption = False,
) -> None:
    """Print dead letters in stream order: where they are, what went wrong at each attempt, and how they begin."""
    with opened(stream) as backend:
        if group is not None:
            find_group(backend, group)
        letters = backend.dead_letters(group, limit)
    if as_json:
        print_json_array(map(_row, letters))
        return
    for letter in letters:
        _print(letter)
    if not letters:
        print_text("no dead letters", err=True)


@app.command()
def redrive(
    group: GroupArgument,
    positions: PositionsArgument = None,
    stream: StreamOption = None,
    everything: AllOption = False,
    as_json: JsonOption = False,
) -> None:
    """Have dead letters delivered once more, to this group alone."""
    with opened(stream) as backend:
        count = backend.redrive(group, _chosen(backend, group, positions, everything))
    if as_json:
        print_json({"group": group, "redriven": count})
    else:
        print_text(f"{count} redriven to {group}")


@app.command()
def discard(
    group: GroupArgument,
    positions: PositionsArgument = None,
    stream: StreamOption = None,
    everything: AllOption = False,
    as_json: JsonOption = False,
) -> None:
    """Delete dead letters; the events themselves stay in the stream."""
    with opened(stream) as backend:
        count = backend.discard(group, _chosen(backend, group, positions, everything))
    if as_json:
        print_json({"group": group, "discarded": count})
    else:
        print_text(f"{count} of {group} discarded")


def _chosen(backend: Backend, group: str, positions: list[str] | None, everything: bool) -> list[str] | None:
    """The positions to work on, None for all. Raises NoGroup, NotFound and InvalidInput, before anything is done."""
    from brain.errors import InvalidInput
    from brain.stream.backends import check_position
    from brain.stream.dead_letters import check_positions

    find_group(backend, group)
    if everything is bool(positions):
        raise InvalidInput("give either positions, as `brain dead-letters list` shows them, or --all")
    if not positions:
        return None
    for position in positions:
        check_position(position)
    check_positions(group, backend.dead_letters(group, 1 << 30), positions)
    return positions


def _row(letter: DeadLetter) -> dict[str, object]:
    from base64 import b64encode

    return {
        "group": letter.group,
        "position": letter.position,
        "error": letter.error,
        "attempts": letter.attempts,
        "history": letter.history,
        "buried_at": letter.buried_at,
        "size": len(letter.data),
        "preview": letter.data[:_PREVIEW].decode(errors="replace"),
        "data_base64": b64encode(letter.data).decode(),
        "event": letter.event(),
    }


def _print(letter: DeadLetter) -> None:
    from brain.kit.cli.text import moment, printable
    from brain.stream.dead_letters import read_attempt

    event = letter.event()
    what = f"{event.type}  {event.id}" if event is not None else f"{len(letter.data)} bytes that are no event"
    attempts = "1 attempt" if letter.attempts == 1 else f"{letter.attempts} attempts"
    print_text(f"{letter.group}  {letter.position}  {what}  {attempts}, given up {moment(letter.buried_at)}")
    print_text(f"    error: {printable(letter.error)}")
    for at, error in map(read_attempt, letter.history):
        when = moment(at) if at is not None else "at a time that is not known"
        print_text(f"    failed {when}: {printable(error)}")
    print_text(f"    {printable(letter.data.decode(errors='replace'), _PREVIEW)}")
