"""What became of an entry whose seal does not follow from the one before it: swapped, put in, or altered?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from brain.audit.entries import Sealing

Sealed = tuple[int, bytes, bytes, Sequence[object]]
"""Index, leaf hash, seal and Fields of a stored entry."""


def diagnose(bad: Sealed, previous: bytes, following: Iterable[Sealed], sealing: Sealing) -> str:
    """What is wrong with `bad`, told by looking for the entry that belongs in its place.

    `previous` is the seal that it should follow; `following` are the entries after it, in order.
    """
    index, leaf, seal, fields = bad
    for at, other_leaf, other_seal, other_fields in following:
        if other_seal == sealing.next(previous, other_leaf, other_fields):
            if at > index + 1:
                return f"entry {index}: was swapped: what belongs here is entry {at} now"
            if seal == sealing.next(other_seal, leaf, fields):
                return f"entry {index}: was swapped with entry {at}"
            return f"entry {index}: was put in: what belongs here is entry {at} now"
    return (
        f"entry {index}: its search fields, its hash or its seal was altered, or an entry before it was taken out "
        "and the others moved up"
    )


def sealed(row: Sequence[Any]) -> Sealed:
    """The parts that a seal is about, of a row as verification reads it."""
    index, _, leaf, seal, _, *fields = row
    return index, leaf, seal, fields
