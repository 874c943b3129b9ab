"""What the log keeps beside an event's bytes: the fields it is found by, and the seals that bind rows together."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from brain.charter import Event

SEAL = 16
"""Bytes of a seal."""
WIDTH = 255
"""Characters of a field that are kept to search by; the payload has them all."""

_pack = msgspec.msgpack.Encoder().encode


class Fields(NamedTuple):
    """What an entry is found by, as it was when the entry was made."""

    appended_at: float
    at: float
    type: str
    event_id: str | None
    agent: str | None
    threat: str | None
    correlation_id: str | None


def fields_of(event: Event | None, appended_at: float) -> Fields:
    """The fields of an event, or of bytes that are none: those have an empty type."""
    if event is None:
        return Fields(appended_at, appended_at, "", None, None, None, None)
    agent, threat = subjects(event)
    return Fields(
        appended_at,
        event.timestamp,
        event.type[:WIDTH],
        event.id[:WIDTH],
        searchable(agent),
        searchable(threat),
        searchable(event.meta["correlation_id"]),
    )


def subjects(event: Event) -> tuple[object, object]:
    """The agent and the threat that an event is about; None where it names none."""
    payload: Mapping[str, Any] = event.payload
    agent = payload.get("agent_id")
    if agent is None:
        agent = payload.get("agent")
    if agent is None and event.type.startswith("immune."):
        agent = payload.get("module")
    return agent, payload.get("threat_id")


def searchable(value: object) -> str | None:
    """A value as it is kept to search by: text, cut short, without the NUL that PostgreSQL cannot keep."""
    return kept(value) if isinstance(value, str) and value else None


def kept(text: str) -> str:
    """The text as it is kept in a column."""
    return text[:WIDTH].replace("\0", "\N{REPLACEMENT CHARACTER}")


class Sealing:
    """Seals: keyed hashes, each over a row and the seal before it.

    They let the holder of the log's key tell exactly which row was altered, put in or taken out, and say the same of
    the fields that no leaf hash covers. Whoever can write to the database but lacks the key cannot make one. What
    third parties rely on are the checkpoints; seals are for finding the place.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self.first = self._seal(b"first")

    def next(self, previous: bytes, leaf: bytes, fields: Sequence[object]) -> bytes:
        """The seal of a row with these Fields that comes after the one with the seal `previous`."""
        return hmac.digest(self._secret, previous + leaf + _pack(fields), "sha256")[:SEAL]

    def deletion(self, seal: bytes) -> bytes:
        """The seal that stands for a payload that retention has deleted from the row with `seal`."""
        return self._seal(b"deleted" + seal)

    def _seal(self, message: bytes) -> bytes:
        return hmac.digest(self._secret, message, "sha256")[:SEAL]
