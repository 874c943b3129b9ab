"""Short sessions of agents: a bearer that a signed handshake gives, bound to the agent's key and address.

    brs_<end>.<key id>.<mac>

It is kept nowhere: the MAC covers the end, the key's id and the address. It ends with its time, or with the agent.
Decisions by a session cost no signature of their own (decision 0070).
"""

from __future__ import annotations

import hmac
from typing import NamedTuple

PREFIX = "brs_"
SECONDS = 600
"""How long a session lasts."""


class AgentSession(NamedTuple):
    """A session whose MAC fits."""

    end: int
    keyid: str


def issue(secret: bytes, keyid: str, address: str | None, now: float) -> tuple[str, int]:
    """A new session, and when it ends in Unix seconds."""
    end = int(now) + SECONDS
    return f"{PREFIX}{end}.{keyid}.{_mac(secret, str(end), keyid, address)}", end


def opened(secret: bytes, token: str, address: str | None) -> AgentSession | None:
    """The session; None unless it is whole and from this address. The caller looks at its end."""
    end, _, rest = token[len(PREFIX) :].partition(".")
    keyid, _, mac = rest.partition(".")
    if not end.isdecimal() or len(end) > 12:
        return None
    fits = hmac.compare_digest(mac.encode(errors="replace"), _mac(secret, end, keyid, address).encode())
    return AgentSession(int(end), keyid) if fits else None


def _mac(secret: bytes, end: str, keyid: str, address: str | None) -> str:
    text = f"brain agent session\n{end}\n{keyid}\n{address or ''}"
    return hmac.digest(secret, text.encode(errors="replace"), "sha256").hex()
