"""The command `brain`: the files beside this one, and the commands that plug-ins bring.

A file `name.py` holds `app`, a typer.Typer, for a group, or a function of the file's name for a single command. Files
import what is heavy inside their functions, so that `brain --help` stays quick.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated

import typer

from brain.errors import BrainError
from brain.plugins import plugins

USAGE_EXIT = 2
"""Exit code for whatever the user can set right: wrong usage, bad input, an unknown id, a part that does not answer."""


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"brain {version('brain-eventstream')}")
        raise typer.Exit


def root() -> typer.Typer:
    """The whole command line."""
    app = typer.Typer(
        name="brain",
        help="Policy decisions, threats, health and one durable event stream for fleets of agents and services.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
    )

    @app.callback()
    def options(
        version: Annotated[
            bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and end.")
        ] = False,
    ) -> None:
        from brain.logs import configure_logs

        configure_logs()

    for found in sorted(pkgutil.iter_modules(__path__), key=lambda found: found.name):
        module = importlib.import_module(f"{__name__}.{found.name}")
        name = found.name.replace("_", "-")
        if isinstance(group := getattr(module, "app", None), typer.Typer):
            app.add_typer(group, name=name)
        elif callable(command := getattr(module, found.name, None)):
            app.command(name=name)(command)
    for plugin in plugins().values():
        for name in plugin.commands:
            command = plugin.command(name)
            if isinstance(command, typer.Typer):
                app.add_typer(command, name=name)
            else:
                app.command(name=name)(command)
    return app


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line (this process's, or these arguments) and exit.

    Errors that the user can set right go to standard error, with exit code 2.
    """
    try:
        root()(arguments)
    except BrainError as error:
        faults = [fault for fault in getattr(error, "faults", ()) if fault not in str(error)]
        print(f"error: {error}", *(f"  {fault}" for fault in faults), sep="\n", file=sys.stderr)
        sys.exit(USAGE_EXIT)
