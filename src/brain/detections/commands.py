"""`brain detections`: check, test and list detections, try them on what is recorded, and show what was found."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from brain.kit.cli.common import DatabaseOption, JsonOption, StreamOption, print_json, print_json_array
from brain.kit.cli.text import print_text

if TYPE_CHECKING:
    from brain.detections.backtest import Backtest
    from brain.detections.cases import CaseResult
    from brain.detections.loading import Loaded

app: typer.Typer = typer.Typer(no_args_is_help=True)

PathsArgument = Annotated[
    list[Path] | None,
    typer.Argument(metavar="PATH...", help="Files and folders of rules; without any, those that the settings name."),
]
SHOWN = 20
"""Hits and faults that are printed; `--json` gives all."""


@app.callback()
def detections() -> None:
    """Detections: rules in Sigma's language, correlations, and what is new about an agent.

    Examples:

    brain detections check rules/

    brain detections test rules/

    brain detections replay rules/ --since 30d
    """


@app.command()
def check(paths: PathsArgument = None, as_json: JsonOption = False) -> None:
    """Say what is wrong with rules; exit code 1 when anything is."""
    from brain.detections import loading
    from brain.detections.compiler import Compiler
    from brain.settings import load_settings

    files = loading.find_files(paths) if paths else _configured_files()
    found, problems = loading.read_files(files)
    others = [] if paths is None or not _settings(load_settings()).enabled else loading.shipped()
    keys = {one.about.key for one in found}
    loaded = loading.link([*(one for one in others if one.about.key not in keys), *found], problems)
    compiler = Compiler()
    for rule in loaded.rules:
        compiler.predicate(rule.tree)
    mine = [one for one in loaded.detections if one.about.key in keys]
    if as_json:
        print_json_array({"path": one.path, "title": one.title, "problem": one.text} for one in loaded.problems)
    else:
        for one in loaded.problems:
            print_text(str(one))
        print_text(f"files: {len(files)}, detections: {len(mine)}, problems: {len(loaded.problems)}", err=True)
    if loaded.problems:
        raise typer.Exit(1)


@app.command("test")
def run_tests(paths: PathsArgument = None, as_json: JsonOption = False) -> None:
    """Run the test cases beside the rules: RULES.test.yaml; exit code 1 when one fails."""
    from brain.detections import loading
    from brain.detections.cases import files_with_cases, run_case

    folders = paths or [*_own_paths(), loading.shipped_folder()]
    results: list[CaseResult] = []
    for path, cases in files_with_cases(folders):
        if cases:
            loaded = _loaded_with(path, folders)
            results += [run_case(case, loaded) for case in cases]
    failed = [one for one in results if not one.passed]
    if as_json:
        print_json_array(
            {"path": one.case.path, "name": one.case.name, "hit": one.case.is_hit, "passed": one.passed,
             "found": one.text} for one in results
        )  # fmt: skip
    else:
        for one in failed:
            wanted = "a hit" if one.case.is_hit else "no hit"
            print_text(f"FAILED {one.case.path}: {one.case.name}: expected {wanted}; found {one.text}")
        print_text(f"{len(results) - len(failed)} passed, {len(failed)} failed")
    if failed:
        raise typer.Exit(1)


@app.command("list")
def list_all(paths: PathsArgument = None, as_json: JsonOption = False) -> None:
    """Print the detections that run, or those in these files."""
    import msgspec

    from brain.detections import loading
    from brain.detections.models import Correlation

    loaded = loading.load(paths, with_shipped=False) if paths else _configured()
    rows: list[dict[str, Any]] = [
        {
            "id": one.about.key, "name": one.about.name, "title": one.about.title,
            "kind": one.kind if isinstance(one, Correlation) else "rule", "level": one.about.level,
            "tags": [*one.about.tags], "reports": one.about.reports,
            "logsource": None if isinstance(one, Correlation) else msgspec.to_builtins(one.logsource),
        }
        for one in loaded.detections
    ]  # fmt: skip
    if as_json:
        print_json_array(rows)
        return
    for row in rows:
        if row["reports"]:
            print_text(f"{row['name']}: {row['title']} ({row['kind']}, {row['level']}; {', '.join(row['tags'])})")
    _print_problems(loaded)


@app.command()
def replay(
    paths: PathsArgument = None,
    since: Annotated[str, typer.Option(help="From when: 30d or 12h ago, a time, or Unix seconds.")] = "30d",
    until: Annotated[str | None, typer.Option(help="Until when; now, when left out.")] = None,
    processes: Annotated[
        int | None, typer.Option(min=0, help="Processes that match besides this one; one for each processor.")
    ] = None,
    stream: StreamOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what detections would have found in the recorded stream. Nothing is changed or reported."""
    from brain.detections import loading
    from brain.detections.backtest import backtest
    from brain.kit.cli.backend import opened
    from brain.times import parse_time

    now = time.time()
    loaded = loading.load(paths, with_shipped=False) if paths else _configured()
    with opened(stream) as backend:
        begin = parse_time(since, now, "--since")
        end = parse_time(until, now, "--until") if until else now
        found = backtest(backend, loaded, begin, end, processes=processes)
    _print_backtest(found, loaded, as_json)
    _print_problems(loaded)


