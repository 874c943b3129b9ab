"""`brain policy`: rules as files, and decisions on the command line."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from brain.cli.common import JsonOption, StreamOption, print_json, print_json_array, run
from brain.errors import InvalidInput

if TYPE_CHECKING:
    from brain.policy import PolicyEngine

app = typer.Typer(help="Rules and decisions: what agents may do.", no_args_is_help=True)

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="Rules as YAML or JSON.")]
RulesOption = Annotated[
    Path | None, typer.Option("--rules", metavar="FILE", help="Decide by this file instead of the stored rules.")
]


@asynccontextmanager
async def opened(url: str | None, *, publishing: bool = True) -> AsyncIterator[PolicyEngine]:
    """The engine over the stored rules; its events go to the stream when `publishing`."""
    from brain.policy import PolicyEngine
    from brain.settings import load_settings
    from brain.store import open_store
    from brain.stream import EventStream

    settings = load_settings(stream=url, store=url)
    store = open_store(settings.store_url)
    try:
        if not publishing:
            yield PolicyEngine(store=store, follow_interval=None)
            return
        async with EventStream.open(settings.stream) as stream:
            yield PolicyEngine(stream, store=store, follow_interval=None)
    finally:
        store.close()


def read_json(text: str) -> dict[str, Any]:
    """The object written in `text`; `-` reads standard input. Raises InvalidInput."""
    try:
        context = json.loads(sys.stdin.read() if text == "-" else text)
    except ValueError as error:
        raise InvalidInput(f"CONTEXT: not valid JSON: {error}") from error
    if not isinstance(context, dict):
        raise InvalidInput('CONTEXT: must be an object such as {"agent_id": "a1", "action": "read"}')
    return context


@app.command(name="eval")
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
    from brain.policy import PolicyEngine
    from brain.policy.files import read_policy

    asked = read_json(context)

    def answer(engine: PolicyEngine) -> bool:
        if explain:
            explanation = engine.explain(asked)
            print_json(explanation.to_dict()) if as_json else typer.echo(explanation.text())
            return explanation.decision.allowed
        decision = engine.evaluate(asked)
        print_json(decision.to_dict()) if as_json else typer.echo(f"{decision.effect}: {decision.reason}")
        return decision.allowed

    async def work() -> bool:
        if rules is not None:
            engine = PolicyEngine()
            engine.import_rules(read_policy(rules).rules)
            return answer(engine)
        async with opened(stream, publishing=not (explain or dry_run)) as engine:
            return answer(engine)

    if not run(work()) and fail:
        raise typer.Exit(1)


@app.command(name="list")
def list_(as_json: JsonOption = False, stream: StreamOption = None) -> None:
    """The stored rules in order of precedence."""
    from rich.console import Console
    from rich.table import Table

    async def work() -> None:
        async with opened(stream, publishing=False) as engine:
            rules = engine.rules()
        if as_json:
            print_json_array(rule.to_dict() for rule in rules)
            return
        table = Table("Priority", "Effect", "Id", "Name", "Conditions", "State")
        for rule in rules:
            state = ("enabled" if rule.enabled else "disabled") + (", shadow" if rule.mode == "shadow" else "")
            table.add_row(
                str(rule.priority), rule.effect, rule.id, rule.name, "\n".join(map(str, rule.conditions)), state
            )
        Console().print(table)

    run(work())


@app.command()
def check(file: FileArgument) -> None:
    """Say whether the file is a valid policy; every fault with its line."""
    from brain.policy.files import read_policy

    typer.echo(f"{file}: {len(read_policy(file).rules)} rules, no faults")


@app.command(name="import")
def import_(
    file: FileArgument,
    replace: Annotated[bool, typer.Option("--replace", help="Delete stored rules that are not in the file.")] = False,
    stream: StreamOption = None,
) -> None:
    """Store the rules of a file: new ones are added, changed ones updated. Any fault, and nothing is taken."""
    from brain.policy.files import read_policy

    async def work() -> None:
        rules = read_policy(file).rules
        async with opened(stream) as engine:
            done = engine.import_rules(rules, replace_all=replace)
        counts = (len(done.created), len(done.updated), len(done.deleted), done.unchanged)
        typer.echo("{} created, {} updated, {} deleted, {} unchanged".format(*counts))

    run(work())


@app.command()
def export(
    as_json: JsonOption = False,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write here.")] = None,
    stream: StreamOption = None,
) -> None:
    """Print the stored rules as a policy file: YAML, or JSON with --json or for a file named *.json."""
    from brain.policy.files import dump_policy

    async def work() -> str:
        async with opened(stream, publishing=False) as engine:
            return dump_policy(engine.rules(), as_json=as_json or (output is not None and output.suffix == ".json"))

    text = run(work())
    if output is None:
        typer.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")
