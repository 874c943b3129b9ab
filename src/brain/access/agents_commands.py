"""`brain agents register|registered|retire|session`: agents that prove who they are by a key of their own."""

from __future__ import annotations

from collections.abc import Callable
from os.path import isfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from brain.access.commands import in_store, user
from brain.kit.cli.common import JsonOption, StreamOption, print_json, print_json_array, run
from brain.kit.cli.text import print_text

if TYPE_CHECKING:
    from brain.access.agent_models import Agent
    from brain.access.agents import Agents

T = TypeVar("T")

AgentArgument = Annotated[str, typer.Argument(metavar="AGENT", help="The agent's id, as in its contexts.")]


def register(
    agent: AgentArgument,
    public_key: Annotated[
        str | None, typer.Option(help="Its Ed25519 public key: base64 of 32 bytes, or the path of a PEM file.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Make a new key, and write the private one to this file, for its user alone.")
    ] = None,
    issuer: Annotated[
        str | None, typer.Option(help="Whose tokens prove it, as in [[access.issuers]]; with --subject.")
    ] = None,
    subject: Annotated[str | None, typer.Option(help="What those tokens call it: their sub, a SPIFFE URI.")] = None,
    as_json: JsonOption = False,
    stream: StreamOption = None,
) -> None:
    """Register an agent: --public-key takes a key that it has, --out makes one; or by --issuer and --subject."""
    from brain.access.agent_models import checked_agent_id
    from brain.access.agents import read_public_key
    from brain.access.private_keys import make_private_key
    from brain.errors import InvalidInput
    from brain.kit.documents import read_text

    checked_agent_id(agent)
    by_issuer = issuer is not None or subject is not None
    if [public_key is not None, out is not None, by_issuer].count(True) != 1 or (issuer is None) != (subject is None):
        raise InvalidInput("public_key: give --public-key, or --out, or --issuer and --subject")
    if issuer is not None and subject is not None:
        found = _with_agents(
            stream, lambda agents: agents.register_by_issuer(agent, issuer, subject, user()), makes=True
        )
        print_json(_row(found)) if as_json else print_text(f"{found.id} is registered, proven by tokens of {issuer}")
        return
    if out is not None:
        key = make_private_key(out)
    else:
        assert public_key is not None
        key = read_text(Path(public_key)) if isfile(public_key) else public_key
        read_public_key(key)
    found = _with_agents(stream, lambda agents: agents.register(agent, key, by=user()), makes=True)
    if as_json:
        print_json(_row(found))
    else:
        print_text(f"{found.id} is registered, key id {found.keyid}")


def registered(as_json: JsonOption = False, stream: StreamOption = None) -> None:
    """All registered agents, by id."""
    found = _with_agents(stream, lambda agents: agents.list(), reads=True)
    if as_json:
        print_json_array(_row(agent) for agent in found)
        return
    for agent in found:
        print_text(f"{agent.id}  {agent.keyid}  {'active' if agent.retired_at is None else 'retired'}")
    if not found:
        print_text("no agents; register one with: brain agents register AGENT --out AGENT.pem")


def retire(agent: AgentArgument, stream: StreamOption = None) -> None:
    """End an agent's key and sessions. Servers see it within two seconds."""
    found = _with_agents(stream, lambda agents: agents.retire(agent, by=user()))
    print_text(f"{found.id} is retired")


def session(
    url: Annotated[str, typer.Argument(metavar="URL", help="The server, such as http://127.0.0.1:8765.")],
    key: Annotated[Path, typer.Option(help="The file of the agent's private key (PEM).")],
    as_json: JsonOption = False,
) -> None:
    """Sign a handshake and print the short session that the server gives for it: a bearer."""
    from brain.access.client import open_session

    given = open_session(url, key)
    if as_json:
        print_json(given)
    else:
        print_text(given["session"])


def delegate(
    key: Annotated[Path, typer.Option(help="The file of the private key of the agent that delegates (PEM).")],
    to: Annotated[str, typer.Option(help="The id of the agent that may ask in its place.")],
    agent: Annotated[list[str], typer.Option("--for", help="For which agent it may ask: the own id; repeatable.")],
    minutes: Annotated[float, typer.Option(min=1, max=30 * 1440, help="How long it counts.")] = 60.0,
    parent: Annotated[
        str | None, typer.Option(help="The links that gave this agent what it passes on, as it was sent them.")
    ] = None,
) -> None:
    """Print what lets another agent ask for decisions in this one's place: the header Brain-Delegation to send."""
    import time

    from brain.access.delegation import LINKS, check_link, new_link
    from brain.access.private_keys import read_private_key
    from brain.errors import InvalidInput

    links = [] if parent is None else [text.strip() for text in parent.split(",")]
    if len(links) >= LINKS:
        raise InvalidInput(f"parent: has {len(links)} links already, and {LINKS} are the most")
    until = int(time.time() + minutes * 60)
    check_link(to, agent, until, links[-1] if links else None)
    link = new_link(read_private_key(key), to, agent, until, links[-1] if links else None)
    print_text(", ".join([*links, link]))


def _with_agents(url: str | None, act: Callable[[Agents], T], *, makes: bool = False, reads: bool = False) -> T:
    from brain.access.agents import Agents

    return run(in_store(url, lambda store, stream: act(Agents(store, stream)), makes=makes, reads=reads))


def _row(agent: Agent) -> dict[str, Any]:
    names = ("keyid", "issuer", "subject", "registered_at", "registered_by", "retired_at")
    return {"agent_id": agent.id, **{name: getattr(agent, name) for name in names}}
