"""`brain approvals link`: a link for somebody whom no notifier reaches."""

from __future__ import annotations

from typing import Annotated

import typer

from brain.kit.cli.common import JsonOption, StreamOption, print_json, run
from brain.kit.cli.text import print_text

app: typer.Typer = typer.Typer(no_args_is_help=True, help="Approvals by links: make one for a person.")


@app.callback()
def approvals() -> None:
    """Approvals by links: make one for a person."""


@app.command()
def link(
    approval: Annotated[str, typer.Argument(metavar="APPROVAL", help="The request's id.")],
    name: Annotated[str, typer.Option("--for", metavar="NAME", help="Who answers by it, of [approvals.people].")],
    as_json: JsonOption = False,
    stream: StreamOption = None,
) -> None:
    """Print a link by which one person answers one request; whoever has it can, so give it to that one alone."""
    url, expires_at = run(_made(approval, name, stream))
    if as_json:
        print_json({"approval_id": approval, "approver": name, "url": url, "expires_at": expires_at})
    else:
        print_text(url)


async def _made(approval: str, name: str, given: str | None) -> tuple[str, float]:
    from brain.approvals.events import LINK_MADE, LinkMade
    from brain.approvals.links import PATH, Links, base_url
    from brain.approvals.settings import ApprovalsSettings
    from brain.errors import Forbidden, InvalidInput, Unavailable
    from brain.kit.context import plugin_context
    from brain.kit.protocols import ApprovalRequests, PublicUrls
    from brain.settings import load_settings
    from brain.store import open_store
    from brain.store.ours import check_exists
    from brain.stream import EventStream
    from brain.stream.publisher import emit

    settings = load_settings(stream=given, store=given)
    if name not in settings.table(ApprovalsSettings).people:
        raise InvalidInput(f"--for: {name!r} is not in [approvals.people]; add a table for that one")
    check_exists(settings.store_url)
    store = open_store(settings.store_url)
    try:
        async with EventStream.open(settings.stream) as stream:
            with plugin_context(stream, store, settings) as context:
                requests, urls = context.find(ApprovalRequests), context.find(PublicUrls)
                if requests is None or urls is None:
                    raise Unavailable("approvals: the plug-ins policy and access are needed, and are not installed")
                try:
                    base = base_url(urls.urls())
                    asked = requests.look(approval)
                    if (fault := requests.fault(approval, name)) is not None:
                        raise Forbidden(f"approval {approval}: {fault}")
                    token = Links(store).token(asked, name)
                finally:
                    requests.close()
                made: LinkMade = {
                    "approval_id": asked.id,
                    "approver": name,
                    "via": "command",
                    "expires_at": asked.expires_at,
                }
                emit(stream, LINK_MADE, made)
                return f"{base}{PATH}{token}", asked.expires_at
    finally:
        store.close()
