"""Dead letters: events that a group gave up on, with the reason and each failed attempt."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from typing import NamedTuple

import msgspec

from brain.charter import Event, Pattern
from brain.errors import Conflict, EnvelopeError, NotFound
from brain.typed import ready

HISTORY = 20
"""How many of the last failed attempts a letter names."""


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """An event that a group gave up on: its bytes, the last error, and when (Unix seconds) each attempt failed."""

    group: str
    position: str
    data: bytes
    error: str
    attempts: int
    history: tuple[str, ...] = ()
    buried_at: float  # stored under this name: when the group gave up, in Unix seconds

    def event(self) -> Event | None:
        """The event; None when its bytes are what is wrong with it."""
        try:
            return Event.decode(self.data)
        except EnvelopeError:
            return None


def unpack_letter(packed: bytes, group: str) -> DeadLetter:
    """A stored letter; `group` is what its group is called now, whatever it was called when it gave up."""
    letter = msgspec.msgpack.decode(packed, type=ready(DeadLetter))
    return letter if letter.group == group else msgspec.structs.replace(letter, group=group)


class FailedAttempt(NamedTuple):
    """One line of a letter's history: when (Unix seconds; None when it is not known), and what went wrong."""

    at: float | None
    error: str


def with_attempt(history: tuple[str, ...], error: str) -> tuple[str, ...]:
    """The history with one more attempt that failed now: lines `<unix seconds> <error>`, the last HISTORY of them."""
    return (*history[1 - HISTORY :], f"{time.time():.3f} {error}")


def read_attempt(line: str) -> FailedAttempt:
    """A line of the history in its parts."""
    at, _, error = line.partition(" ")
    try:
        return FailedAttempt(float(at), error)
    except ValueError:
        return FailedAttempt(None, line)


def check_positions(group: str, letters: Iterable[DeadLetter], positions: Collection[str]) -> None:
    """Raises NotFound for positions of no dead letter of the group, so that either all are meant or nothing is done."""
    dead = {letter.position for letter in letters}
    if missing := [position[:40] for position in positions if position not in dead]:
        raise NotFound(
            f"group {group!r} has no dead letter at {', '.join(missing[:10])}; list them again, yours may be old"
        )


def check_followed(group: str, pattern: str, letters: Iterable[DeadLetter]) -> None:
    """Raises Conflict for letters of types that the group does not follow any more: it would pass them over."""
    follows = Pattern(pattern.split(",")).matches
    strange = [letter.position for letter in letters if (event := letter.event()) and not follows(event.type)]
    if strange:
        raise Conflict(
            f"group {group!r} follows {pattern} and would pass over its dead letters at {', '.join(strange[:10])}; "
            "redrive the others by position, and discard these or subscribe the group to their types again"
        )
