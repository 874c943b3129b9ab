"""Commands for approvals: `approvals`, `grant`, `refuse`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from brain.errors import InvalidInput
from brain.kit.cli.common import JsonOption, StreamOption, print_json_array
from brain.kit.cli.text import print_text
from brain.policy.commands.common import ByOption, moment, user, with_engine

if TYPE_CHECKING:
    from brain.policy.approvals import Approval, Approvals

RequestArgument = Annotated[str, typer.Argument(metavar="APPROVAL", help="The request's id.")]
WhyOption = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the group."""
    app.command(name="approvals")(approvals)
    app.command(name="grant")(grant)
    app.command(name="approve", hidden=True, deprecated=True)(grant)  # the former name, for one release
    app.command(name="refuse")(refuse)


def approvals(
    status: Annotated[str | None, typer.Option(help="Only PENDING, GRANTED, REFUSED, EXPIRED or USED ones.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 50,
    as_json: JsonOption = False,
    stream: StreamOption = None,
) -> None:
    """Requests for approval, newest first."""
    found = with_engine(stream, lambda engine: engine.approvals.list(status, limit), publishing=False)
    if as_json:
        print_json_array(msgspec.to_builtins(one) for one in found)
        return
    for one in found:
        asked = one.context
        what = f"{asked.get('agent_id')}: {asked.get('action')} {asked.get('resource') or ''}".rstrip()
        print_text(f"{one.id}  {one.status}  {what}")
        print_text(f"    {one.reason}; asked {moment(one.requested_at)}, until {moment(one.expires_at)} UTC")
    if not found:
        print_text("no requests")


def grant(approval: RequestArgument, reason: WhyOption = "", by: ByOption = None, stream: StreamOption = None) -> None:
    """Agree to the action that waits."""
    _answer(stream, by, lambda approvals, who: approvals.grant(approval, by=who, reason=reason))


def refuse(approval: RequestArgument, reason: WhyOption = "", by: ByOption = None, stream: StreamOption = None) -> None:
    """Refuse the action that waits."""
    _answer(stream, by, lambda approvals, who: approvals.refuse(approval, by=who, reason=reason))


def _answer(stream: str | None, by: str | None, give: Callable[[Approvals, str], Approval]) -> None:
    who = user(by)
    if who is None:
        raise InvalidInput("--by: the user is unknown; give the name of the person who answers")
    answered = with_engine(stream, lambda engine: give(engine.approvals, who))
    print_text(f"{answered.id} is {answered.status}")
