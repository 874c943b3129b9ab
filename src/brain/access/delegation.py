"""Delegation: an agent lets another ask for decisions in its place, by a statement that its own key signs.

A statement is a link: its JSON and the signature over that, both in base64url with a dot between. A delegate may pass
on what it was given, by a link of its own that names the one before. No link gives more than the one before it, nor
for longer.
"""

from __future__ import annotations

import binascii
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING

import msgspec
from cryptography.exceptions import InvalidSignature

from brain.access.agent_models import Agent, checked_agent_id
from brain.access.http_signatures import key_id
from brain.errors import InvalidInput
from brain.typed import ready

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

HEADER = "brain-delegation"
"""The request's header, with the links in order, separated by commas."""
LINKS = 4
"""Most links of a chain."""
LONGEST = 8192
"""Letters of the header."""
AGENTS = 20
"""Most agents that a link names."""
LONGEST_SECONDS = 30 * 86_400
_CONTEXT = b"brain-delegation/v1\n"


class DelegationFault(InvalidInput):
    """A delegation gives nothing."""

    title = "The delegation does not count"


class Link(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one agent gives another."""

    keyid: str
    """The key of the agent that gives it."""
    to: str
    """The id of the agent that is given it."""
    agents: tuple[str, ...]
    """For which agents it may ask."""
    until: int
    """Unix seconds."""
    nonce: str
    parent: str = ""
    """The SHA-256 of the link before it, in hexadecimal; empty for the first."""


class Delegated(msgspec.Struct, frozen=True, kw_only=True):
    """What a chain gives its last agent."""

    chain: tuple[str, ...]
    """The ids of its agents, the one that delegates first."""
    agents: frozenset[str]


_decoder = msgspec.json.Decoder(ready(Link))


def check_link(to: str, agents: Sequence[str], until: int, parent: str | None = None) -> None:
    """Raises InvalidInput for a link that no server would take, naming the field of `brain agents delegate`."""
    checked_agent_id(to)
    for agent in agents:
        checked_agent_id(agent)
    if to in agents:
        raise InvalidInput(f"to: {to} needs no delegation to ask for itself; name another agent")
    if len(agents) > AGENTS:
        raise InvalidInput(f"for: takes {AGENTS} agents at most, not {len(agents)}")
    if parent is None:
        return
    _, _, given = _read(parent)
    if not set(agents) <= set(given.agents):
        raise InvalidInput(f"for: the link before it is for {', '.join(given.agents)[:200]} alone")
    if until > given.until:
        raise InvalidInput(f"minutes: the link before it counts until {given.until} (Unix seconds); take fewer")


def new_link(key: Ed25519PrivateKey, to: str, agents: Sequence[str], until: int, parent: str | None = None) -> str:
    """A link as it is sent; `parent` is the one that gave its signer what it passes on."""
    link = Link(
        keyid=key_id(key.public_key().public_bytes_raw()),
        to=to,
        agents=tuple(agents),
        until=until,
        nonce=secrets.token_hex(8),
        parent="" if parent is None else _digest(parent),
    )
    data = msgspec.json.encode(link)
    return f"{_encoded(data)}.{_encoded(key.sign(_CONTEXT + data))}"


def read_chain(
    header: str,
    to: str,
    find: Callable[[str], Agent | None],
    key_of: Callable[[Agent], Ed25519PublicKey],
    now: float,
) -> Delegated:
    """What the links in the header give the agent `to`. Raises DelegationFault, naming the link at fault.

    `find` gives the agent of a key.
    """
    texts = [text.strip() for text in header.split(",")]
    if len(header) > LONGEST or not 0 < len(texts) <= LINKS:
        raise DelegationFault(f"delegation: takes 1 to {LINKS} links and {LONGEST} letters")
    chain: list[str] = []
    before: Link | None = None
    for number, text in enumerate(texts, 1):
        link, giver = _verified(text, find, key_of, number)
        if link.parent != ("" if before is None else _digest(texts[number - 2])):
            raise _fault(number, "names another link before it")
        if before is not None and giver.id != before.to:
            raise _fault(number, f"is signed by {giver.id}, and the one before it is to {before.to}")
        most = {giver.id} if before is None else set(before.agents)
        if not set(link.agents) <= most or (before is not None and link.until > before.until):
            raise _fault(number, "gives more than its signer has")
        if not now < link.until <= now + LONGEST_SECONDS:
            raise _fault(number, "is over, or counts for more than 30 days")
        if link.to in chain or link.to == giver.id:
            raise _fault(number, "goes round in a circle")
        chain.append(giver.id)
        before = link
    assert before is not None
    if before.to != to:
        raise DelegationFault(f"delegation: is to {before.to[:100]}, and {to} sends it")
    return Delegated(chain=(*chain, to), agents=frozenset(before.agents))


def _verified(
    text: str, find: Callable[[str], Agent | None], key_of: Callable[[Agent], Ed25519PublicKey], number: int
) -> tuple[Link, Agent]:
    raw, signed, link = _read(text, number)
    agent = find(link.keyid)
    if agent is None or not agent.public_key:
        raise _fault(number, "is signed by a key that no agent has")
    if agent.retired_at is not None:
        raise _fault(number, f"is of the agent {agent.id}, which is retired")
    try:
        key_of(agent).verify(signed, _CONTEXT + raw)
    except InvalidSignature:
        raise _fault(number, f"is not signed by {agent.id}") from None
    if not 0 < len(link.agents) <= AGENTS:
        raise _fault(number, f"must name 1 to {AGENTS} agents")
    return link, agent


def _read(text: str, number: int = 1) -> tuple[bytes, bytes, Link]:
    """What is signed, the signature and the link, believed by nobody yet."""
    data, _, signature = text.partition(".")
    try:
        raw = _decoded(data)
        return raw, _decoded(signature), _decoder.decode(raw)
    except (binascii.Error, ValueError, msgspec.DecodeError) as error:
        raise _fault(number, "is none") from error


def _fault(number: int, what: str) -> DelegationFault:
    return DelegationFault(f"delegation: link {number} {what}")


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def _encoded(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4))
