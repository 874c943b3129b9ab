"""A registered agent as it is stored. Times are Unix seconds."""

from __future__ import annotations

import re
from hashlib import sha256

import msgspec

from brain.access.models import Role
from brain.charter import Principal
from brain.charter.principal import SHARED_KEY
from brain.errors import InvalidInput
from brain.redaction import holds_secret

SIGNATURE = "signature"
"""How a principal is proven by a signature of an agent's key; sessions are given for it alone."""
HANDSHAKE = "/api/agents/session"
"""Where a signed request is given a session."""


_OTHERS = frozenset({SHARED_KEY.lower(), "anonymous"})
IS_ID = re.compile(r"[!-~]{1,200}").fullmatch
"""Whether a text may be the id of an agent, an issuer or a subject."""


def token_id(issuer: str, subject: str) -> str:
    """What stands in the place of the key's id for an agent of this issuer and subject."""
    return f"jwt:{sha256(f'{issuer}{chr(10)}{subject}'.encode()).hexdigest()}"


class Agent(msgspec.Struct, frozen=True, kw_only=True):
    """An agent that proves its requests by a key of its own; the private key is the agent's alone."""

    id: str
    public_key: bytes = b""
    """Its 32 bytes (Ed25519); none for an agent that proves itself by tokens of an issuer."""
    keyid: str
    """What its signatures name the key by: the JWK thumbprint; of an issuer's agent, `token_id`."""
    issuer: str = ""
    """Whose tokens prove it."""
    subject: str = ""
    """What those call it."""
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


def checked_agent_id(agent_id: str) -> str:
    """The id. Raises InvalidInput for one that no agent is registered by."""
    if not IS_ID(agent_id):
        raise InvalidInput("agent_id: takes 1 to 200 visible ASCII letters, such as billing-7 or a SPIFFE URI")
    check_name("agent_id", agent_id)
    return agent_id


def check_name(field: str, name: str) -> None:
    """Raise InvalidInput for a name that would stand for others in events, or in which there is a secret."""
    if name.lower() in _OTHERS:
        raise InvalidInput(f"{field}: {name} stands for whoever is not known by name; take another")
    check_no_secret(field, name)


def check_no_secret(field: str, text: str) -> None:
    """Raise InvalidInput for a name in which there is a secret: names are shown, and no mark can stand for one."""
    if holds_secret(text):
        raise InvalidInput(f"{field}: holds what looks like a key, a token or a password; take another name")
