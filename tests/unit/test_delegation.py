"""Chains of delegation: what they give, and each way in which they give nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from brain import Event, Principal, acting
from brain.access.agent_models import Agent
from brain.access.agents import loaded
from brain.access.delegation import LINKS, Delegated, DelegationFault, check_link, new_link, read_chain
from brain.access.http_signatures import key_id
from brain.errors import InvalidInput
from brain.kit.agent_scope import identity_of
from brain.kit.doer import doer

NOW = 1_800_000_000
NAMES = ("a", "b", "c", "d", "e", "f")
KEYS = {name: Ed25519PrivateKey.from_private_bytes(name.encode() * 32) for name in NAMES}
AGENTS = {
    name: Agent(
        id=name,
        public_key=key.public_key().public_bytes_raw(),
        keyid=key_id(key.public_key().public_bytes_raw()),
        registered_at=0.0,
    )
    for name, key in KEYS.items()
}
BY_KEY = {agent.keyid: agent for agent in AGENTS.values()}


def read(links: Sequence[str], to: str, find: Callable[[str], Agent | None] = BY_KEY.get) -> Delegated:
    return read_chain(", ".join(links), to, find, loaded, NOW)


def chain_of(names: str) -> list[str]:
    """The links by which the first passes itself on to the last, in order."""
    links: list[str] = []
    for giver, to in pairwise(names):
        links.append(new_link(KEYS[giver], to, ["a"], NOW + 100, links[-1] if links else None))
    return links


def test_a_chain_gives_what_its_first_agent_has() -> None:
    for names in ("ab", "abc", "abcde"):
        found = read(chain_of(names), names[-1])
        assert (found.chain, found.agents) == (tuple(names), {"a"})


@pytest.mark.parametrize(
    ("links", "to", "why"),
    [
        ([], "b", "link 1 is none"),
        (["x.y"], "b", "link 1 is none"),
        (["é.é"], "b", "link 1 is none"),
        (chain_of("abcdef"), "f", f"1 to {LINKS} links"),
        (["x" * 9000], "b", "8192 letters"),
        (chain_of("ab"), "c", "is to b, and c sends it"),
        (chain_of("abc")[1:], "c", "link 1 names another link before it"),
        ([chain_of("ab")[0], chain_of("abc")[1]], "c", "link 2 names another link before it"),
        ([chain_of("ab")[0], chain_of("ab")[0]], "b", "link 2 names another link"),
        ([new_link(KEYS["a"], "b", ["a", "c"], NOW + 100)], "b", "link 1 gives more than its signer has"),
        ([new_link(KEYS["a"], "b", ["c"], NOW + 100)], "b", "link 1 gives more than its signer has"),
        ([new_link(KEYS["a"], "b", [], NOW + 100)], "b", "must name 1 to 20"),
        ([new_link(KEYS["a"], "b", ["a"], NOW)], "b", "is over"),
        ([new_link(KEYS["a"], "b", ["a"], NOW + 31 * 86_400)], "b", "more than 30 days"),
        ([new_link(KEYS["a"], "a", ["a"], NOW + 100)], "a", "circle"),
        ([new_link(Ed25519PrivateKey.generate(), "b", ["a"], NOW + 100)], "b", "a key that no agent has"),
    ],
)
def test_chains_that_give_nothing(links: list[str], to: str, why: str) -> None:
    with pytest.raises(DelegationFault, match=why):
        read(links, to)


def test_links_that_do_not_fit_the_one_before() -> None:
    first = new_link(KEYS["a"], "b", ["a"], NOW + 100)
    for second, why in (
        (new_link(KEYS["b"], "c", ["a", "b"], NOW + 100, first), "gives more"),
        (new_link(KEYS["b"], "c", ["a"], NOW + 101, first), "gives more"),
        (new_link(KEYS["c"], "c", ["a"], NOW + 100, first), "is signed by c, and the one before it is to b"),
        (new_link(KEYS["b"], "a", ["a"], NOW + 100, first), "circle"),
    ):
        with pytest.raises(DelegationFault, match=f"link 2 .*{why}"):
            read([first, second], "c")
    assert first != new_link(KEYS["a"], "b", ["a"], NOW + 100)  # each has a nonce


@pytest.mark.parametrize(
    ("to", "agents", "until", "parent", "why"),
    [
        ("a b", ["a"], NOW, None, "agent_id: takes"),
        ("b", ["a", ""], NOW, None, "agent_id: takes"),
        ("b", [f"a{number}" for number in range(21)], NOW, None, "for: takes 20"),
        ("c", ["b"], NOW, chain_of("ab")[0], "for: the link before it is for a alone"),
        ("c", ["a"], NOW + 101, chain_of("ab")[0], f"minutes: the link before it counts until {NOW + 100}"),
        ("c", ["a"], NOW, "a link", "is none"),
        ("a", ["a"], NOW, None, "to: a needs no delegation"),
        ("a", ["a"], NOW, chain_of("ab")[0], "to: a needs no delegation"),
    ],
)
def test_what_no_server_would_take_is_said_before_it_is_signed(
    to: str, agents: list[str], until: int, parent: str | None, why: str
) -> None:
    with pytest.raises(InvalidInput, match=why):
        check_link(to, agents, until, parent)
    check_link("c", ["a"], NOW + 100, chain_of("ab")[0])


def test_altered_links_and_retired_agents() -> None:
    (link,) = chain_of("ab")
    data, _, signature = link.partition(".")
    other = new_link(KEYS["a"], "b", ["a"], NOW + 90)
    for altered in (f"{data}.{other.partition('.')[2]}", f"{data}.{signature[:-3]}AAA", f"{data}."):
        with pytest.raises(DelegationFault, match=r"is not signed by a|is none"):
            read([altered], "b")
    retired = Agent(
        **{**{name: getattr(AGENTS["a"], name) for name in AGENTS["a"].__struct_fields__}, "retired_at": 1.0}
    )
    with pytest.raises(DelegationFault, match="is of the agent a, which is retired"):
        read([link], "b", {retired.keyid: retired}.get)


def test_events_and_identity_say_who_delegated() -> None:
    who = Principal(
        name="c", kind="agent", how="signature", proves="c", chain=("a", "b", "c"), delegated=frozenset("a")
    )
    with acting(who):
        assert doer("somebody") == "c"
        event = Event(type="policy.note", source="policy_service", payload={})
        assert [identity_of(name) for name in ("c", "a", "b", None, ["a"])] == [
            "proved",
            "delegated",
            "asserted",
            "asserted",
            "asserted",
        ]
    assert event.meta["on_behalf_of"] == "a"
    assert event.meta["delegation"] == ["a", "b", "c"]
