"""Registered agents on every store."""

from __future__ import annotations

from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from brain.access.agents import Agents
from brain.errors import Conflict
from brain.store import Store

ISSUER, SUBJECT = "https://id.example.org", "billing"


def test_of_agents_that_are_registered_at_once_with_one_key_one_has_it(store: Store) -> None:
    agents, together = Agents(store, None), Barrier(4)
    key = b64encode(Ed25519PrivateKey.generate().public_key().public_bytes_raw()).decode()

    def register(number: int) -> list[str]:
        together.wait()
        found = []
        for act in (
            lambda: agents.register(f"key-{number}", key),
            lambda: agents.register_by_issuer(f"token-{number}", ISSUER, SUBJECT),
        ):
            try:
                found.append(act().keyid)
            except Conflict:
                continue
        return found

    with ThreadPoolExecutor(4) as pool:
        made = [keyid for found in pool.map(register, range(4)) for keyid in found]
    assert len(made) == len(set(made)) == len(agents.list()) == 2


def test_a_key_that_an_agent_had_is_nobodys_again_and_a_subject_its_own(store: Store) -> None:
    agents = Agents(store, None)
    old, new = (b64encode(Ed25519PrivateKey.generate().public_key().public_bytes_raw()).decode() for _ in range(2))
    agents.register("a1", old)
    agents.retire("a1")
    agents.register("a1", new)
    for other in ("a1", "a2"):
        with pytest.raises(Conflict, match=r"has or had this key|is registered already"):
            agents.register(other, old)
    agents.retire("a1")
    agents.register_by_issuer("a1", ISSUER, SUBJECT)
    agents.retire("a1")
    agents.register_by_issuer("a1", ISSUER, SUBJECT)
    with pytest.raises(Conflict, match="has or had it"):
        agents.register_by_issuer("a2", ISSUER, SUBJECT)
