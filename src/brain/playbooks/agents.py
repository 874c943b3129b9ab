"""Whether there is an agent of a name: some recorded event says what it did."""

from __future__ import annotations

import msgspec

from brain.charter import Event
from brain.errors import EnvelopeError
from brain.stream.backends import Backend

LOOK_BACK = 200_000
"""Events that are looked through, from the newest back."""
_PAGE = 2_000
_NAMES = ("agent_id", "agent")
_SIGNS = tuple(f'"{name}"'.encode() for name in _NAMES)


def has_acted(backend: Backend, agent: str) -> bool:
    """Whether one of the last events is about what the agent did. Blocks. Raises Unavailable."""
    written = msgspec.json.encode(agent)
    is_plain = agent.isascii() and b"\\" not in written  # then every encoder writes it like this
    before, looked = "", 0
    while looked < LOOK_BACK and (entries := backend.read_back(before, _PAGE)):
        for entry in entries:
            data = entry.data
            if (written in data or not is_plain) and any(sign in data for sign in _SIGNS) and _names(data, agent):
                return True
        looked += len(entries)
        before = entries[-1].position
    return False


def _names(data: bytes, agent: str) -> bool:
    try:
        payload = Event.decode(data).payload
    except EnvelopeError:
        return False  # no event: whoever consumes the stream says so
    return any(payload.get(name) == agent for name in _NAMES)
