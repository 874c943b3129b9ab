"""Commands that decide: `eval`, `test`, `replay`."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from brain.kit.cli.common import JsonOption, StreamOption, print_json, print_json_array, run
from brain.kit.cli.text import print_text
from brain.policy.commands.common import RulesOption, engine_of, moment, opened, read_context

if TYPE_CHECKING:
    from brain.policy import PolicyEngine
    from brain.policy.replay import ReplayReport


def register(app: typer.Typer) -> None:
    """Add the commands to the group."""
    app.command(name="eval")(eval_)
    app.command(name="test")(run_tests)
    app.command(name="replay")(replay)


def eval_(
    context: Annotated[str, typer.Argument(metavar="CONTEXT", help="The context as a JSON object; - reads stdin.")],
    rules: RulesOption = None,
    explain: Annotated[bool, typer.Option("--explain", help="Say which rules were considered, and why.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Do not record the decision.")] = False,
    fail: Annotated[bool, typer.Option("--fail", help="Exit with code 1 when the action is denied.")] = False,
    as_json: JsonOption = False,
    stream: StreamOption = None,
) -> None:
    """Decide on one context. The decision is recorded, unless by --rules, --explain or --dry-run."""
    from brain.policy.analysis import misspelt_fields

    asked = read_context(context)

    def answer(engine: PolicyEngine) -> bool:
        for field, near in misspelt_fields(asked, engine.rules()):
            print_text(f"note: {field} in CONTEXT: no rule compares this field; did you mean {near}?", err=True)
        if explain:
            explanation = engine.explain(asked)
            print_json(explanation.to_dict()) if as_json else print_text(explanation.text())
            return explanation.decision.allowed
        decision = engine.evaluate(asked)
        print_json(decision.to_dict()) if as_json else print_text(f"{decision.effect}: {decision.reason}")
        return decision.allowed

    async def work() -> bool:
        if rules is not None:
            return answer(engine_of(rules))
        async with opened(stream, publishing=not (explain or dry_run), makes=not (explain or dry_run)) as engine:
            return answer(engine)

    if not run(work()) and fail:
        raise typer.Exit(1)


def run_tests(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Contexts and the decisions expected of them.")],
    rules: Annotated[
        Path | None, typer.Option("--rules", metavar="FILE", help="Rules to test, instead of those the file names.")
    ] = None,
    junit: Annotated[Path | None, typer.Option("--junit", metavar="FILE", help="Write JUnit XML here.")] = None,
    as_json: JsonOption = False,
    stream: StreamOption = None,
) -> None:
    """Test rules: those of --rules, else of the policy file that FILE names, else the stored ones. 1 when any fails."""
    from brain.policy import cases

    async def work() -> list[cases.CaseResult]:
        read = cases.read_cases(file)
        policy = rules or read.policy
        if policy is not None:
            return cases.run_cases(read.cases, engine_of(policy).explain)
        async with opened(stream, publishing=False) as engine:
            return cases.run_cases(read.cases, engine.explain)

    results = run(work())
    failed = [result for result in results if result.problem]
    if junit is not None:
        junit.write_text(cases.junit(file, results), encoding="utf-8")
    if as_json:
        print_json_array(
            {"name": one.case.name, "line": one.case.line, "passed": not one.problem, "problem": one.problem}
            for one in results
        )
    else:
        for result in failed:
            print_text(f"FAILED {file}:{result.case.line}: {result.case.name}: {result.problem}")
            print_text("  " + result.explanation.text(5).replace("\n", "\n  "))
        print_text(f"{len(results) - len(failed)} passed, {len(failed)} failed")
    if failed:
        raise typer.Exit(1)


def replay(
    candidate: Annotated[Path, typer.Option("--candidate", metavar="FILE", help="The rules to try.")],
    since: Annotated[str, typer.Option(help="From when: 7d or 12h ago, a time, or Unix seconds.")] = "7d",
    until: Annotated[str | None, typer.Option(help="Until when; now, when left out.")] = None,
    alone: Annotated[
        bool, typer.Option("--alone", help="The file is the whole set; else it is laid over the stored rules.")
    ] = False,
    examples: Annotated[int, typer.Option(min=0, max=100, help="How many differences of each kind to show.")] = 5,
    fail: Annotated[bool, typer.Option("--fail", help="Exit with code 1 when any decision would change.")] = False,
    as_json: JsonOption = False,
    stream: StreamOption = None,
) -> None:
    """Show what candidate rules would have changed in the recorded decisions. Nothing is changed or recorded."""
    from brain.times import parse_time

    now = time.time()
    started = time.perf_counter()
    report = run(
        _replay(
            candidate,
            parse_time(since, now, "--since"),
            parse_time(until, now, "--until") if until else now,
            alone,
            examples,
            stream,
        )
    )
    seconds = time.perf_counter() - started
    if as_json:
        print_json(report.to_dict())
    else:
        _print_report(report)
        print_text(f"{report.decisions / seconds:,.0f} decisions a second", err=True)
    if fail and report.changed.total():
        raise typer.Exit(1)


async def _replay(
    candidate: Path, since: float, until: float, alone: bool, examples: int, url: str | None
) -> ReplayReport:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    from brain.policy import PolicyEngine
    from brain.policy.files import read_policy
    from brain.policy.replay import Replay, overlaid, replay
    from brain.settings import load_settings
    from brain.store import open_store
    from brain.stream import EventStream

    candidates = read_policy(candidate).rules
    settings = load_settings(stream=url, store=url)
    store = open_store(settings.store_url)
    try:
        current = [] if alone else PolicyEngine(store=store, follow_interval=None).rules()
    finally:
        store.close()
    replaying = Replay(overlaid(current, candidates), examples=examples)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    show = Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())
    async with EventStream.open(settings.stream) as stream:
        with show as progress:
            bar = progress.add_task("replaying", total=1)

            def advance(decisions: int, last: float | None) -> None:
                part = (last - since) / max(until - since, 1e-9) if last is not None else 0
                progress.update(bar, completed=part, description=f"{decisions:,} decisions")

            return await replay(stream, replaying, since=since, until=until, progress=advance)


def _print_report(report: ReplayReport) -> None:
    plain = report.to_dict()
    span = f" from {moment(report.first)} to {moment(report.last)} UTC" if report.decisions else ""
    print_text(f"{report.decisions} decisions{span}")
    for name in ("unchanged", "newly_denied", "newly_allowed", "effect_changed"):
        print_text(f"  {name.replace('_', ' '):<15}{plain[name]:>10}")
    if report.skipped:
        print_text(f"  {'skipped':<15}{report.skipped:>10}")
    for title, name in (("By agent", "by_agent"), ("By action", "by_action"), ("By rule", "by_rule")):
        changed: dict[str, dict[str, Any]] = plain[name]
        if changed:
            print_text(f"{title}:")
        for key, kinds in list(changed.items())[:10]:
            print_text(f"  {key}: " + ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in kinds.items()))
        if len(changed) > 10:
            print_text(f"  and {len(changed) - 10} more")
    if report.examples:
        print_text("Examples:")
    for example in report.examples:
        who = ", ".join(f"{key}={example.context.get(key)}" for key in ("agent_id", "action", "resource"))
        before, after = example.before, example.after
        print_text(f"  {example.kind.replace('_', ' ')}: {who}: {before['effect']} -> {after['effect']}")
        print_text(f"    {after['reason']}")
