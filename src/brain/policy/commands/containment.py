"""Commands for measures: `contain`, `lift`, `containments`, `kill-switch`, `measures`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from brain.kit.cli.common import JsonOption, StreamOption, print_json_array
from brain.kit.cli.text import print_text
from brain.policy.commands.common import ByOption, duration, moment, readable_duration, user, with_measures

if TYPE_CHECKING:
    from brain.policy import Rule

AgentArgument = Annotated[str, typer.Argument(metavar="AGENT", help="The agent's id.")]
ReasonOption = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; shown with every denial.")]

switch: typer.Typer = typer.Typer(help="Deny everything to everybody but a list of agents.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands to the group."""
    app.command(name="contain")(contain)
    app.command(name="lift")(lift)
    app.command(name="containments")(containments)
    app.add_typer(switch, name="kill-switch")
    app.command(name="measures")(history)


def contain(
    agent: AgentArgument,
    reason: ReasonOption,
    ttl: Annotated[
        str, typer.Option(metavar="DURATION", help="For how long: 30s, 5m, 1h, 1d; seconds without a unit.")
    ] = "1h",
    by: ByOption = None,
    stream: StreamOption = None,
) -> None:
    """Deny an agent everything for a time, above all rules."""
    seconds = duration(ttl, "--ttl")
    rule = with_measures(stream, lambda measures: measures.contain(agent, ttl=seconds, reason=reason, by=user(by)))
    print_text(f"{agent} is contained until {moment(rule.expires_at)} UTC, {_remaining(rule, seconds)}")


def _remaining(rule: Rule, asked: float) -> str:
    """For how long the containment holds: as asked, or as an earlier one says that ends later."""
    if (rule.expires_at or 0.0) > rule.metadata["since"] + asked:
        return "the end of an earlier containment, which is later"
    return f"for {readable_duration(asked)}"


def lift(agent: AgentArgument, by: ByOption = None, stream: StreamOption = None) -> None:
    """End an agent's containment."""
    with_measures(stream, lambda measures: measures.lift(agent, by=user(by)))
    print_text(f"{agent} is no longer contained")


def containments(as_json: JsonOption = False, stream: StreamOption = None) -> None:
    """The agents that are contained."""
    rules = with_measures(stream, lambda measures: measures.containments(), publishing=False)
    if as_json:
        print_json_array(rule.to_dict() for rule in rules)
        return
    for rule in rules:
        print_text(f"{rule.metadata.get('agent_id', rule.id)}: until {moment(rule.expires_at)} UTC: {rule.description}")
    if not rules:
        print_text("no agent is contained")


def history(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 20,
    as_json: JsonOption = False,
    stream: StreamOption = None,
) -> None:
    """What was done about agents, newest first: contained, stopped, lifted, over; by whom and why."""
    found = with_measures(stream, lambda measures: measures.history(limit), publishing=False)
    if as_json:
        print_json_array(version.to_dict() for version in found)
        return
    for version in found:
        by = f" by {version.by}" if version.by else ""
        for change in version.changes:
            what = "in force" if change.new is not None else "ended"
            print_text(f"{moment(version.at)} UTC: {change.rule.id} {what}{by}: {version.note}")


@switch.command()
def on(
    reason: ReasonOption,
    allow: Annotated[
        list[str] | None, typer.Option("--allow", metavar="AGENT", help="An agent the rules go on to decide for.")
    ] = None,
    ttl: Annotated[
        str | None, typer.Option(metavar="DURATION", help="For how long: 30s, 5m, 1h, 1d; until `off`, when left out.")
    ] = None,
    by: ByOption = None,
    stream: StreamOption = None,
) -> None:
    """Deny everything to everybody but the agents given with --allow."""
    seconds = duration(ttl, "--ttl") if ttl is not None else None
    allowed, who = allow or (), user(by)
    rule = with_measures(stream, lambda one: one.kill_switch(allowed, ttl=seconds, reason=reason, by=who))
    until = f" until {moment(rule.expires_at)} UTC, for {readable_duration(seconds)}" if seconds else ""
    print_text(f"the kill switch is on{until}; allowed: {', '.join(allowed) or 'none'}")


@switch.command()
def off(by: ByOption = None, stream: StreamOption = None) -> None:
    """Let the rules decide again."""
    with_measures(stream, lambda measures: measures.lift_kill_switch(by=user(by)))
    print_text("the kill switch is off")
