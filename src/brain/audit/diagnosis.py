"""Diagnosis of an entry whose seal does not follow from the one before it: was it swapped, inserted or altered?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from brain.audit.seal import Sealing

Sealed = tuple[int, bytes, bytes, Sequence[object]]
"""Index, leaf hash, seal and search fields of a stored entry."""


def diagnose(bad: Sealed, previous: bytes, following: Iterable[Sealed], sealing: Sealing) -> str:
    """What is wrong with `bad`, found by looking for the entry that belongs in its place.

    `previous` is the seal that it should follow; `following` are the entries after it, in order.
    """
    index, leaf, seal, fields = bad
    for at, other_leaf, other_seal, other_fields in following:
        if other_seal == sealing.next(previous, other_leaf, other_fields):
            if at > index + 1:
                return f"entry {index}: was swapped: the entry that belongs here is entry {at} now"
            if seal == sealing.next(other_seal, leaf, fields):
                return f"entry {index}: was swapped with entry {at}"
            return f"entry {index}: was inserted: the entry that belongs here is entry {at} now"
    return (
        f"entry {index}: its search fields, its hash or its seal was altered, or an entry before it was removed and "
        "the others moved up"
    )


def sealed(row: Sequence[Any]) -> Sealed:
    """The parts of a row that its seal covers; the row is as verification reads it."""
    index, _, leaf, seal, _, *fields = row
    return index, leaf, seal, fields
