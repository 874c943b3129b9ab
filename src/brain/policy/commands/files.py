"""Commands for policies as files: `check`, `import`, `export`, `diff`, `schema`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sized
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from brain.errors import BrainError, InvalidInput
from brain.kit.cli.common import JsonOption, StreamOption, print_json, print_json_array, run
from brain.kit.cli.text import print_text
from brain.policy.commands.common import ByOption, FileArgument, counts, opened, stored_rules, user, with_engine

if TYPE_CHECKING:
    from brain.policy import PolicyEngine

_WATCH_SECONDS = 0.2


def register(app: typer.Typer) -> None:
    """Add the commands to the group."""
    app.command(name="check")(check)
    app.command(name="import")(import_)
    app.command(name="export")(export)
    app.command(name="diff")(diff)
    app.command(name="schema")(schema)


def check(
    file: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="A policy file; else the stored rules.")] = None,
    field: Annotated[
        list[str] | None, typer.Option("--field", metavar="NAME", help="A further field that contexts have.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with code 1 when anything is found.")] = False,
    as_json: JsonOption = False,
    stream: StreamOption = None,
) -> None:
    """Refuse a file with faults, each with its line; then say what is odd about its rules, as far as can be proved.

    What is odd: rules that can never win or never match, contradictions on equal priority, duplicates, unused fields,
    patterns that match everything, rules past their time.
    """
    from brain.policy.analysis import analyse
    from brain.policy.files import read_policy

    if file is not None:
        read = read_policy(file)
        rules, lines = list(read.rules), read.lines
    else:
        rules, lines = with_engine(stream, lambda engine: engine.rules(), publishing=False), {}
    found = analyse(rules, time.time(), fields=field or ())
    if as_json:
        print_json_array(
            {"kind": one.kind, "rule_id": one.rule_id, "line": lines.get(one.rule_id), "message": one.message}
            for one in found
        )
    else:
        for one in found:
            where = f"{file}:{lines[one.rule_id]}: " if file is not None else ""
            other = f" (line {lines[one.other_id]})" if one.other_id is not None and one.other_id in lines else ""
            print_text(f"{where}{one.kind}: rule {one.rule_id!r}: {one.message}{other}")
        print_text(f"{file or 'stored rules'}: {_counted(rules, 'rule')}, no faults, {_counted(found, 'finding')}")
    if found and strict:
        raise typer.Exit(1)


def _counted(things: Sized, name: str) -> str:
    return f"1 {name}" if len(things) == 1 else f"{len(things)} {name}s"


def import_(
    file: FileArgument,
    replace: Annotated[bool, typer.Option("--replace", help="Delete stored rules that are not in the file.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Stay, and import again whenever the file changes.")] = False,
    by: ByOption = None,
    stream: StreamOption = None,
) -> None:
    """Store the rules of a file: new ones are added, changed ones updated. Any fault, and nothing is taken."""
    from brain.policy.files import read_policy

    async def once(engine: PolicyEngine) -> None:
        rules = read_policy(file).rules
        done = engine.import_rules(rules, replace_all=replace, by=user(by), note=f"import of {file.name}")
        print_text(counts(done))

    async def work() -> None:
        if not watch:
            read_policy(file)  # a file with faults is refused before anything is opened
        async with opened(stream, makes=True) as engine:
            if not watch:
                await once(engine)
                return
            seen: object = None
            while True:
                now = _state(file)
                if now is not None and now != seen:
                    seen = now
                    try:
                        await once(engine)
                    except BrainError as error:
                        _complain(error)
                await asyncio.sleep(_WATCH_SECONDS)

    run(work())


def export(
    as_json: JsonOption = False,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write here.")] = None,
    version: Annotated[int | None, typer.Option(help="The rules as they were just after that version.")] = None,
    stream: StreamOption = None,
) -> None:
    """Print the stored rules as a policy file: YAML, or JSON with --json or for a file named *.json."""
    from brain.policy.files import dump_policy

    if version is None:
        rules = stored_rules(stream)
    else:
        rules = with_engine(stream, lambda engine: engine.rules_at(version), publishing=False)
    lasting = [rule for rule in rules if not rule.is_temporary]
    text = dump_policy(lasting, as_json=as_json or (output is not None and output.suffix == ".json"))
    if output is None:
        print_text(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")


def diff(file: FileArgument, as_json: JsonOption = False, stream: StreamOption = None) -> None:
    """What `import --replace` of the file would change in the stored rules. Exit code 1 when anything."""
    from brain.policy.files import read_policy
    from brain.policy.models import changes
    from brain.policy.rule_import import differences

    wanted = {rule.id: rule for rule in read_policy(file).rules}
    stored = with_engine(stream, lambda engine: engine.rules(), publishing=False)
    known = {rule.id: rule for rule in stored}
    found = differences(known, wanted, replace_all=True)
    rows = []
    for change in found:
        old, new = change
        kind = "changed" if old and new else "added" if new else "removed"
        what = changes(old, new) if old and new else {}
        rows.append({"kind": kind, "rule_id": change.rule.id, "name": change.rule.name, "changes": what})
        if not as_json:
            print_text(f"{_SIGNS[kind]} {change.rule.id}: {change.rule.name}")
            for name, values in what.items():
                print_text(f"    {name}: {values['old']!r} -> {values['new']!r}")
    if as_json:
        print_json_array(rows)
    elif not rows:
        print_text("no difference")
    if rows:
        raise typer.Exit(1)


def schema() -> None:
    """Print the JSON Schema of policy files, for editors; it is also in docs/policy-schema.json."""
    from brain.policy.schema import policy_schema

    print_json(policy_schema())


_SIGNS = {"added": "+", "removed": "-", "changed": "~"}


def _state(file: Path) -> object:
    """What changes when the file does; None while it is not there, as between the two steps of many editors' saving."""
    try:
        stat = file.stat()
    except FileNotFoundError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _complain(error: BrainError) -> None:
    print_text(f"error: {error}", err=True)
    if isinstance(error, InvalidInput):
        for fault in error.faults:
            if fault != str(error):
                print_text(f"  {fault}", err=True)
