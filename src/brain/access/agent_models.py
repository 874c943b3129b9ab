"""A registered agent as it is stored. Times are Unix seconds."""

from __future__ import annotations

import msgspec

from brain.access.models import Role
from brain.charter import Principal

SIGNATURE = "signature"
"""How a principal is proven by a signature of an agent's key; sessions are given for it alone."""
HANDSHAKE = "/api/agents/session"
"""Where a signed request is given a session."""


class Agent(msgspec.Struct, frozen=True, kw_only=True):
    """An agent that proves its requests by a key of its own; the private key is the agent's alone."""

    id: str
    public_key: bytes
    """Its 32 bytes (Ed25519)."""
    keyid: str
    """What its signatures name the key by: the JWK thumbprint."""
    registered_at: float
    registered_by: str | None = None
    retired_at: float | None = None

    def __hash__(self) -> int:
        """By its id."""
        return hash(self.id)

    def principal(self, how: str, address: str | None) -> Principal:
        """The agent, acting; `how` says what proves it."""
        return Principal(
            name=self.id,
            kind="agent",
            how=how,
            address=address,
            role=Role.EVALUATOR,
            agents=frozenset((self.id,)),
            proves=self.id,
            keyid=self.keyid,
        )
