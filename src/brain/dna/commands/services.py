"""What the commands share: services on the parts that the options name, and values as people type them."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from brain.kit.cli.common import print_json, run
from brain.kit.cli.text import print_text

if TYPE_CHECKING:
    from brain.dna.opening import Services

ByOption = Annotated[str, typer.Option("--by", metavar="NAME", envvar="USER", help="Who you are.")]
AgentArgument = Annotated[str, typer.Argument(metavar="AGENT", help="The agent's id.")]
FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="A JSON file; - reads standard input.")]

T = TypeVar("T")


def look(stream: str | None, database: str | None, work: Callable[[Services], Coroutine[Any, Any, T]]) -> T:
    """Answer a question."""
    from brain.dna.opening import reading_services
    from brain.settings import load_settings

    settings = load_settings(stream=stream, store=stream, database=database)

    async def inside() -> T:
        async with reading_services(settings) as services:
            return await work(services)

    return run(inside())


def change(
    stream: str | None,
    database: str | None,
    work: Callable[[Services], Coroutine[Any, Any, T]],
    *,
    creates: bool = False,
) -> T:
    """Carry out a change, and publish its events.

    Raises InvalidInput where there is no database, unless the change `creates` something in it.
    """
    from brain.dna.opening import writing_services
    from brain.kit.cli.database import check_database
    from brain.settings import load_settings

    settings = load_settings(stream=stream, store=stream, database=database)
    if not creates:
        check_database(settings)

    async def inside() -> T:
        async with writing_services(settings) as services:
            return await work(services)

    return run(inside())


def read_file(path: Path, stream: str | None) -> dict[str, Any]:
    """The JSON object in a file, with marks of this stream for its secrets. Raises InvalidInput."""
    import sys

    from brain.errors import InvalidInput
    from brain.kit.cli.records import as_record
    from brain.kit.documents import json_in, read_bytes

    found = json_in(sys.stdin.buffer.read() if str(path) == "-" else read_bytes(path), str(path))
    if not isinstance(found, dict):
        raise InvalidInput(f"{path}: is no JSON object")
    return as_record(found, stream)


def typed(text: str) -> Any:
    """A value as JSON, or else as a text: 0.4, true, "0.4", small."""
    import msgspec

    from brain.json_text import JSON_FAULTS

    try:
        return msgspec.json.decode(text)
    except JSON_FAULTS:
        return text


def report(value: Any, words: str, as_json: bool) -> None:
    """Print the value as JSON, or what it says in words."""
    import msgspec

    from brain.kit.cli.text import printable

    if as_json:
        print_json(msgspec.to_builtins(value))
    else:
        print_text(printable(words))
