"""Whether the stream is the one that a projection has read, and where to go on when it was restored or replaced.

A projection keeps more than a number: the stream's id, the restores that it knows of, and an anchor, a digest of the
event at its position. Event ids are random, so no other line of events has the same event there. From time to time it
keeps an older anchor, too. A stream that went back is read from the last place that both have in common; the ids of the
events applied last say what of it is new. Where these do not reach back far enough, a person decides.
docs/decisions/0017-streams-have-lines.md has the reasons.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from brain.errors import Conflict
from brain.stream.backends import Backend, StreamIdentity, anchor_of, position_key

__all__ = ["CannotContinue", "Known", "Place", "anchor_of", "locate"]


class CannotContinue(Conflict):
    """A consumer stands still: what it would do next is wrong or may be, and waiting does not mend it."""

    title = "Consumer stopped"


class Place(NamedTuple):
    """A position, the anchor of the event there ("" when it is not known), and how many events were applied by then."""

    position: str
    anchor: str = ""
    applied: int = 0


@dataclass(frozen=True, slots=True)
class Known:
    """What the database of a group says: where it stands, older places (newest first), the stream and its restores."""

    group: str
    place: Place
    anchors: Sequence[Place] = ()
    stream: str = ""
    branches: frozenset[str] = frozenset()


def locate(backend: Backend, known: Known, identity: StreamIdentity, remembered: int) -> str:
    """The position after which to read on, so that every event of this stream is applied once.

    `remembered` is of how many events that were applied last the ids are known. Raises CannotContinue when that cannot
    be decided, or events are gone that were never applied; and Unavailable.
    """
    place = known.place
    if not place.position:
        return ""
    if _is_there(backend, known, identity):
        _check_gap(known, identity)
        return place.position
    if (branch := _unknown_branch(known, identity)) is not None:
        return branch
    for older in known.anchors:
        if older.applied >= place.applied - remembered and anchor_of(backend.at(older.position)) == older.anchor:
            return older.position
    if place.applied <= remembered or (known.stream not in ("", identity.id) and not identity.born):
        return ""  # the ids of all events that were ever applied are known, or this stream was empty when it was made
    raise CannotContinue(
        f"group {known.group}: the stream is an older copy, or another one, and goes back further than the last "
        f"{remembered:,} events that were applied, so what follows {place.position} cannot be known from what was "
        f"applied before. Say up to which position it was applied (the newest of the copy when it was put there): "
        f"brain groups move {known.group} --after POSITION; or restore it with brain restore, which notes that"
    )


def _is_there(backend: Backend, known: Known, identity: StreamIdentity) -> bool:
    """Whether the event at the position is the one that was applied, or was deleted by retention since."""
    position, anchor, _ = known.place
    at = position_key(position)
    if not anchor:  # stored by a version without anchors, or set by a person
        return at <= position_key(backend.tail()) and _unknown_branch(known, identity) is None
    data = backend.at(position)
    if data is not None:
        return anchor_of(data) == anchor
    oldest = backend.nth_oldest(1)
    trimmed = (not oldest or position_key(oldest) > at) and at <= position_key(backend.tail())
    return trimmed and known.stream == identity.id and _unknown_branch(known, identity) is None


def _unknown_branch(known: Known, identity: StreamIdentity) -> str | None:
    """Where the stream left the line that was read, if somebody recorded that; None when nobody did."""
    if known.stream != identity.id:
        return None
    at = position_key(known.place.position)
    left = [
        branch.position
        for branch in identity.branches
        if branch.token not in known.branches and position_key(branch.position) < at
    ]
    return min(left, key=position_key, default=None)


def _check_gap(known: Known, identity: StreamIdentity) -> None:
    position, anchor, _ = known.place
    if anchor and position_key(identity.trimmed) > position_key(position):
        raise CannotContinue(
            f"group {known.group}: its database stands at position {position}, and the stream has deleted all up to "
            f"{identity.trimmed}: an older copy of the database was restored, or the group was removed for a while. "
            "Restore a newer copy of the database, or accept that the events in between are missing there: "
            f"brain groups move {known.group} --after {identity.trimmed}"
        )
