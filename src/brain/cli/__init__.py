"""The command `brain`: the commands listed here, and those that plug-ins declare.

A command is imported when it is run. `brain --help` shows each by its declared line of help and imports none.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial, wraps
from importlib import import_module
from typing import Annotated, Any

from brain import __version__, logs
from brain.errors import BrainError
from brain.extras import missing_extra, needs
from brain.neutral import plain_text, printable
from brain.plugins import Command, plugins

with needs("the command `brain`"):
    import typer
    from typer.core import TyperCommand, TyperGroup
    from typer.main import get_command, get_group

_LARGEST = (1 << 63) - 1
USAGE_EXIT = 2
"""Exit code for faults that the user can mend: wrong usage, bad input, an unknown id, a part that does not answer."""

COMMANDS = {
    "backup": Command(
        "brain.cli.commands.backup:backup", "Copy everything as one consistent set, while everything goes on."
    ),
    "dead-letters": Command("brain.cli.commands.dead_letters:app", "Events that a consumer group gave up on."),
    "demo": Command("brain.cli.commands.demo:demo", "Serve, with a simulated fleet that uses the HTTP API."),
    "doctor": Command(
        "brain.cli.commands.doctor:doctor", "Check settings, stream, groups, store, database and server."
    ),
    "events": Command(
        "brain.cli.commands.events:app", "The event stream: follow it, read it, and list its event types."
    ),
    "groups": Command(
        "brain.cli.commands.groups:app", "Consumer groups: list them (also without a command), move, adopt or remove."
    ),
    "outbox": Command("brain.cli.commands.outbox:app", "Messages to outside services: waiting, sent, refused."),
    "restore": Command("brain.cli.commands.backup:restore", "Put a backup in place."),
    "serve": Command("brain.cli.commands.serve:serve", "Serve the HTTP API, the page and the consumers."),
    "worker": Command("brain.cli.commands.worker:worker", "Run the tasks of one plug-in, without the HTTP server."),
}
"""The commands that belong to no plug-in."""


def all_commands() -> Mapping[str, tuple[Command, Callable[[], Any]]]:
    """Every command, in the order of the names, with a function that imports it.

    A plug-in's command whose name another has is left out, and logged.
    """
    found: dict[str, tuple[Command, Callable[[], Any]]] = {}
    for name, command in COMMANDS.items():
        found[name] = command, partial(_imported, command.reference)
    for plugin in plugins().values():
        for name, command in plugin.commands.items():
            if " " in name:
                continue  # of a group; see `members`
            if name in found:
                fault = f"there is another command `brain {name}`; its author must choose a new name"
                logs.Log("brain.cli").error("a command of a plug-in is left out", plugin=plugin.name, fault=fault)
                continue
            found[name] = command, partial(plugin.command, name)
    return dict(sorted(found.items()))


def members(group: str) -> Mapping[str, tuple[Command, Callable[[], Any]]]:
    """The commands that plug-ins add to a group of another one, `ingest falco` to `ingest`, by their second word."""
    return {
        name.removeprefix(f"{group} "): (command, partial(plugin.command, name))
        for plugin in plugins().values()
        for name, command in plugin.commands.items()
        if name.startswith(f"{group} ")
    }


class LazyGroup(TyperGroup):
    """The group of all commands: a stand-in with a line of help for each, exchanged for the real one that is run."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._known = all_commands()
        for name, (command, _) in self._known.items():
            stand_in = TyperCommand(name, help=command.help, short_help=command.help, rich_markup_mode=None)
            self.add_command(stand_in, name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that the arguments name, imported, and what is left of the arguments."""
        name, found, rest = super().resolve_command(ctx, args)
        return name, found if name is None else self.load(name), rest

    def invoke(self, ctx: Any) -> Any:
        """Run what the arguments name; what an option does not take is said in our words."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            error.message = _value_fault(error)
            raise

    def load(self, name: str) -> Any:
        """The command of that name, imported. Raises InvalidInput when what it names is not there."""
        declared, imported = self._known[name]
        command = _command(imported(), declared.help)
        command.name = name
        for second, (_, member) in members(name).items():
            command.add_command(_command(member(), ""), second)
        _show_first_paragraphs(command)
        logs.include_structlog()  # the command's modules may log by it
        return command


def _imported(reference: str) -> Any:
    module, _, attribute = reference.partition(":")
    return getattr(import_module(module), attribute)


def _command(found: Any, help_text: str) -> Any:
    """A typer.Typer as a group with this help; a function as a single command with its own."""
    if isinstance(found, typer.Typer):
        found.rich_markup_mode = None
        _prepare(found)
        group = get_group(found)
        group.help = help_text
        return group
    single = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    single.command()(_with_good_values(_with_records(found)))
    return get_command(single)


def _prepare(group: typer.Typer) -> None:
    """Have each command of the group get its arguments as `_with_good_values` and `_with_records` give them."""
    for command in group.registered_commands:
        if command.callback is not None:
            command.callback = _with_good_values(_with_records(command.callback))
    for member in group.registered_groups:
        if member.typer_instance is not None:
            _prepare(member.typer_instance)


def _with_good_values(function: Callable[..., Any]) -> Callable[..., Any]:
    """The command with every value looked at first: no database takes bytes that are no UTF-8, or numbers of 9 bytes.

    It raises typer.BadParameter for those. The path of a file may hold such bytes, since the system's names may.
    """
    if getattr(function, "_looks_at_values", False):
        return function

    @wraps(function)
    def with_good_values(*args: Any, **given: Any) -> Any:
        for name, value in given.items():
            for one in value if isinstance(value, list) else [value]:
                if (fault := _unstorable(one)) is not None:
                    raise typer.BadParameter(fault, param_hint=name.removesuffix("_").replace("_", "-"))
        return function(*args, **given)

    vars(with_good_values)["_looks_at_values"] = True
    return with_good_values


def _unstorable(value: object) -> str | None:
    if isinstance(value, int) and not -_LARGEST - 1 <= value <= _LARGEST:
        return f"{value} is too large; at most {_LARGEST} is taken"
    try:
        value.encode() if isinstance(value, str) else None
    except UnicodeEncodeError:
        return f"{value!r} is not UTF-8; write it in that encoding"
    return None


def _with_records(function: Callable[..., Any]) -> Callable[..., Any]:
    from brain.kit.cli.records import WORDS, as_record

    named = WORDS.intersection(inspect.signature(function).parameters)
    if not named or hasattr(function, "__wrapped__"):  # has none, or is one of these already
        return function

    @wraps(function)
    def without_secrets(*args: Any, **given: Any) -> Any:
        stream = given.get("stream")
        kept = {name: as_record(given[name], stream) for name in named if given.get(name)}
        return function(*args, **given | kept)

    return without_secrets


def _value_fault(error: typer.BadParameter) -> str:
    """Why a value is not taken; typer's message is pydantic's, and often names no value."""
    from brain.model_faults import plain_words

    found: list[dict[str, Any]] = getattr(error.__cause__, "errors", list)()
    if not found:
        return error.message
    given, words = repr(found[0]["input"]), plain_words(error.message)
    return words if given in words else f"{words}; it is {given}"


def _show_first_paragraphs(group: Any) -> None:
    """Have the group's help show what each command does in whole: typer cuts it off where the line ends."""
    for member in getattr(group, "commands", {}).values():
        member.short_help = " ".join((member.help or "").partition("\n\n")[0].split())
        _show_first_paragraphs(member)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"brain {__version__}")
        raise typer.Exit