@app.command("hits")
def list_hits(
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="Most hits to print.")] = 100,
    stream: StreamOption = None,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print what was found, the newest first."""
    import msgspec

    from brain.detections.http import read_hits
    from brain.kit.cli.database import opened_database
    from brain.kit.cli.text import moment, printable

    with opened_database(stream, database) as (_, engine):
        found = read_hits(engine, limit)
    if as_json:
        print_json_array(msgspec.to_builtins(found))
        return
    for one in found:
        print_text(
            f"{moment(one.opened_at)} {one.name} ({one.level}) {printable(one.source)}: {one.count}, {one.threat}"
        )


def _settings(settings: Any) -> Any:
    from brain.detections.settings import DetectionSettings

    return settings.table(DetectionSettings)


def _configured() -> Loaded:
    from brain.detections import loading
    from brain.settings import load_settings

    settings = _settings(load_settings())
    paths = [Path(path) for path in settings.rules]
    return loading.load(paths, with_shipped=settings.enabled, without=settings.disabled)


def _own_paths() -> list[Path]:
    from brain.settings import load_settings

    return [Path(path) for path in _settings(load_settings()).rules]


def _configured_files() -> list[Path]:
    from brain.detections import loading

    return loading.find_files([*_own_paths(), loading.shipped_folder()])


def _loaded_with(path: Path, folders: list[Path]) -> Loaded:
    """The detections of one file, and those of the other files that they refer to."""
    from brain.detections import loading

    found, problems = loading.read_files([path])
    loaded = loading.link(found, problems)
    if any("refers to" in problem.text for problem in loaded.problems):
        everything, faults = loading.read_files(loading.find_files(folders))
        loaded = loading.link(everything, faults)
    return loaded


def _print_problems(loaded: Loaded) -> None:
    for one in loaded.problems[:SHOWN]:
        print_text(f"left out: {one}", err=True)


def _print_backtest(found: Backtest, loaded: Loaded, as_json: bool) -> None:
    from brain.kit.cli.text import moment, printable

    about = {one.about.key: one.about for one in loaded.detections}
    hits = sorted(found.hits.values(), key=lambda hit: (hit.opened_at, hit.id))
    rows: list[dict[str, Any]] = [
        {"name": about[hit.detection].name, "level": about[hit.detection].level, "source": hit.source,
         "opened_at": hit.opened_at, "last_at": hit.last_at, "count": hit.count, "events": [*hit.events]}
        for hit in hits
    ]  # fmt: skip
    if as_json:
        print_json({"events": found.events, "seen": found.seen, "seconds": found.seconds, "hits": rows,
                    "dropped": found.dropped})  # fmt: skip
        return
    for row in rows[:SHOWN]:
        print_text(
            f"{moment(row['opened_at'])} {row['name']} ({row['level']}) {printable(row['source'])}: {row['count']}"
        )
    if len(rows) > SHOWN:
        print_text(f"... and {len(rows) - SHOWN} more; --json prints all")
    for what, count in found.dropped.items():
        print_text(f"not counted: {what}: {count}", err=True)
    print_text(f"{found.events:,} events, {found.seen:,} of types that rules are about, {len(rows)} hits")
    print_text(f"{found.rate:,.0f} events a second", err=True)
