"""The registered agents as one server knows them: in memory, and read again when they change."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import msgspec

from brain.access.agent_models import Agent
from brain.access.agent_sessions import opened
from brain.access.agents import COLLECTION, SECRETS, SESSIONS, loaded, read_agents
from brain.access.delegation import DelegationFault, read_chain
from brain.access.nonce_store import forget
from brain.charter import Principal
from brain.server.following import Following
from brain.store import START, Mark, Store

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

FORGET_SECONDS = 60.0
"""How often nonces that no longer count are deleted."""
SESSION = "signed session"
"""How a principal is proven by a session that a signature gave."""


class KnownAgents:
    """All agents by the ids of their keys. `clock` gives Unix seconds."""

    def __init__(
        self,
        store: Store,
        following: Following,
        *,
        refuse_asserted: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.clock = clock
        self._store = store
        self._refuse_asserted = refuse_asserted
        self._mark: Mark = START
        self._by_key: dict[str, Agent] = {}
        self._keys: dict[str, Ed25519PublicKey] = {}
        self._active: frozenset[str] = frozenset()
        self._secret = b""
        self._forgot_at = 0.0
        self._following = following
        following.add(self.refresh)

    async def find(self, keyid: str) -> Agent | None:
        """The agent with this key, be it retired or not; one that is not known is looked for in the store."""
        if keyid not in self._by_key:
            await self._following.look()
        return self._by_key.get(keyid)

    def key(self, agent: Agent) -> Ed25519PublicKey:
        """The agent's public key."""
        key = self._keys.get(agent.keyid)
        if key is None:
            key = self._keys[agent.keyid] = loaded(agent)
        return key

    def by_session(self, token: str, address: str | None) -> tuple[Principal | None, str | None]:
        """The agent that has the session, and why it does not count; None when it does."""
        session = opened(self._secret, token, address) if self._secret else None
        agent = None if session is None else self._by_key.get(session.keyid)
        if session is None or agent is None:
            return None, "the session is not known, or is of another address"
        if agent.retired_at is not None:
            return agent.principal("retired agent", address), f"the agent {agent.id} is retired"
        if self.clock() >= session.end:
            return agent.principal("expired session", address), f"the session of {agent.id} is expired"
        return agent.principal(SESSION, address), None

    def delegated(self, who: Principal, header: str) -> tuple[Principal, str | None]:
        """The agent `who` with what others delegated to it by the links in the header, or why those do not count."""
        if who.proves is None:
            return who, "delegation: counts only for a registered agent that proves who it is"
        try:
            found = read_chain(header, who.proves, self._by_key.get, self.key, self.clock())
        except DelegationFault as fault:
            return who, str(fault)
        agents = found.agents | {who.proves}
        return msgspec.structs.replace(who, agents=agents, chain=found.chain, delegated=found.agents), None

    def over(self, who: Principal) -> str | None:
        """Why an agent that proved itself no longer counts; None while it does."""
        agent = self._by_key.get(who.keyid or "")
        return f"the agent {who.name} is retired" if agent is None or agent.retired_at is not None else None

    def bounded(self, who: Principal) -> Principal:
        """The principal; where the settings refuse asserted identities, without the agents that have keys."""
        if not self._refuse_asserted or who.proves is not None or not self._active:
            return who
        return Principal(
            name=who.name,
            kind=who.kind,
            how=who.how,
            address=who.address,
            role=who.role,
            agents=_Unproven(who, self._active),
        )

    def refresh(self) -> None:
        """Read the agents again if they have changed. Blocks. Raises Unavailable."""
        if abs(self.clock() - self._forgot_at) >= FORGET_SECONDS:
            forget(self._store, self.clock())
            self._forgot_at = self.clock()
        if self._store.mark(COLLECTION) == self._mark:
            return
        read = self._store.read(COLLECTION)
        secret = self._store.get(SECRETS, SESSIONS)
        self._install(read_agents(read.documents), b"" if secret is None else secret.data)
        self._mark = read.mark

    def _install(self, agents: Iterable[Agent], secret: bytes) -> None:
        found = {agent.keyid: agent for agent in agents}
        self._by_key, self._secret = found, secret
        self._keys = {keyid: key for keyid, key in self._keys.items() if keyid in found}
        self._active = frozenset(agent.id for agent in found.values() if agent.retired_at is None)


class _Unproven:
    """The agents that a principal may ask for: those of its key, but none that has a key of its own."""

    def __init__(self, who: Principal, active: frozenset[str]) -> None:
        self._agents = who.agents
        self._active = active

    def __contains__(self, agent_id: object) -> bool:
        return agent_id not in self._active and (self._agents is None or agent_id in self._agents)
