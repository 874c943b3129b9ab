"""`brain playbooks`: check and test playbooks, run one by hand, show what ran, answer what one asks."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from brain.kit.cli.common import DatabaseOption, JsonOption, StreamOption, print_json, print_json_array, run
from brain.kit.cli.database import opened_database
from brain.kit.cli.text import print_text, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from brain.playbooks.models import Playbook
    from brain.playbooks.reads import RunRow
    from brain.settings import Settings

app: typer.Typer = typer.Typer(no_args_is_help=True)

SourcesArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="SOURCE...", help="Files in YAML or module:NAME; without any, those of the settings."),
]
RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")]
LimitOption = Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")]


@app.callback()
def playbooks() -> None:
    """Playbooks: what is done about an event, step by step, each decided by the rules.

    Examples:

    brain playbooks check playbooks.yaml

    brain playbooks run restart-billing --event failure.json --dry-run

    brain playbooks runs
    """


@app.command()
def check(sources: SourcesArgument = None) -> None:
    """Say what is wrong with playbooks; exit code 2 when anything is."""
    found = _playbooks(sources)
    print_text(f"{len(found)} playbooks, {sum(len(one.steps) for one in found)} steps: no fault")


@app.command("list")
def list_all(sources: SourcesArgument = None, as_json: JsonOption = False) -> None:
    """Print the playbooks, what starts each, and its steps."""
    from brain.playbooks.reads import playbook_rows

    rows = playbook_rows(_playbooks(sources))
    if as_json:
        print_json_array(rows)
        return
    for row in rows:
        print_text(f"{printable(row.name)}: {', '.join(row.trigger)} -> {', '.join(row.steps)}")


@app.command("test")
def run_tests(
    cases: Annotated[list[Path], typer.Argument(metavar="CASES...", help="Files of cases in YAML.")],
    source: Annotated[list[str] | None, typer.Option(help="Playbooks to test; else those of the settings.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Run test cases: which playbooks an event starts, with which steps; exit code 1 when one fails."""
    from brain.playbooks.cases import read_cases, run_case

    loaded = _playbooks(source)
    results = [run_case(case, loaded) for path in cases for case in read_cases(path)]
    failed = [one for one in results if not one.passed]
    if as_json:
        print_json_array(results)
    else:
        for one in failed:
            print_text(f"FAILED {printable(one.name)}: {printable(one.fault)}")
        print_text(f"{len(results) - len(failed)} of {len(results)} cases passed")
    if failed:
        raise typer.Exit(1)


@app.command("run")
def run_one(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The playbook's name.")],
    event: Annotated[Path, typer.Option(help="A file with the event in JSON: its type and payload at least.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Decide and announce each step, and do none.")] = False,
    stream: StreamOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run a playbook by hand, now, within its budgets; exit code 1 when it does not succeed.

    A run that waits for a person, or for what verifies it, is left to the server.
    """
    from brain.kit.documents import read_bytes
    from brain.playbooks.by_hand import run_by_hand
    from brain.settings import load_settings

    settings = load_settings(stream=stream, database=database)
    row = run(run_by_hand(settings, name, read_bytes(event), dry_run=dry_run))
    _print_run(row, as_json)
    if row.state == "FAILED":
        raise typer.Exit(1)


@app.command()
def runs(
    limit: LimitOption = 50, stream: StreamOption = None, database: DatabaseOption = None, as_json: JsonOption = False
) -> None:
    """Print the last runs, the newest first."""
    from brain.playbooks.reads import read_runs

    with opened_database(stream, database) as (_, engine):
        rows = read_runs(engine, limit)
    if as_json:
        print_json_array(rows)
        return
    for row in rows:
        print_text(
            f"{_moment(row.created_at)}  {row.id}  {row.state:9}  {printable(row.playbook)}  {printable(row.subject)}"
        )


@app.command()
def show(
    run_id: RunArgument, stream: StreamOption = None, database: DatabaseOption = None, as_json: JsonOption = False
) -> None:
    """Print a run with its steps."""
    from brain.playbooks.reads import read_run

    with opened_database(stream, database) as (_, engine):
        _print_run(read_run(engine, run_id), as_json)


@app.command()
def stops(
    limit: LimitOption = 50, stream: StreamOption = None, database: DatabaseOption = None, as_json: JsonOption = False
) -> None:
    """Print which budgets and cool-downs kept playbooks from starting."""
    from brain.playbooks.reads import read_stops

    with opened_database(stream, database) as (_, engine):
        rows = read_stops(engine, limit)
    if as_json:
        print_json_array(rows)
        return
    for row in rows:
        about = f" for {printable(row.subject)}" if row.subject else ""
        print_text(f"{_moment(row.last_at)}  {printable(row.playbook)}: {row.reason}{about}, {row.count} times")
    if not rows:
        print_text("nothing was stopped", err=True)


@app.command()
def answer(
    run_id: RunArgument,
    yes: Annotated[bool, typer.Option("--yes/--no", help="The answer.")],
    by: Annotated[str, typer.Option(help="Who answers.")],
    stream: StreamOption = None,
    database: DatabaseOption = None,
) -> None:
    """Answer what a run asks; the server goes on within seconds."""
    from brain.playbooks.records import RunRecords

    with opened_database(stream, database) as (_, engine):
        RunRecords(engine).answer(run_id, yes, by)
    print_text(f"{run_id}: {'yes' if yes else 'no'}")


def _settings() -> Settings:
    from brain.settings import load_settings

    return load_settings()


def _playbooks(sources: Sequence[str] | None) -> Sequence[Playbook]:
    from brain.playbooks.loading import configured, read_source
    from brain.playbooks.settings import PlaybookSettings

    if not sources:
        return configured(_settings().table(PlaybookSettings))
    return [one for source in sources for one in read_source(source)]


def _print_run(row: RunRow, as_json: bool) -> None:
    if as_json:
        print_json(row)
        return
    print_text(f"{row.id}  {row.state}  {printable(row.playbook)}  {printable(row.subject)}  {printable(row.reason)}")
    print_text(f"started by {row.trigger}, correlation id {printable(row.correlation_id)}")
    for step in row.steps:
        seconds = "" if step.ended_at is None else f" ({step.ended_at - step.started_at:.1f} s)"
        print_text(f"  {step.step}. {step.kind}: {step.state}{seconds}  {printable(step.detail)}")


def _moment(at: Any) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