def root() -> typer.Typer:
    """The whole command line. Raises InvalidInput for a plug-in that cannot be loaded."""
    app = typer.Typer(
        name="brain",
        cls=LazyGroup,
        help="Policy decisions, threats, health and one durable event stream for fleets of agents and services.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,  # plain text: Rich with its Markdown takes longer than all else of `brain --help`
    )

    @app.callback()
    def options(
        version: Annotated[
            bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
        ] = False,
    ) -> None:
        logs.configure_logs()

    return app


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line (this process's, or these arguments) and exit.

    Faults that the user can mend go to standard error, with exit code 2: also a file that cannot be opened.
    """
    try:
        root()(arguments)
    except (BrainError, ModuleNotFoundError) as error:
        known = error if isinstance(error, BrainError) else missing_extra(error, "this command")
        if known is None:
            raise
        faults = [fault for fault in getattr(known, "faults", ()) if fault not in str(known)]
        message = "\n".join([f"error: {known}", *(f"  {fault}" for fault in faults)])
        print(plain_text(message), file=sys.stderr)  # what others wrote may be in it
        sys.exit(USAGE_EXIT)
    except OSError as error:
        if error.filename is None:
            raise
        print(f"error: {printable(os.fsdecode(error.filename))}: {error.strerror}", file=sys.stderr)
        sys.exit(USAGE_EXIT)
