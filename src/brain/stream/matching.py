"""Whether an event is wanted, by its type alone: an eighth of the cost of decoding it."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from brain.charter import Pattern
from brain.typed import ready

EventFilter = Callable[[bytes], bool]
"""Says of an event's bytes whether they are wanted."""


class _Typed(msgspec.Struct, gc=False):
    type: str


_read = msgspec.json.Decoder(ready(_Typed)).decode


def type_filter(pattern: Pattern) -> EventFilter | None:
    """Whether an event is of a type that the pattern matches; None for the pattern `*`, which wants everything.

    Bytes whose type cannot be read are wanted: whoever decodes them finds what is wrong, and says so.
    """
    if pattern.matches_all:
        return None
    matches = pattern.matches

    def wanted(data: bytes) -> bool:
        try:
            return matches(_read(data).type)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return True

    return wanted
