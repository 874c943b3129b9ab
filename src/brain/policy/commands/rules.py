"""Commands for single rules and versions: `list`, `enable`, `disable`, `delete`, `versions`, `rollback`."""

from __future__ import annotations

from typing import Annotated

import typer

from brain.kit.cli.common import JsonOption, StreamOption, print_json_array
from brain.kit.cli.text import print_text
from brain.policy.commands.common import (
    ByOption,
    counts,
    moment,
    opened_store,
    print_rules,
    stored_rules,
    user,
    with_engine,
)

RuleArgument = Annotated[str, typer.Argument(metavar="RULE", help="The rule's id.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the group."""
    app.command(name="list")(list_)
    app.command(name="enable")(enable)
    app.command(name="disable")(disable)
    app.command(name="delete")(delete)
    app.command(name="versions")(versions)
    app.command(name="rollback")(rollback)


def list_(
    tag: Annotated[str | None, typer.Option(help="Only rules with this tag.")] = None,
    as_json: JsonOption = False,
    stream: StreamOption = None,
) -> None:
    """The stored rules in order of precedence."""

    rules = [rule for rule in stored_rules(stream) if tag is None or tag in rule.tags]
    if as_json:
        print_json_array(rule.to_dict() for rule in rules)
    else:
        print_rules(rules)


def enable(rule: RuleArgument, by: ByOption = None, stream: StreamOption = None) -> None:
    """Let a rule take part in decisions."""
    with_engine(stream, lambda engine: engine.enable_rule(rule, by=user(by)))
    print_text(f"{rule} is enabled")


def disable(rule: RuleArgument, by: ByOption = None, stream: StreamOption = None) -> None:
    """Leave a rule out of decisions, but keep it."""
    with_engine(stream, lambda engine: engine.disable_rule(rule, by=user(by)))
    print_text(f"{rule} is disabled")


def delete(rule: RuleArgument, by: ByOption = None, stream: StreamOption = None) -> None:
    """Remove a rule; `rollback` can bring it back, unless it is one that this version cannot read."""
    from brain.policy.stored_rules import read_rules, remove_unreadable

    with opened_store(stream) as store:
        if rule in read_rules(store).faults:
            print_text(f"{rule} is deleted; no version can bring it back: {remove_unreadable(store, rule)}")
            return
    with_engine(stream, lambda engine: engine.delete_rule(rule, by=user(by)))
    print_text(f"{rule} is deleted")


def versions(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 20,
    as_json: JsonOption = False,
    stream: StreamOption = None,
) -> None:
    """The versions of the rule set, newest first: every change, or import, made one."""
    from rich.table import Table

    from brain.kit.cli.tables import cell, print_table

    found = with_engine(stream, lambda engine: engine.versions(limit), publishing=False)
    if as_json:
        print_json_array(version.to_dict() for version in found)
        return
    table = Table("Version", "Time (UTC)", "By", "Rules changed", "Note")
    for version in found:
        about = (cell(version.by or ""), str(len(version.changes)), cell(version.note))
        table.add_row(str(version.version), moment(version.at), *about)
    print_table(table)


def rollback(
    version: Annotated[int, typer.Argument(metavar="VERSION", help="A number that `versions` shows; 0: the start.")],
    by: ByOption = None,
    stream: StreamOption = None,
) -> None:
    """Make the rules again what they were just after that version; containments stay."""
    print_text(counts(with_engine(stream, lambda engine: engine.rollback(version, by=user(by)))))
