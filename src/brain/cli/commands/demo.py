"""`brain demo`: see the whole system work, with a simulated fleet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from brain.errors import InvalidInput
from brain.extras import require_extras
from brain.kit.cli.common import JsonOption, print_json, run
from brain.kit.cli.text import print_text

if TYPE_CHECKING:
    from brain.demo.outcome import DemoOutcome
    from brain.demo.tally import Tally
    from brain.settings import Settings


def demo(
    folder: Annotated[
        Path | None,
        typer.Option(help="Keep everything in this folder; without it, in a folder that is deleted at the end."),
    ] = None,
    stream: Annotated[
        str | None, typer.Option(metavar="URL", help="Another stream, such as redis://host:port/0.")
    ] = None,
    seconds: Annotated[float | None, typer.Option(min=1, help="End after so many seconds; else at Ctrl-C.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; by default the usual, or any free one.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed plays the same events, but for timing.")] = 7,
    robots: Annotated[
        bool, typer.Option("--robots", help="Show a robot that stands still for a person, and end.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Serve, with agents that work, break rules, get attacked, fail and recover, all through the HTTP API.

    Keeps its stream and databases in a folder of its own, never in those of the settings, and takes its own rules away
    at the end. Pages and tickets go to stand-ins on this machine, whatever the settings say. It may run for days, more
    slowly after ten minutes. Exit code 0 means that a subscriber saw all 13 core event types, and that the audit log
    proves itself.
    """
    require_extras("the demo", "server", "connectors")
    from brain.demo import run_demo
    from brain.demo.services import settings_in
    from brain.garbage import collect_while_serving

    def say(line: str) -> None:
        if not as_json:
            print_text(line, err=True)

    collect_while_serving()
    with _own(folder) as kept_in:
        say(f"Everything is kept in {kept_in}{'' if folder else ', and deleted at the end; --folder keeps it'}")
        settings = settings_in(kept_in, stream=stream, port=port)
        if robots:
            _play_robots(settings, port is None, say, as_json)
            return
        tally, outcome = run(run_demo(settings, seconds=seconds, seed=seed, any_port=port is None, say=say))
    if as_json:
        print_json({**tally.report(), **outcome.report()})
    else:
        _print_table(tally, outcome)
    if tally.missing:
        print_text(f"not seen: {', '.join(tally.missing)}", err=True)
    if not outcome.audit_verified:
        print_text("the audit log does not verify: see brain audit verify", err=True)
    if tally.missing or not outcome.audit_verified:
        raise typer.Exit(1)


def _play_robots(settings: Settings, any_port: bool, say: Callable[[str], None], as_json: bool) -> None:
    """Exit code 1 when the audit log does not verify."""
    from brain.demo.robots import run_robot_demo

    outcome = run(run_robot_demo(settings, any_port=any_port, say=say))
    if as_json:
        print_json(outcome.report())
    if not outcome.verified:
        print_text("the audit log does not verify: see brain audit verify", err=True)
        raise typer.Exit(1)


@contextmanager
def _own(folder: Path | None) -> Iterator[Path]:
    """The folder that was asked for, made if need be; or a new one, which is deleted after the block."""
    if folder is None:
        with TemporaryDirectory(prefix="brain-demo-", ignore_cleanup_errors=True) as own:
            yield Path(own)
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput(f"folder: {folder} cannot be made: {error.strerror}; give another --folder") from error
    yield folder


def _print_table(tally: Tally, outcome: DemoOutcome) -> None:
    from rich.console import Console
    from rich.table import Table

    report = tally.report()
    table = Table("Event type", "Seen")
    table.columns[1].justify = "right"
    for name, count in report["events"].items():
        table.add_row(name, str(count))
    table.add_section()
    table.add_row("all", str(report["total"]))
    mttm = report["mttm_seconds"]
    table.add_row("MTTM (mean time to mitigate)", f"{mttm:.2f} s" if mttm is not None else "-")
    table.add_section()
    table.add_row(
        "in the audit log", f"{outcome.audit_size}, {'verified' if outcome.audit_verified else 'NOT VERIFIED'}"
    )
    table.add_row("alerts, incidents", f"{outcome.alerts}, {outcome.incidents}")
    for name, count in outcome.stand_ins.items():
        table.add_row(f"{name.replace('_', ' ')} (stand-in)", str(count))
    Console().print(table)
